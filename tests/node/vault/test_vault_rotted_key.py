"""One record key that does not open costs that record's values here, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.errors import KehuError
from node.storage.leveldb import LevelStore
from node.vault.staged import Staging
from tests.node.peer_kit import until
from tests.node.vault_kit import CHAIN, get, opened, transaction_id, value_of
from tests.node.vault_network import network


def rot(home: Path) -> None:
    """One bit of the key of customers/c1."""
    store = LevelStore(home / "vault-keys")
    ((key, raw),) = store.scan(b"k/customers/c1")
    store.write({key: raw[:-1] + bytes([raw[-1] ^ 1])})
    store.close()


@pytest.mark.parametrize("is_staged", [False, True])
def test_a_key_that_does_not_open_is_no_reason_to_refuse_new_values(tmp_path: Path, is_staged: bool) -> None:
    old, new, other = value_of("张三"), value_of("+86", field="phone"), value_of("李四", record="c2")
    with opened(tmp_path) as vault:
        vault.put_live([(old, old.digest(CHAIN))])
    rot(tmp_path)
    with opened(tmp_path) as vault:
        if is_staged:
            vault.stage_all([Staging(transaction_id("a"), [new], 9), Staging(transaction_id("b"), [other], 9)])
            vault.settle(transaction_id("a"), transaction_id("b"))
        else:
            vault.put_live([(new, new.digest(CHAIN)), (other, other.digest(CHAIN))])
        assert [get(vault, new), get(vault, other)] == [new, other]


async def test_what_was_sealed_by_a_rotted_key_is_fetched_again_while_the_node_works_on(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.holds("finance", "name", "phone", "position")
        await net.stop("finance")
        await net.submit(net.update(1, note="new"))
        rot(tmp_path / "finance")
        finance = await net.start("finance")
        finance.vault.on_unsound = finance.exchange.refill.look_again  # as node.service does
        await until(lambda: "note" in [field.field for field, _ in finance.vault.live("customers", "c1")])
        for field, digest in finance.vault.live("customers", "c1"):  # as a reader or the scrub does
            try:
                finance.vault.get("customers", "c1", field.field, digest)
            except KehuError:
                continue
        await net.holds("finance", "name", "note", "phone", "position")
        assert finance.task is not None
        assert not finance.task.done()


async def test_what_does_not_open_is_not_said_to_be_held_so_that_nobody_destroys_the_last_copy(tmp_path: Path) -> None:
    registered = ("name", "phone", "position")
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.holds("finance", *registered)
        await net.stop("finance")
        rot(tmp_path / "finance")
        finance = await net.start("finance")
        finance.vault.on_unsound = finance.exchange.refill.look_again
        net.liars["administration", "vault.fetch"] = lambda _: b""
        before = len(net.requests)
        await net.boss("permissions.unassign", table="customers", record="c1", subject="person:li")
        await until(lambda: sum(kind == "vault.held" for *_, kind in net.requests[before:]) >= 4)
        assert sorted(net.nodes["sales"].live()) == sorted(registered)
        del net.liars["administration", "vault.fetch"]
        await net.holds("finance", *registered)
        await net.holds("sales")

"""Erasures among departments: destroyed everywhere, confirmed by everybody, missed by nobody who was away."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.errors import KehuError
from chain.transaction import Call
from node.storage.durable import STORAGE_IO, StorageFailure
from node.vault import exchange as vault_exchange
from node.vault.erasure import ErasureTiming
from node.vault.retention import RetentionTiming
from node.vault.seal import RecordId
from node.vault.values import VaultValue
from tests.node.peer_kit import until
from tests.node.vault_kit import files_with, sealed_of, traces_of
from tests.node.vault_network import TIMING, UP, Network, network

C1 = {"table": "customers", "record": "c1"}
ORDER = C1 | {"reason": "withdrawn"}
DAY_MS = 86_400_000
QUICK = dataclasses.replace(TIMING, erasure=ErasureTiming(retry_first_s=0.001, retry_max_s=0.01))


def erasure(net: Network, record: str = "c1") -> dict[str, Any]:
    row = net.row("erasures", f"customers.{record}")
    assert row is not None
    return row


def secrets_of(net: Network, values: list[VaultValue]) -> Iterator[bytes]:
    """Whatever would let somebody read the values: text, salt, sealed bytes, the record's key sealed and open."""
    yield from traces_of(values)
    for node in net.nodes.values():
        vault = node.vault
        yield from sealed_of(vault, RecordId("customers", "c1"))
        yield from (raw[8:] for _, raw in vault._keys._store.scan(b"k/customers/c1"))
        key = vault._keys.get(RecordId("customers", "c1"))
        if key is not None:
            yield key.secret


async def test_an_erasure_destroys_every_departments_copies_and_gathers_their_receipts(tmp_path: Path) -> None:
    async with network(tmp_path, QUICK) as net:
        transaction, values = net.registration(name="张三丰 canary")
        assert (await net.submit((transaction, values))).is_ok
        assert (await net.submit(net.registration("c2"))).is_ok
        await net.holds("finance", "name", "phone", "position")
        secrets = list(secrets_of(net, values))
        assert len(secrets) >= 20 + 9 + 6
        kept = net.nodes["finance"].live("c2")
        await net.boss("erasure.order", **ORDER)
        assert all(node.live() == {} for node in net.nodes.values())
        await until(lambda: set(erasure(net)["confirmed"]) == set(UP))
        found = [name for secret in secrets for name in files_with(tmp_path, secret)]
        assert found == []
        confirmed = erasure(net)["confirmed"]
        assert {name: confirmed[name]["values"] for name in UP} == {
            name: 4 if name == "administration" else 0 if name == "technical" else 3 for name in UP
        }
        assert erasure(net)["waiting"] == ["after_sales", "process"]
        assert net.nodes["finance"].live("c2") == kept
        await until(lambda: not any(node.exchange.status()["erasures_unconfirmed"] for node in net.nodes.values()))


async def test_the_scan_would_find_what_is_not_erased(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        _, values = pair = net.registration()
        await net.submit(pair)
        sealed = [raw for raw in secrets_of(net, values) if raw not in set(traces_of(values))]
        found = [raw for raw in sealed if files_with(tmp_path, raw)]
        assert len(found) >= 10  # all that is sealed; the open record keys are in no file


async def test_a_node_that_was_down_erases_when_it_returns_before_it_does_anything_else(tmp_path: Path) -> None:
    async with network(tmp_path, QUICK) as net:
        await net.submit(net.registration())
        await net.holds("finance", "name", "phone", "position")
        await net.stop("finance")
        await net.boss("erasure.order", **ORDER)
        finance = await net.start("finance")
        assert finance.live() == {}  # it caught up, and each block was followed by its erasures
        await until(lambda: "finance" in erasure(net)["confirmed"])
        assert erasure(net)["confirmed"]["finance"]["values"] == 3


async def test_a_crash_between_block_and_destruction_is_made_good_before_anything_is_served(tmp_path: Path) -> None:
    async with network(tmp_path, QUICK) as net:
        await net.submit(net.registration())
        await net.holds("finance", "name", "phone", "position")
        finance = net.nodes["finance"]

        async def crash(_executed: Any) -> None:
            """The block is on the disk; the vault has not heard of it."""

        finance.exchange.on_block = crash  # type: ignore[method-assign]
        await net.boss("erasure.order", **ORDER)
        assert finance.live() != {}
        await net.stop("finance")
        finance = await net.start("finance")
        assert finance.live() == {}
        await until(lambda: "finance" in erasure(net)["confirmed"])


async def test_a_vault_put_back_from_an_old_copy_erases_again(tmp_path: Path) -> None:
    import shutil

    async with network(tmp_path, QUICK) as net:
        await net.submit(net.registration())
        await net.holds("finance", "name", "phone", "position")
        await net.stop("finance")
        shutil.copytree(tmp_path / "finance", tmp_path / "copy")
        await net.start("finance")
        await net.boss("erasure.order", **ORDER)
        await until(lambda: "finance" in erasure(net)["confirmed"])
        await net.stop("finance")
        shutil.rmtree(tmp_path / "finance")
        (tmp_path / "copy").rename(tmp_path / "finance")
        finance = await net.start("finance")
        assert finance.live() == {}
        assert not [name for name in ("vault", "vault-keys") for name in files_with(tmp_path, "张三".encode())]


async def test_values_staged_for_an_erased_record_are_destroyed_and_none_are_taken_again(tmp_path: Path) -> None:
    async with network(tmp_path, QUICK) as net:
        await net.submit(net.registration())
        transaction, values = net.update(1, note="新的备注 canary")
        await net.nodes["sales"].exchange.safeguard(transaction, values)
        await net.boss("erasure.order", **ORDER)
        for node in net.nodes.values():
            assert node.vault.get_staged(transaction.id) == []
        assert [files_with(tmp_path, raw) for raw in traces_of(values)] == [[]] * 5
        receipt = (await net.append([transaction], "sales"))[0]
        assert receipt.code == "record.erased"
        with pytest.raises(KehuError) as raised:
            await net.nodes["sales"].exchange.safeguard(*net.update(2, note="又来"))
        assert raised.value.code == "record.erased"
        assert net.nodes["sales"].staged() == []


async def test_a_receipt_that_does_not_get_through_is_sent_until_it_does(tmp_path: Path) -> None:
    async with network(tmp_path, QUICK) as net:
        await net.submit(net.registration())
        sales, tries = net.nodes["sales"], []
        submit_own = sales.exchange._erasures._submit_own

        async def fail_twice(calls: Any) -> None:
            tries.append(calls)
            if len(tries) < 3:
                raise KehuError(STORAGE_IO)
            await submit_own(calls)

        sales.exchange._erasures._submit_own = fail_twice
        await net.boss("erasure.order", **ORDER)
        await until(lambda: "sales" in erasure(net)["confirmed"])
        assert len(tries) == 3


async def test_a_failing_disk_ends_the_vaults_work_with_its_own_error(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        sales = net.nodes["sales"]

        async def fail(_calls: Any) -> None:
            raise StorageFailure(STORAGE_IO)

        sales.exchange._erasures._submit_own = fail
        await net.submit(net.registration())
        await net.boss("erasure.order", **ORDER)
        assert sales.task is not None
        async with asyncio.timeout(30):
            await asyncio.wait([sales.task])
        assert isinstance(sales.task.exception(), StorageFailure)
        sales.task = None


# Retention


async def test_a_retention_period_erases_by_itself_and_only_what_is_due(tmp_path: Path) -> None:
    policy = {"retention": {"customers": 30 * DAY_MS}}
    async with network(tmp_path, QUICK, policy=policy) as net:
        for number in range(1, 24):
            await net.submit(net.registration(f"c{number}"))
        await net.boss("erasure.hold", **C1, reason="lawsuit")
        net.time_ms += 30 * DAY_MS
        await net.submit(net.registration("c99"))
        assert await net.nodes["administration"].exchange.retention.look() == 22
        erased = [number for number in range(1, 24) if net.row("erasures", f"customers.c{number}")]
        assert erased == list(range(2, 24))
        assert net.row("erasures", "customers.c99") is None
        assert net.nodes["administration"].live("c2") == {}
        assert net.nodes["administration"].live("c1")["name"] == "张三"
        assert await net.nodes["administration"].exchange.retention.look() == 0


async def test_a_period_for_a_log_which_earlier_rules_allow_ends_no_node(tmp_path: Path) -> None:
    policy = {"retention": {"changes": DAY_MS, "customers": DAY_MS}}
    async with network(tmp_path, QUICK, policy=policy, protocol=2) as net:
        await net.submit(net.registration())
        net.time_ms += 2 * DAY_MS
        await net.boss("access.login")
        assert await net.nodes["administration"].exchange.retention.look() == 1


async def test_other_departments_propose_what_the_administration_leaves_undone(tmp_path: Path) -> None:
    timing = dataclasses.replace(QUICK, retention=RetentionTiming(stagger_ms=1_000_000))
    policy = {"retention": {"customers": DAY_MS}}
    async with network(tmp_path, timing, policy=policy) as net:
        await net.submit(net.registration())
        net.time_ms += DAY_MS + 1_500_000
        assert await net.nodes["sales"].exchange.retention.look() == 0  # not its turn yet
        net.time_ms += 4_000_000
        assert await net.nodes["sales"].exchange.retention.look() == 1
        assert erasure(net)["by"] == "node:sales"
        assert await net.nodes["administration"].exchange.retention.look() == 0


async def test_the_background_work_looks_at_retention_periods_from_time_to_time(tmp_path: Path) -> None:
    timing = dataclasses.replace(QUICK, retention=RetentionTiming(look_s=0.01))
    async with network(tmp_path, timing, policy={"retention": {"customers": DAY_MS}}) as net:
        await net.submit(net.registration())
        net.time_ms += 2 * DAY_MS
        await until(lambda: net.row("erasures", "customers.c1") is not None)


# Grants that expire


async def test_copies_go_when_a_grant_merely_expires(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        for grant, scope, days in (("g1", "record:c1", 1), ("g2", "all", 2)):
            await net.boss(
                "permissions.grant",
                grant=grant,
                subject="department:technical",
                actions=["read"],
                table="customers",
                scope=scope,
                fields=["name"] if grant == "g1" else ["phone"],
                purpose="*",
                expires_ms=net.time_ms + days * DAY_MS,
            )
        await net.holds("technical", "name", "phone")
        net.time_ms += DAY_MS
        await net.commit("li", Call("access.login", {}), via="sales")  # any block: its time passes the expiry
        await net.holds("technical", "phone")
        net.time_ms += DAY_MS
        await net.commit("li", Call("access.login", {}), via="sales")
        await net.holds("technical")
        await net.holds("sales", "name", "phone", "position")


async def test_a_grant_that_expires_while_no_block_comes_is_seen_by_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_exchange, "EXPIRY_WAIT_S", 0.01)
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        args = {"subject": "department:technical", "actions": ["read"], "scope": "record:c1", "fields": ["name"]}
        more = {"table": "customers", "purpose": "*", "expires_ms": net.time_ms + DAY_MS}
        await net.boss("permissions.grant", grant="g1", **args, **more)
        await net.holds("technical", "name")
        height = len(net.chain)
        net.time_ms += DAY_MS
        await net.holds("technical")
        assert len(net.chain) == height


async def test_grants_of_the_last_run_expire_too(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        args = {"subject": "department:technical", "actions": ["read"], "scope": "record:c1", "fields": ["name"]}
        more = {"table": "customers", "purpose": "*", "expires_ms": net.time_ms + DAY_MS}
        await net.boss("permissions.grant", grant="g1", **args, **more)
        await net.holds("technical", "name")
        technical = await net.restart("technical")
        assert technical.exchange._expiries.next_ms == more["expires_ms"]
        net.time_ms += DAY_MS
        await net.commit("li", Call("access.login", {}), via="sales")
        await net.holds("technical")


# At rest


async def test_neither_the_vault_nor_its_keys_are_of_use_without_the_other(tmp_path: Path) -> None:
    from node.vault.store import Vault
    from tests.contracts.office import key_of

    async with network(tmp_path) as net:
        await net.submit(net.registration())
        chain_id = net.chain_id
    seed_of_somebody = key_of("somebody")
    for missing, code in (("vault-keys", "vault.keys_missing"), ("", "vault.locked")):
        copy = tmp_path / f"copy{missing}"
        for name in ("vault", "vault-keys"):
            if name != missing:
                _copy(tmp_path / "administration" / name, copy / name)
        with pytest.raises(KehuError) as raised:
            Vault.open(copy, chain_id, seed_of_somebody)
        assert raised.value.code == code
    _copy(tmp_path / "administration" / "vault-keys", tmp_path / "keys" / "vault-keys")
    alone = Vault.open(tmp_path / "keys", chain_id, key_of("node administration"))
    try:
        assert alone.status()["live_values"] == 0
        assert alone._keys.get(RecordId("customers", "c1")) is not None  # a key, and nothing that it opens
    finally:
        alone.close()
    for needle in ("张三", "+8613800000001"):
        assert files_with(tmp_path, needle.encode()) == []


def _copy(source: Path, target: Path) -> None:
    import shutil

    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target)

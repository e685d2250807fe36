"""Erasure and refilling on real nodes: real folders, real links, real consensus, and a scan of every byte."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.errors import KehuError
from chain.transaction import Call
from node.vault.replication import ReplicationTiming
from node.vault.seal import RecordId
from node.vault.values import VaultValue
from tests.node.cluster import DEPARTMENTS, Cluster, eventually, running
from tests.node.vault_kit import files_with, sealed_of, traces_of

pytestmark = pytest.mark.slow

C1 = RecordId("customers", "c1")
ORDER = {"table": "customers", "record": "c1", "reason": "withdrawn"}
HOLDERS = ("administration", "finance", "sales")


def vault_of(cluster: Cluster, name: str) -> Any:
    return cluster.nodes[name]._opened.vault


def holds(cluster: Cluster, name: str, *values: VaultValue) -> bool:
    vault = vault_of(cluster, name)
    return all(vault.has((value.id, value.digest(cluster.chain_id))) for value in values)


def erasure(cluster: Cluster) -> dict[str, Any]:
    row: dict[str, Any] = cluster.any.view().get("erasures", "customers.c1") or {}
    return row


async def record_and_rename(cluster: Cluster) -> list[VaultValue]:
    """A customer whose name was changed once; all values there ever were, live at every holder where present."""
    transaction, values = cluster.register("c1")
    await cluster.commit(transaction, via="sales", values=values)
    renamed = cluster.values("c1", name="欧阳娜娜 canary", note="膝盖不好，只在周二来访")
    call = Call("customers.update", {"customer": "c1", "version": 1, "fields": cluster.digests(renamed)})
    await cluster.commit(cluster.sign("li", call), via="sales", values=renamed)
    phone = [value for value in values if value.field == "phone"]
    await eventually(lambda: all(holds(cluster, name, *renamed, *phone) for name in HOLDERS))
    return [*values, *renamed]


def sealed_in(cluster: Cluster) -> Iterator[bytes]:
    """What lies sealed of c1 in any vault, and the record keys, sealed and open."""
    for name in cluster.nodes:
        vault = vault_of(cluster, name)
        yield from sealed_of(vault, RecordId("customers", "c1"))
        yield from (raw[8:] for _, raw in vault._keys._store.scan(b"k/customers/c1"))
        key = vault._keys.get(C1)
        if key is not None:
            yield key.secret


@pytest.fixture
def node_log(tmp_path: Path) -> Iterator[Path]:
    """All that any node says, down to the last detail."""
    path = tmp_path / "node.log"
    handler, root = logging.FileHandler(path, encoding="utf-8"), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield path
    root.setLevel(level)
    root.removeHandler(handler)
    handler.close()


async def test_no_byte_of_any_folder_or_log_has_value_salt_or_key_after_an_erasure(
    tmp_path: Path, node_log: Path
) -> None:
    async with running(tmp_path) as cluster:
        values = await record_and_rename(cluster)
        other, kept = cluster.register("c2")
        await cluster.commit(other, via="sales", values=kept)
        sealed = list(sealed_in(cluster))
        assert len(sealed) >= 3 * (3 + 2)
        assert any(files_with(tmp_path, raw) for raw in sealed), "the scan finds what is there"
        await cluster.stop("finance")
        await cluster.commit(cluster.sign("boss", Call("erasure.order", ORDER)), via="administration")
        await eventually(lambda: erasure(cluster)["waiting"] == ["finance"])
        for name in cluster.nodes:
            assert vault_of(cluster, name).live("customers", "c1") == []
        await cluster.start("finance")
        await eventually(lambda: erasure(cluster)["waiting"] == [])
        confirmed = erasure(cluster)["confirmed"]
        assert {name: row["values"] for name, row in confirmed.items()} == {
            name: 3 if name in HOLDERS else 0 for name in DEPARTMENTS
        }
        await eventually(lambda: holds(cluster, "finance", *kept))
        await cluster.stop()
        needles = [*traces_of(values), *sealed]
        assert [name for needle in needles for name in files_with(tmp_path, needle)] == []
        assert files_with(tmp_path, b"level with the other departments") == [node_log.name]
        await cluster.start()
        await cluster.ready()


async def test_a_node_that_was_down_erases_before_it_shows_anything(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await record_and_rename(cluster)
        read = {"table": "customers", "record": "c1", "fields": ["name"], "purpose": "sale"}
        reading = cluster.sign("qian", Call("access.read", read))
        await cluster.commit(reading, via="finance")
        (shown,) = await cluster.nodes["finance"].disclose(reading.id, reading.key)
        assert shown.value == "欧阳娜娜 canary"
        await cluster.stop("finance")
        await cluster.commit(cluster.sign("boss", Call("erasure.order", ORDER)), via="administration")
        await cluster.start("finance")
        finance = cluster.nodes["finance"]
        assert not finance.is_ready
        assert holds(cluster, "finance", shown)  # it can't know yet: so it must not show it
        with pytest.raises(KehuError) as raised:  # from its first moment on
            await finance.disclose(reading.id, reading.key)
        assert raised.value.code in ("record.erased", "node.not_level")
        await eventually(lambda: finance.is_ready)
        assert not holds(cluster, "finance", shown)


async def test_a_lost_vault_is_refilled_from_holders_and_each_release_is_on_the_record(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        sent = [cluster.register(f"c{number}") for number in range(1, 6)]
        for transaction, values in sent:
            await cluster.commit(transaction, via="sales", values=values)
        every = [value for _, values in sent for value in values]
        await eventually(lambda: holds(cluster, "finance", *every))
        await cluster.stop("finance")
        for folder in (cluster.homes["finance"].vault, cluster.homes["finance"].vault_keys):
            shutil.rmtree(folder)
        await cluster.start("finance")
        await eventually(lambda: holds(cluster, "finance", *every))
        for number in range(1, 6):
            row = cluster.any.view().get("releases", f"customers.c{number}.1")
            assert row is not None
            assert (row["to"], row["from"] in HOLDERS, row["version"]) == ("finance", True, 1)
        status = cluster.nodes["finance"].status()["vault"]
        await eventually(lambda: cluster.nodes["finance"].status()["vault"]["missing"] == 0)
        assert status["live_values"] == len(every)


async def test_too_few_holders_that_are_up_refuse_a_transaction_and_none_of_it_stays(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        policy = cluster.any.view().get("policy", "current")
        assert policy is not None
        call = Call("permissions.set_policy", {"policy": policy["policy"] | {"vault_holders_min": 3}})
        await cluster.commit(cluster.sign("boss", call), via="administration")
        await cluster.agree()
        await cluster.stop("finance")  # a quorum is left, but only two who may hold a customer of sales
        sales = cluster.nodes["sales"]
        replication = sales._exchange._replication
        replication._timing = ReplicationTiming(deadline_s=1.0)
        transaction, values = cluster.register("c1")
        (admission,) = await sales.submit([transaction.raw], values)
        assert admission.error is not None
        assert (admission.error.code, admission.error.details["waited_for"]) == ("vault.not_enough_holders", "finance")
        assert sales.find(transaction.id) == "unknown"
        assert transaction.id not in vault_of(cluster, "sales").staged()
        await cluster.start("finance")
        await cluster.ready()
        await cluster.commit(transaction, via="sales", values=values)
        await eventually(lambda: all(holds(cluster, name, *values) for name in HOLDERS))

"""A backup is taken while people write; a machine is lost; its restored node joins and forgets what was erased."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from chain.transaction import Call
from node.backup.making import DATA, backup_chunks
from node.backup.restoring import restore
from node.vault.values import VaultValue
from tests.node.cluster import CHEAP, PASSPHRASE, Cluster, eventually, running

pytestmark = pytest.mark.slow


def holds(cluster: Cluster, name: str, value: VaultValue) -> bool:
    digest = value.digest(cluster.chain_id)
    return cluster.nodes[name]._opened.vault.get(value.table, value.record, value.field, digest) == value


def take(cluster: Cluster, name: str, data: Path, keys: Path) -> None:
    opened = cluster.nodes[name]._opened
    with data.open("wb") as data_file, keys.open("wb") as keys_file:
        for target, chunk in backup_chunks(opened.home, "secrets/passphrase", opened.blocks, opened.vault, CHEAP):
            (data_file if target == DATA else keys_file).write(chunk)


async def test_a_backup_under_load_restores_joins_and_does_not_bring_back_what_was_erased(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        for customer in ("c1", "c2"):
            transaction, values = cluster.register(customer)
            await cluster.commit(transaction, via="sales", values=values)
            await eventually(lambda values=values: all(holds(cluster, "sales", value) for value in values))
        kept = values

        async def write() -> None:
            while True:
                await cluster.commit(cluster.login("qian"), via="finance")

        writing = asyncio.create_task(write())
        data, keys = tmp_path / "sales.backup", tmp_path / "sales.keys"
        began = cluster.nodes["sales"].height
        await asyncio.to_thread(take, cluster, "sales", data, keys)
        await eventually(lambda: cluster.nodes["sales"].height > began + 3)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await cluster.stop("sales")
        home = cluster.homes["sales"].path
        shutil.move(home, tmp_path / "lost")
        order = Call("erasure.order", {"table": "customers", "record": "c1", "reason": "withdrawn"})
        await cluster.commit(cluster.sign("boss", order), via="administration")

        found = await asyncio.to_thread(
            restore, data, keys, home, PASSPHRASE, verify=True, advance=lambda _blocks: None
        )
        assert began <= found.height < cluster.any.height
        header = cluster.any.blocks.block(found.height).header
        assert (header.id, header.state_root) == (found.block_id, found.state_root)
        assert found.values == 4
        shutil.copytree(tmp_path / "lost" / "secrets", home / "secrets")

        await cluster.start("sales")
        sales = cluster.nodes["sales"]
        await eventually(lambda: sales.status()["view"] is not None)
        assert sales.status()["is_observer"]
        await eventually(lambda: sales.is_ready)  # votes again, level with the others
        await cluster.agree()
        vault = sales._opened.vault
        assert all(holds(cluster, "sales", value) for value in kept)
        assert vault.status()["erased_records"] == 1
        assert vault.status()["live_values"] == 2
        await eventually(lambda: not (cluster.any.view().get("erasures", "customers.c1") or {})["waiting"])
        await cluster.stop("after_sales")
        await cluster.commit(cluster.login("li"), via="sales")

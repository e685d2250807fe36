"""A node as a process, and the ends it can come to while the others go on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from node.folder.opening import open_home
from node.process import API_STOP_S
from node.service import STOP_S
from node.storage.durable import STORAGE_IO, StorageFailure
from tests.node.cluster import DEPARTMENTS, Cluster, eventually, free_ports, genesis_value, make_home, running

pytestmark = pytest.mark.slow


async def answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    ports = free_ports(len(DEPARTMENTS) + 1)
    genesis = genesis_value(dict(zip(DEPARTMENTS, ports, strict=False)))
    home = make_home(tmp_path / "sales", "sales", genesis, ports[3], ports[4])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "node", str(home.path), stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    async with asyncio.timeout(60):
        while not await answers(f"http://127.0.0.1:{ports[4]}/healthz"):
            assert process.returncode is None
            await asyncio.sleep(0.05)
        process.send_signal(number)
        _, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()
    assert b"stopped at height 0" in stderr
    assert b"Traceback" not in stderr
    open_home(home).closing.close()


async def test_a_client_that_hangs_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    ports = free_ports(len(DEPARTMENTS) + 1)
    genesis = genesis_value(dict(zip(DEPARTMENTS, ports, strict=False)))
    home = make_home(tmp_path / "sales", "sales", genesis, ports[3], ports[4])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "node", str(home.path), stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    async with asyncio.timeout(60):
        while not await answers(f"http://127.0.0.1:{ports[4]}/healthz"):
            assert process.returncode is None
            await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[4])
        writer.write(b"POST /v1/transactions HTTP/1.1\r\nHost: node\r\nContent-Length: 100\r\n")
        writer.write(b"Content-Type: application/json\r\n\r\n{")
        await writer.drain()
        process.send_signal(signal.SIGTERM)
        _, stderr = await process.communicate()
        await reader.read()
        writer.close()
    assert process.returncode == 0, stderr.decode()
    assert b"stopped at height 0" in stderr


def test_the_parts_of_a_stop_take_less_than_five_seconds_together() -> None:
    assert API_STOP_S + STOP_S < 5


def fail_writes(cluster: Cluster, name: str) -> None:
    """From now on the disk of this node's chain refuses to write."""

    def refuse(*_: Any) -> None:
        raise StorageFailure(STORAGE_IO, path="chain", reason="ENOSPC")

    cluster.nodes[name]._opened.blocks._store.write = refuse  # type: ignore[method-assign]


async def test_a_full_disk_ends_its_node_and_the_others_go_on(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        fail_writes(cluster, "after_sales")
        await cluster.commit(cluster.login("li"), via="sales")
        await eventually(lambda: cluster.failures)
        with pytest.raises(StorageFailure):
            await cluster.stop("after_sales")
        await cluster.commit(cluster.login("qian"), via="finance")
        await cluster.start("after_sales")
        await cluster.agree(at_least=2)


async def test_a_full_disk_while_catching_up_ends_the_node_too(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.stop("after_sales")
        for _ in range(6):
            await cluster.commit(cluster.login("li"), via="sales")
        await cluster.start("after_sales")
        fail_writes(cluster, "after_sales")
        await eventually(lambda: cluster.failures)
        with pytest.raises(StorageFailure):
            await cluster.stop("after_sales")
        await cluster.start("after_sales")
        await cluster.agree(at_least=6)


async def test_a_failing_vote_log_ends_its_node_before_it_votes(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:

        def refuse() -> None:
            raise StorageFailure(STORAGE_IO, path="votes.log", reason="EIO")

        votes = cluster.nodes["after_sales"]._opened.votes
        assert votes is not None
        votes.sync = refuse  # type: ignore[method-assign]
        await cluster.commit(cluster.login("li"), via="sales")
        await eventually(lambda: cluster.failures)
        with pytest.raises(StorageFailure):
            await cluster.stop("after_sales")
        await cluster.start("after_sales")
        await cluster.agree(at_least=1)

"""A node whose files were damaged comes back by itself: what was set aside comes again from the other departments."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chain.errors import KehuError
from node.folder.config import Home
from node.folder.opening import open_home
from node.soundness.check import check_home
from node.soundness.setting_aside import heal, list_aside
from node.storage.leveldb import LevelStore
from node.vault.rows import LIVE, decode_live, encode_live, parse_live_key
from node.vault.values import VaultValue
from tests.node.cluster import PATIENCE_S, Cluster, eventually
from tests.node.soundness_kit import first, flip

pytestmark = pytest.mark.slow

SCRUB = "[scrub]\ninterval_s = 0.3\nbytes_per_second = 50000000\n"


def holds(cluster: Cluster, value: VaultValue) -> bool:
    digest = value.digest(cluster.chain_id)
    vault = cluster.nodes["sales"]._opened.vault
    is_there = not vault.missing([(value.id, digest)])
    return is_there and vault.get(value.table, value.record, value.field, digest) == value


def spoil_value(home: Home) -> None:
    """One byte of a sealed value, written back with a checksum that is right."""
    store = LevelStore(home.vault)
    key, raw = next(iter(store.scan(LIVE)))
    row = decode_live(parse_live_key(key), raw)
    place, sealed = next(iter(row.items()))
    store.write({key: encode_live({**row, place: sealed[:-1] + bytes([sealed[-1] ^ 1])})})
    store.close()


DAMAGE: dict[str, Callable[[Home], object]] = {
    "a flipped bit in the vote log": lambda home: flip(0.5)(home.votes),
    "a flipped bit in a table of the vault": lambda home: flip(0.3)(first(home.vault, "*.ldb")),
    "no vault keys": lambda home: shutil.rmtree(home.vault_keys),
    "a flipped bit in the keys": lambda home: flip(0.3)(first(home.vault_keys, "*.ldb")),
    "one sealed value": spoil_value,
    "a flipped bit in the chain's state": lambda home: flip(0.9)(first(home.chain, "*.ldb")),
    "no chain": lambda home: shutil.rmtree(home.chain),
}


async def test_each_kind_of_damage_heals_without_anybody(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, SCRUB)
    home = cluster.homes["sales"]
    await cluster.start()
    await cluster.ready()
    values: list[VaultValue] = []
    for number in range(3):
        transaction, brought = cluster.register(f"c{number}")
        values += brought
        await cluster.commit(transaction, via="sales", values=brought)
    for spoil in DAMAGE.values():
        await cluster.agree()
        await eventually(lambda: all(holds(cluster, value) for value in values))
        await cluster.stop("sales")
        shutil.rmtree(home.path / "damaged", ignore_errors=True)
        open_home(home).closing.close()
        spoil(home)
        assert check_home(home.path).findings
        await start_as_a_process_does(cluster)
        await eventually(lambda: cluster.nodes["sales"].is_ready or cluster.nodes["sales"].status()["is_observer"])
        await eventually(lambda: all(holds(cluster, value) for value in values))
        while cluster.nodes["sales"].status()["is_observer"]:
            await cluster.commit(cluster.login("qian"), via="finance")
            await cluster.agree()
    await cluster.stop()


async def start_as_a_process_does(cluster: Cluster) -> None:
    """With a new start after damage that the running node found, as `node.process` makes one."""
    while True:
        await cluster.start("sales")
        await eventually(lambda: cluster.failures or cluster.nodes["sales"].status()["scrub"]["rounds"])
        if not cluster.failures:
            return
        cluster.failures.clear()
        try:
            await cluster.stop("sales")
        except KehuError as error:
            if not heal(cluster.homes["sales"].path, error):
                raise


async def status_of(url: str) -> dict[str, Any]:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/status") as response:
            found: dict[str, Any] = await response.json()
            return found
    except (aiohttp.ClientError, json.JSONDecodeError):
        return {}


async def test_a_process_that_finds_rot_while_it_runs_sets_it_aside_and_goes_on(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, SCRUB)
    home = cluster.homes["sales"]
    await cluster.start()
    await cluster.ready()
    for number in range(6):
        transaction, brought = cluster.register(f"c{number}")
        await cluster.commit(transaction, via="sales", values=brought)
    await cluster.agree()
    await cluster.stop("sales")
    open_home(home).closing.close()
    url = f"http://{home.read_config().listen.api}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "node", str(home.path), stderr=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert process.stderr is not None
    reading = asyncio.create_task(process.stderr.read())
    async with asyncio.timeout(PATIENCE_S):
        while not (await status_of(url)).get("node", {}).get("scrub", {}).get("rounds"):
            assert process.returncode is None, (await reading).decode()
            await asyncio.sleep(0.05)
        table = first(home.chain, "*.ldb")
        with table.open("r+b") as file:  # in place: LevelDB has it mapped
            for at in range(200, table.stat().st_size - 200, 500):
                file.seek(at)
                file.write(b"\xa5")
        while (await status_of(url)).get("height") != cluster.any.height or not list_aside(home.path):
            assert process.returncode is None, (await reading).decode()
            await asyncio.sleep(0.05)
        (damaged, *_) = (await status_of(url))["node"]["damaged"]
        assert (damaged["parts"], damaged["code"]) == (["chain"], "storage.corrupt")
        process.send_signal(signal.SIGTERM)
        await process.wait()
    log = (await reading).decode()
    assert process.returncode == 0, log
    assert "set aside in damaged/" in log
    assert "Traceback" not in log
    assert not [one for one in check_home(home.path).findings if one.weight != "note" and one.what != "votes.log"]
    await cluster.stop()

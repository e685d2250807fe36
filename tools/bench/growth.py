"""Long chains and large states: the rate on them, memory, how soon a node votes, how fast it catches up."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from chain.errors import KehuError
from tools.bench import scenario
from tools.bench.grown import Grown, start_grown
from tools.bench.load import Load, Tally
from tools.bench.network import Network
from tools.bench.scenario import Effort, Figures
from tools.bench.stock import Stock
from tools.bench.workload import Lane

NO_SNAPSHOT = "[snapshot]\nbehind_blocks = 1000000000"
PAUSE_S = 0.05
NODES = 4
RECORD_BYTES = 2_500
"""Of a node's memory, its part of the mapped files included: 1.64 GB with a million while tables were compressed
(docs/performance.md), more since then, and room for the load."""
SOON_S = 600.0
TOLD_S = 15.0
CUSTOMERS_MIN = 500
"""The load's, and some more. A shorter chain has more transactions in a block."""
NEAR = 500
"""Blocks: who has more to go is not asked all the time."""
INDEXED_S = 1_800.0
RESTING = 0.08
"""Of a processor: more than a node takes that has nothing to do."""


def fitting(records: int, available_bytes: int) -> int:
    """So many records, or the tenth, the hundredth ...: what four nodes have room for in memory."""
    while records > 1_000 and records * RECORD_BYTES * NODES > available_bytes:
        records //= 10
    return records


def available_bytes() -> int:
    """Memory that processes can still have (Linux)."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


async def many_records(folder: Path, records: int, effort: Effort) -> Figures:
    """The rate, latency and memory with so many records in the state."""
    network = Network(folder / "many", NODES)
    try:
        story, grown = await start_grown(network, "g", records, records, 1_000)
        resting_s = await _at_rest(network, effort.settling_s)
        async with Load(network, Stock(story)) as load:
            lanes = load.lanes("h", effort.lanes_many, 100, network.editors)
            hundred = await scenario.rate(load, lanes, 100, effort)
            latency = scenario.percentiles_ms((await load.one_by_one(lanes[0], effort.samples)).latencies_s)
            sizes = scenario.sizes(network, records)
        start = await first_vote(network, lanes[0])
    finally:
        await network.stop()
        network.remove()
    memory = sizes["memory_mb"]["median"]
    return {
        "records": records,
        "made": _made(grown),
        "at_rest_s": resting_s,
        "hundred": hundred,
        "unloaded_ms": latency,
        "memory_mb": sizes["memory_mb"],
        "own_memory_mb": sizes["own_memory_mb"],
        "disk_bytes_per_record": sizes["disk_bytes_per_transaction"],
        "memory_mb_at_100k_records": memory if records == 100_000 else None,
        "start": start,
    }


async def long_chain(folder: Path, blocks: int, effort: Effort) -> Figures:
    """A chain of so many blocks of one transaction each, on up to 1,600 customers: the rate and latency, beside those
    of a short one, if there is to be one; the start, the catching up."""
    short = await _on_a_chain(folder / "short", effort.short, effort, is_long=False) if effort.short else None
    long = await _on_a_chain(folder / "long", blocks, effort, is_long=True)
    if short is None:
        return long
    return {
        **long,
        "short": short,
        "ratio": scenario.ratio(long["hundred"], short["hundred"], "per_second"),
        "ratio_of_processor_time": scenario.ratio(short["hundred"], long["hundred"], "node_us_per_transaction"),
    }


async def _on_a_chain(folder: Path, blocks: int, effort: Effort, *, is_long: bool) -> Figures:
    """Latency and rate; on the long one also how a node catches up on its last `effort.caught` blocks, and starts."""
    network = Network(folder, NODES)
    away = network.departments[-1]
    per_block = -(-CUSTOMERS_MIN // blocks)
    lag = min(blocks, effort.caught) * per_block
    found: Figures = {}
    try:
        if is_long:
            network.configure(away, NO_SNAPSHOT)
        behind = (away,) if is_long else ()
        story, grown = await start_grown(network, "b", 1_600, blocks * per_block, per_block, behind, lag)
        found |= {"blocks": grown.height, "made": _made(grown)}
        if is_long:
            found["catch_up"] = await catch_up(network, away, grown, lag)
        await _at_rest(network, effort.settling_s)
        async with Load(network, Stock(story, blocks * per_block)) as load:
            lanes = load.lanes("h", 1, 100, network.editors)
            alone = await load.one_by_one(lanes[0], effort.samples)
            found["unloaded_ms"] = scenario.percentiles_ms(alone.latencies_s)
            found["hundred"] = await scenario.rate(load, lanes, 100, effort)
        if is_long:
            starts = [await first_vote(network, lanes[0]) for _ in range(effort.starts)]
            found["first_vote_s"] = scenario.spread([one["first_vote_s"] for one in starts])
            found["api_s"] = scenario.spread([one["api_s"] for one in starts])
            found["start_processor_s"] = scenario.spread([one["processor_s"] for one in starts])
    finally:
        await network.stop()
        network.remove()
    return found


async def _at_rest(network: Network, pause_s: float) -> float:
    """Until the nodes have looked through their vaults and indexed them, so that they have nothing to do; how long."""
    begin, before = time.monotonic(), -float("inf")
    while (now := network.processor_s()) - before > RESTING * pause_s * NODES and time.monotonic() < begin + INDEXED_S:
        before = now
        await asyncio.sleep(pause_s)
    return round(time.monotonic() - begin, 1)


def _made(grown: Grown) -> dict[str, Any]:
    return {"chain_s": grown.chain_s, "vaults_s": grown.vaults_s, "state_entries": grown.state_entries}


async def first_vote(network: Network, lane: Lane) -> dict[str, float]:
    """Stops two of four nodes and starts one again: the first commit after that has its vote, or there would be none.

    `lane`: of another department than those two, of which nothing is under way.
    """
    await network.wait_level(network.departments)
    async with network.client(network.departments[0]) as client:
        primary = (await client.status())["node"]["primary"]
    tested = network.departments[-1]
    stopped = next(name for name in network.departments[1:-1] if name != primary)  # no view change is to be measured
    await network.stop(stopped, tested)
    begin = time.monotonic()
    for process in network.nodes(tested):
        process.start()
    api_s = await _answers(network, tested) - begin
    async with network.client(tested) as client:
        while not (await client.status())["node"]["is_ready"]:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(PAUSE_S)
    async with Load(network) as load:
        tally = Tally()
        await load.send(lane, lane.next(1, await network.height()), tally)
    if tally.committed != 1:
        raise RuntimeError(f"the first transaction after the start gave {dict(tally.codes)}")
    passed, processor_s = time.monotonic() - begin, network.processor_s(tested)
    await network.restart(stopped)
    return {"api_s": round(api_s, 2), "first_vote_s": round(passed, 2), "processor_s": round(processor_s, 2)}


async def _answers(network: Network, name: str) -> float:
    """When the node's API answers."""
    deadline = time.monotonic() + SOON_S
    while time.monotonic() < deadline:
        try:
            async with network.client(name) as client:
                await client.status()
                return time.monotonic()
        except KehuError:
            await asyncio.sleep(PAUSE_S)
    raise TimeoutError(f"{name} does not answer")


async def catch_up(network: Network, name: str, grown: Grown, transactions: int) -> dict[str, float]:
    """Starts a node that has none of the made blocks and takes no snapshot: how soon it has executed them all, counted
    from the start of its process."""
    wanted, blocks = grown.height, grown.height - grown.first + 1
    begin = time.monotonic()
    for process in network.nodes(name):
        process.start()
    await _answers(network, name)
    await _reach(network, name, wanted)
    passed = time.monotonic() - begin
    return {
        "blocks": blocks,
        "seconds": round(passed, 2),
        "blocks_per_second": round(blocks / passed, 1),
        "transactions_per_second": round(transactions / passed, 1),
        "processor_us_per_block": round(1e6 * network.processor_s(name) / blocks, 1),
    }


async def _reach(network: Network, name: str, wanted: int) -> None:
    """Until the node has that height, told now and then. Errors: TimeoutError, if it comes no further for `SOON_S`."""
    height, since, told = 0, time.monotonic(), time.monotonic()
    async with network.client(name) as client:
        while (now_at := (await client.status())["height"]) < wanted:
            now = time.monotonic()
            height, since = (now_at, now) if now_at > height else (height, since)
            if now - since > SOON_S:
                raise TimeoutError(f"{name} stands at block {height} of {wanted}")
            if now - told > TOLD_S:
                told = now
                print(f"           {name} is at block {height} of {wanted}", file=sys.stderr, flush=True)
            await asyncio.sleep(PAUSE_S if wanted - now_at < NEAR else 1.0)  # answering takes its time, too

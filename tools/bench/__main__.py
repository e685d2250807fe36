"""`make bench`: `python -m tools.bench [--quick] [--json FILE] [--only PART ...] [--seconds S] [--runs N] ...`.

Parts: hundred and one (per request, four nodes), latency, read, stopped, audit, overload, six, many (records), blocks.
What a part needs of others is measured with it.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from tools.bench import growth, overload, scenario
from tools.bench.grown import start_grown
from tools.bench.load import Load
from tools.bench.network import Network
from tools.bench.report import table
from tools.bench.scenario import FULL, QUICK, Effort, Figures
from tools.bench.stock import Stock

PARTS = ("hundred", "one", "latency", "read", "stopped", "audit", "overload", "six", "many", "blocks")
_FOUR = frozenset(PARTS[:7])
NUMBERS = ("seconds", "runs", "few", "many", "short", "blocks", "caught")

Found = TypeVar("Found")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs: a look, not a result")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too; - prints only them")
    parser.add_argument("--seconds", type=float, help="length of one run")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--few", type=int, help="records in the state")
    parser.add_argument("--many", type=int, help="records in the large state")
    parser.add_argument("--short", type=int, help="blocks of the chain that the long one is compared with")
    parser.add_argument("--blocks", type=int, help="blocks of the long chain")
    parser.add_argument("--caught", type=int, help="the most blocks that a node catches up on")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    given = parser.parse_args()
    changed = {name: value for name in NUMBERS if (value := getattr(given, name)) is not None}
    effort = dataclasses.replace(QUICK if given.quick else FULL, **changed)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nodes end with the benchmark, however it ends
    figures = asyncio.run(_measure(effort, tuple(given.only)))
    if given.json is not None and str(given.json) != "-":
        given.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    print(json.dumps(figures, indent=2) if str(given.json) == "-" else table(figures))


async def _measure(effort: Effort, parts: tuple[str, ...]) -> Figures:
    figures: Figures = {
        "cores": os.cpu_count(),
        "interpreter": _interpreter(),
        "effort": dataclasses.asdict(effort),
        "mix": "1 customers.register (2 values) to 9 customers.update (2 values)",
    }
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kehu-bench-") as name:
        folder = Path(name)
        if _FOUR & set(parts) or "many" in parts:
            figures["four"] = await _network(folder, 4, effort, parts)
        if "six" in parts:
            figures["six"] = await _network(folder, 6, effort, ("hundred", "one"))
        if "many" in parts:
            many = growth.fitting(effort.many, growth.available_bytes())
            what = f"{many} records" if many == effort.many else f"{many} records ({effort.many} don't fit in memory)"
            found = await _told(what, growth.many_records(folder, many, effort))
            few = figures["four"]["hundred"]
            found["ratio"] = scenario.ratio(found["hundred"], few, "per_second")
            found["ratio_of_processor_time"] = scenario.ratio(few, found["hundred"], "node_us_per_transaction")
            figures["many"] = found
        if "blocks" in parts:
            figures["blocks"] = await _told(f"{effort.blocks} blocks", growth.long_chain(folder, effort.blocks, effort))
    figures["took_s"] = round(time.monotonic() - begin, 1)
    return figures


def _interpreter() -> str:
    """With what the nodes run. How it was built counts for some per cent (docs/performance.md)."""
    is_optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    how = "" if is_optimised else " built without --enable-optimizations"
    return f"{platform.python_implementation()} {platform.python_version()}{how}"


async def _network(folder: Path, count: int, effort: Effort, parts: tuple[str, ...]) -> Figures:
    network = Network(folder / f"network-{count}", count)
    try:
        story, _ = await _told(f"a network of {count}", start_grown(network, "g", effort.few, effort.few, 500))
        async with Load(network, Stock(story)) as load:
            return await _on(load, folder, effort, parts)
    finally:
        await network.stop()
        network.remove()


async def _on(load: Load, folder: Path, effort: Effort, parts: tuple[str, ...]) -> Figures:
    network = load.network
    lanes = load.lanes("h", effort.lanes_many, 100, network.editors)
    found: Figures = {"records": effort.few}
    found["hundred"] = await _told("100 per request", scenario.rate(load, lanes, 100, effort))
    if "audit" in parts:
        found["audit"] = await _told("audit", scenario.audit(network, folder, effort))
        found["sizes"] = scenario.sizes(network, found["audit"]["transactions"])
    if {"one", "latency"} & set(parts):
        singles = load.lanes("s", effort.lanes_one, 1, network.editors)
        found["one"] = await _told("one per request", scenario.rate(load, singles, 1, effort))
        if "latency" in parts:
            half = found["one"]["per_second"]["median"] / 2
            found["latency"] = await _told("latency", scenario.latencies(load, singles, effort, half))
    if "read" in parts:
        found["read_ms"] = await _told("reads", scenario.reads(network, lanes[0], effort))
    if "overload" in parts:
        over = load.lanes("o", effort.lanes_over, overload.PER_REQUEST, network.editors)
        full = max(1.0, found["hundred"]["per_second"]["median"])
        points = overload.curve(load, over, full, max(2.0, effort.seconds / 3), effort.shares)
        found["overload"] = [dataclasses.asdict(point) for point in await _told("overload", points)]
    if "stopped" in parts:
        found["stopped"] = await _told("one node stopped", scenario.one_stopped(load, lanes, effort))
    return found


async def _told(what: str, measuring: Awaitable[Found]) -> Found:
    print(f"measuring: {what} ...", file=sys.stderr, flush=True)
    begun = time.monotonic()
    found = await measuring
    print(f"           {time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    main()

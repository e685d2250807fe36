"""`make bench`: `python -m tools.bench [--quick] [--json FILE] [--seconds S] [--runs N] [--only PART ...]`."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path

from tools.bench import scenario
from tools.bench.load import Load
from tools.bench.network import Network
from tools.bench.report import table
from tools.bench.scenario import FULL, QUICK, Effort, Figures

PARTS = ("one", "latency", "read", "stopped", "audit", "six")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs: a look, not a result")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too; - prints only them")
    parser.add_argument("--seconds", type=float, help="length of one run")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--only", nargs="*", choices=PARTS, help="these, beside requests of 100 at four nodes")
    given = parser.parse_args()
    effort = QUICK if given.quick else FULL
    changed = {name: value for name in ("seconds", "runs") if (value := getattr(given, name)) is not None}
    parts = PARTS if given.only is None else tuple(given.only)
    figures = asyncio.run(_measure(dataclasses.replace(effort, **changed), parts))
    if given.json is not None and str(given.json) != "-":
        given.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    print(json.dumps(figures, indent=2) if str(given.json) == "-" else table(figures))


async def _measure(effort: Effort, parts: tuple[str, ...]) -> Figures:
    figures: Figures = {
        "cores": os.cpu_count(),
        "effort": dataclasses.asdict(effort),
        "mix": "1 customers.register (2 values) to 9 customers.update (2 values)",
    }
    with tempfile.TemporaryDirectory(prefix="kehu-bench-") as folder:
        figures["four"] = await _network(Path(folder), 4, effort, parts)
        if "six" in parts:
            figures["six"] = await _network(Path(folder), 6, effort, tuple(part for part in parts if part == "one"))
    return figures


async def _network(folder: Path, count: int, effort: Effort, parts: tuple[str, ...]) -> Figures:
    network = Network(folder / f"network-{count}", count)
    try:
        await network.start()
        async with Load(network) as load:
            return await _on(load, folder, effort, parts)
    finally:
        await network.stop()
        network.remove()


async def _on(load: Load, folder: Path, effort: Effort, parts: tuple[str, ...]) -> Figures:
    network = load.network
    lanes = await load.lanes("h", effort.lanes_many, 100, network.editors)
    found: Figures = {"hundred": await _told("100 per request", scenario.rate(load, lanes, 100, effort))}
    if {"one", "latency"} & set(parts):
        singles = await load.lanes("s", effort.lanes_one, 1, network.editors)
        found["one"] = await _told("one per request", scenario.rate(load, singles, 1, effort))
        if "latency" in parts:
            half = found["one"]["per_second"]["median"] / 2
            found["latency"] = await _told("latency", scenario.latencies(load, singles, effort, half))
    if "read" in parts:
        found["read_ms"] = await _told("reads", scenario.reads(network, lanes[0], effort))
    if "stopped" in parts:
        found["stopped"] = await _told("one node stopped", scenario.one_stopped(load, lanes, effort))
    if "audit" in parts:
        found["audit"] = await _told("audit", scenario.audit(network, folder, effort.runs))
        found["sizes"] = scenario.sizes(network, found["audit"]["transactions"])
    return found


async def _told(what: str, measuring: Awaitable[Figures]) -> Figures:
    print(f"measuring: {what} ...", file=sys.stderr, flush=True)
    return await measuring


if __name__ == "__main__":
    main()

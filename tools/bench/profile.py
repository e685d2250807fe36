"""`make profile`: microseconds of processor time per committed transaction and node, by part.

Four node processes with clocks on their parts (tools/bench/profiled.py) take the benchmark's load for a while; readings
before and after are subtracted, summed over the nodes and divided by the transactions that succeeded.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from cli.processes import Process
from tools.bench.bound import verifies_per_second
from tools.bench.grown import start_grown
from tools.bench.load import Load
from tools.bench.network import Network
from tools.bench.stock import Stock

READING_S = 10.0


class ProfiledNetwork(Network):
    def nodes(self, *names: str) -> list[Process]:
        return [
            dataclasses.replace(process, arguments=("tools.bench.profiled", *process.arguments[1:]))
            for process in super().nodes(*names)
        ]

    async def reading(self) -> Counter[str]:
        """ns by part, over all nodes; "" is all of it, "calls PART" counts."""
        files = [self.profile.node_home(name) / "clocks.json" for name in self.departments]
        for file in files:
            file.unlink(missing_ok=True)
        for process in self.nodes():
            process.signal(signal.SIGUSR1)
        deadline = time.monotonic() + READING_S
        while not all(file.exists() for file in files):
            if time.monotonic() > deadline:
                raise TimeoutError("a node gave no reading")
            await asyncio.sleep(0.02)
        total: Counter[str] = Counter()
        for file in files:
            said = json.loads(file.read_text(encoding="ascii"))
            total.update(said["ns"])
            total.update({f"calls {part}": count for part, count in said["calls"].items()})
            total[""] += said["process_ns"]
        return total


async def measure(seconds: float, per_request: int, lanes: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="kehu-profile-") as folder:
        network = ProfiledNetwork(Path(folder) / "network", 4)
        try:
            story, _ = await start_grown(
                network, "g", (customers := lanes * per_request * len(network.editors)), customers, 500
            )
            async with Load(network, Stock(story)) as load:
                made = load.lanes("p", lanes, per_request, network.editors)
                await load.sustain(made, per_request, 1.0)
                before = await network.reading()
                height = await network.height()
                tally = await load.sustain_all(made, per_request, seconds)
                after = await network.reading()
                blocks = await network.height() - height
        finally:
            await network.stop()
    return _figures(after, before, tally.committed, blocks, len(network.departments))


def _figures(after: Counter[str], before: Counter[str], committed: int, blocks: int, nodes: int) -> dict[str, Any]:
    # Exclusive of the quiet moments before and after, but not of what nodes do between blocks.
    share = 1 / 1000 / max(1, committed) / nodes
    spent = {name: after[name] - before[name] for name in after}
    parts = {name: ns * share for name, ns in spent.items() if name and not name.startswith("calls ")}
    parts["loop and rest"] = spent[""] * share - sum(parts.values())
    return {
        "committed": committed,
        "blocks": blocks,
        "transactions_per_block": round(committed / max(1, blocks), 1),
        "verify_us_bound": round(1e6 / (verifies_per_second(0.5) / 2), 1),
        "total_us": round(spent[""] * share, 1),
        "parts_us": {name: round(us, 1) for name, us in sorted(parts.items(), key=lambda item: -item[1])},
        "calls": {
            name.removeprefix("calls "): round(count / max(1, committed) / nodes, 2)
            for name, count in spent.items()
            if name.startswith("calls ")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.profile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--per-request", type=int, default=100)
    parser.add_argument("--lanes", type=int, default=2, help="per department")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures = asyncio.run(measure(given.seconds, given.per_request, given.lanes))
    if given.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{figures['committed']} transactions, {figures['transactions_per_block']} per block, "
          f"{given.per_request} per request; us of processor time per transaction and node:")  # fmt: skip
    for part, us in figures["parts_us"].items():
        calls = figures["calls"].get(part)
        print(f"  {part:<18} {us:>8.1f}   {'' if calls is None else f'{calls:g} calls'}")
    print(f"  {'all':<18} {figures['total_us']:>8.1f}   one strict verification takes {figures['verify_us_bound']}")


if __name__ == "__main__":
    main()

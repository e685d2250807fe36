"""Four real node processes at load for as long as one likes, and whether their memory stays: `make soak MINUTES=60`.

    python -m tests.soak [--minutes M] [--people P]

The state grows by design, since logins, reads and changes are on the record, and it is kept in memory. So what its
entries take, measured by opening a node's chain afterwards, is subtracted, and LevelDB's bounded memory. Prints a line
a minute. Exit: 0 if no node grew beyond what is stated in tests/soak/memory.py and no queue was longer than it may be,
1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

from node.folder.config import Home
from tests.soak.load import Person
from tests.soak.memory import MIB, Growth, Sample, entry_bytes_of, growth_of, overfull
from tools.bench.network import Network

DEPARTMENTS: Final = 4
SAMPLES: Final = 400
"""In a run of any length, but not more often than every second."""
TELL_S: Final = 60.0
MEMPOOL_MAX: Final = 20_000

Samples = dict[str, list[Sample]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--people", type=int, default=2, help="who work at each node at a time")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kehu-soak-"))
    try:
        return asyncio.run(soak(Network(folder / "network", DEPARTMENTS), options.minutes * 60, options.people))
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def soak(network: Network, seconds: float, people: int) -> int:
    counts: Counter[str] = Counter()
    try:
        await network.start()
        samples = await load(network, seconds, people, counts)
    finally:
        await network.stop()
    home = Home(network.profile.node_home("sales"))
    entry_bytes = entry_bytes_of(home.chain)
    return report({name: growth_of(each, entry_bytes) for name, each in samples.items()}, samples, entry_bytes, counts)


async def load(network: Network, seconds: float, people: int, counts: Counter[str]) -> Samples:
    """Everybody works until the time is up; meanwhile the nodes are looked at."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for department in network.departments:
            for number in range(people):
                tasks.create_task(Person(network, department, number, counts).work(stop))
        samples = await watch(network, seconds, counts)
        stop.set()
    return samples


async def watch(network: Network, seconds: float, counts: Counter[str]) -> Samples:
    begun, samples = time.monotonic(), defaultdict(list)
    told = begun
    while (now := time.monotonic()) < begun + seconds:
        for department, own_bytes in zip(network.departments, network.own_bytes(), strict=True):
            async with network.client(department) as client:
                node = (await client.status())["node"]
            staged = int(node["vault"]["staged_values"])
            known = (node["state_entries"], node["storage_memory_bytes"] + node["state_cache_bytes"])
            sample = Sample(now - begun, own_bytes, *known, node["mempool_transactions"], staged)
            samples[department].append(sample)
        if now - told >= TELL_S:
            told = now
            tell(now - begun, seconds, samples, counts)
        await asyncio.sleep(max(1.0, seconds / SAMPLES))
    return samples


def tell(passed: float, seconds: float, samples: Samples, counts: Counter[str]) -> None:
    last = [each[-1] for each in samples.values()]
    memory = ", ".join(f"{sample.own_bytes / MIB:.0f}" for sample in last)
    print(
        f"{passed / 60:.0f} of {seconds / 60:.0f} minutes: {counts.total()} transactions, "
        f"{last[0].entries} entries of state, MiB {memory}",
        flush=True,
    )


def report(growths: dict[str, Growth], samples: Samples, entry_bytes: float, counts: Counter[str]) -> int:
    print(f"{counts.total()} transactions: {dict(counts.most_common())}")
    print(f"an entry of the state takes {entry_bytes:.0f} bytes")
    wrong = []
    for name, growth in growths.items():
        raw, explained, beyond = (f"{rate / MIB:.1f}" for rate in (growth.raw, growth.explained, growth.beyond))
        longest = max(sample.mempool for sample in samples[name])
        print(f"{name}: {raw} MiB an hour, by state and LevelDB {explained}, beyond them {beyond}; mempool {longest}")
        wrong += [f"{name}: grew beyond what the state explains"] if growth.is_too_much else []
        wrong += [f"{name}: {each}" for each in overfull(samples[name], MEMPOOL_MAX)]
    for each in wrong:
        print(each)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

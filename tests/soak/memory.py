"""What a node's memory may do: grow with the state, which is kept in memory, and with LevelDB's bounded buffers and
caches, as the node tells them; and not beyond."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Final

from chain.blocks import BlockStore
from node.storage.leveldb import LevelStore
from node.storage.scratch import ScratchRows

WARM: Final = 1 / 3
"""This part of a run does not count: caches fill, and what is kept for a number of blocks reaches that number."""
MIB: Final = 1 << 20
NOISE_BYTES: Final = 8 * MIB
HOURLY_BYTES: Final = 24 * MIB
"""More than both together, beyond what the state explains, is too much."""
STAGED_MAX: Final = 10_000
"""Values of transactions that are not decided yet, at most."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one node. `own_bytes`: memory without mapped files; `entries`: of the state; `stored_bytes`: LevelDB's."""

    seconds: float
    own_bytes: int
    entries: int
    stored_bytes: int = 0
    mempool: int = 0
    staged: int = 0


@dataclass(frozen=True, slots=True)
class Growth:
    """Of one node, in bytes an hour, after the warm part. `beyond`: what neither state nor LevelDB explain."""

    hours: float
    raw: float
    explained: float
    beyond: float

    @property
    def is_too_much(self) -> bool:
        return self.beyond * self.hours > NOISE_BYTES + HOURLY_BYTES * self.hours


def growth_of(samples: Sequence[Sample], entry_bytes: float) -> Growth:
    """Slopes by the median of all pairs (Theil and Sen): single samples during a collection don't count."""
    kept = [sample for sample in samples if sample.seconds >= samples[-1].seconds * WARM]
    times = [sample.seconds / 3600 for sample in kept]
    raw = _slope(times, [float(sample.own_bytes) for sample in kept])
    known = [sample.entries * entry_bytes + sample.stored_bytes for sample in kept]
    explained = _slope(times, known)
    beyond = _slope(times, [sample.own_bytes - part for sample, part in zip(kept, known, strict=True)])
    return Growth(times[-1] - times[0], raw, explained, beyond)


def _slope(times: Sequence[float], values: Sequence[float]) -> float:
    points = zip(times, values, strict=True)
    return median((later[1] - sooner[1]) / (later[0] - sooner[0]) for sooner, later in combinations(points, 2))


def entry_bytes_of(chain: Path) -> float:
    """What one entry of the state takes in memory, by loading the state of a stopped node as a node does."""
    with closing(LevelStore(chain)) as store, closing(ScratchRows(chain.parent)) as scratch:
        tracemalloc.start()
        try:
            state = BlockStore(store).load_state(scratch)
            return tracemalloc.get_traced_memory()[0] / len(state)
        finally:
            tracemalloc.stop()


def overfull(samples: Sequence[Sample], mempool_max: int) -> list[str]:
    """Queues that were longer than they may be."""
    found = []
    if (longest := max(sample.mempool for sample in samples)) > mempool_max:
        found.append(f"mempool of {longest} transactions, {mempool_max} allowed")
    if (most := max(sample.staged for sample in samples)) > STAGED_MAX:
        found.append(f"{most} staged values, {STAGED_MAX} allowed")
    return found

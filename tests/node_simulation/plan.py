"""What goes wrong in one simulated network of nodes, drawn from its seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from chain.validators import faults_tolerated

DEPARTMENTS = ("administration", "after_sales", "finance", "sales", "process", "technical", "legal")
SIZES = (4, 4, 4, 5, 6, 7)
MEMPOOL_MAX = 60

FAULT_KINDS = (
    "link_reset",
    "delay",
    "partition",
    "one_way_cut",
    "pause",
    "kill",
    "power_cut",
    "lost_unsynced",
    "restart",
    "slow_node",
    "slow_disk",
    "disk_full",
    "short_log",
    "clock_skew",
    "clock_step",
    "clocks_set_back",
    "wiped",
    "rolled_back",
    "grabber",
)
"""A run of many seeds that never injects one of these has tested less than it says, and fails."""
DAMAGE_KINDS = ("wiped", "rolled_back", "clock", "grabber")
"""What makes a member one of the f faulty ones: a disk that forgot, a clock that is hours wrong, others' transactions
in batches of its own."""


@dataclass(frozen=True, slots=True)
class Plan:
    n: int
    chaos_s: float = 20.0
    """How long faults go on; then everything heals."""
    operations: int = 12
    late: float = 0.0
    """The part of frames that take up to one and a half seconds longer."""
    resets: float = 0.0
    """The part of frames at which their stream breaks."""
    partitions: int = 0
    one_way_cuts: int = 0
    pauses: int = 0
    kills: int = 0
    power_cuts: int = 0
    restarts: int = 0
    slow_nodes: int = 0
    slow_disks: int = 0
    full_disks: int = 0
    skew_ms: int = 0
    """Every clock is wrong by up to so much."""
    ahead_ms: int = 0
    """All clocks are ahead by so much for half of `chaos_s`; then they are set back, behind the chain's time."""
    has_short_logs: bool = False
    """Vote logs are rewritten when they have a few kilobytes, at every other block or view."""
    damaged: tuple[str, ...] = ()

    @classmethod
    def drawn(cls, rng: Random) -> Plan:
        n = rng.choice(SIZES)
        faulty = rng.randint(0, faults_tolerated(n)) if rng.random() < 0.5 else 0
        return cls(
            n=n,
            chaos_s=rng.choice((8.0, 20.0)),
            operations=rng.randint(6, 16),
            late=rng.choice((0.0, 0.0, 0.02, 0.1)),
            resets=rng.choice((0.0, 0.0, 0.002, 0.01)),
            partitions=rng.choice((0, 0, 1, 2)),
            one_way_cuts=rng.choice((0, 0, 1, 2)),
            pauses=rng.choice((0, 0, 1, 2)),
            kills=rng.choice((0, 0, 1, 3)),
            power_cuts=rng.choice((0, 0, 1, 3)),
            restarts=rng.choice((0, 0, 1)),
            slow_nodes=rng.choice((0, 0, 1)),
            slow_disks=rng.choice((0, 0, 1)),
            full_disks=rng.choice((0, 0, 1)),
            skew_ms=rng.choice((0, 0, 200, 1_000)),
            damaged=tuple(rng.choice(DAMAGE_KINDS) for _ in range(faulty)),
            ahead_ms=rng.choice((0, 0, 0, 30_000, 3_600_000)),
            has_short_logs=rng.random() < 0.5,
        )

    @property
    def departments(self) -> tuple[str, ...]:
        return tuple(sorted(DEPARTMENTS[: self.n]))

    def config(self, department: str) -> dict[str, Any]:
        return {
            "department": department,
            "listen": {"peer": "127.0.0.1:1", "api": "127.0.0.1:2"},
            "consensus": {"view_timeout_ms": 600, "view_timeout_max_ms": 4_000, "retransmit_ms": 200},
            "limits": {"mempool_transactions": MEMPOOL_MAX},
        }

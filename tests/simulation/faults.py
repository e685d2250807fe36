"""What goes wrong in one simulated network, drawn from its seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Literal

Byzantine = Literal["silent", "twins", "liar"]

FAULT_KINDS = (
    "loss",
    "delay",
    "duplicate",
    "partition",
    "crash",
    "log_lost",
    "silent",
    "twins",
    "liar",
    "fetch",
    "storm",
)
"""A run of many seeds that never injects one of these has tested less than it says."""


@dataclass(frozen=True, slots=True)
class Plan:
    n: int
    chaos_ms: int
    """How long faults go on; then the network heals, and only Byzantine members stay as they are."""
    transactions: int
    loss: float
    slow: float
    """The part of messages that take up to a second (and overtake one another)."""
    duplicate: float
    partitions: int
    crashes: int
    log_losses: int
    byzantine: tuple[Byzantine, ...]
    """What the members that are faulty for good do; at most f, less the members that lose their logs."""

    @classmethod
    def drawn(cls, rng: Random, n: int | None = None) -> Plan:
        members = n or rng.choice((4, 5, 6, 7))
        faulty = rng.randint(0, (members - 1) // 3)
        log_losses = rng.randint(0, 1) if faulty else 0
        kinds: tuple[Byzantine, ...] = ("silent", "twins", "liar")
        return cls(
            n=members,
            chaos_ms=rng.choice((2_000, 6_000, 15_000)),
            transactions=rng.randint(3, 20),
            loss=rng.choice((0.0, 0.0, 0.05, 0.2)),
            slow=rng.choice((0.0, 0.02, 0.2)),
            duplicate=rng.choice((0.0, 0.1)),
            partitions=rng.choice((0, 0, 1, 3)),
            crashes=rng.choice((0, 0, 2, 6)),
            log_losses=log_losses,
            byzantine=tuple(rng.choice(kinds) for _ in range(faulty - log_losses)),
        )

    def as_storm(self) -> Plan:
        """The same network, with so many crashes, partitions and losses that hardly any view is left in peace."""
        return replace(self, chaos_ms=12_000, transactions=30, loss=0.25, partitions=8, crashes=60)

    @classmethod
    def fault_free(cls, n: int, transactions: int) -> Plan:
        return cls(n, 2_000, transactions, 0.0, 0.0, 0.0, 0, 0, 0, ())

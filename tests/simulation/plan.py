"""What goes wrong in one simulated network, drawn from its seed: a subset of everything that can."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from chain.validators import faults_tolerated

SIZES = (4, 5, 6, 7, 10)
DRAWN_SIZES = (4,) * 6 + (5, 6, 7) * 3 + (10,)
DRAWN_CHAOS_MS = (2_000,) * 6 + (6_000,) * 2 + (12_000,)
"""What a seed draws from. A network of ten costs five times as much as one of four, and long chaos three times as much
as short; what goes wrong mostly goes wrong in small networks soon, so more of these are looked at in the same time."""

NETWORK_FAULTS = ("loss", "delay", "duplicate", "reorder", "partition", "one_way_cut")
NODE_FAULTS = ("pause", "crash", "lost_unsynced", "torn_tail", "clock_skew", "clock_step", "storm", "short_log")
MEMBER_FAULTS = ("wiped", "rolled_back", "restored")
"""A vote log that is gone; one of some moments ago; a whole disk of some time ago. The member counts among the f."""
LOG_LOST = ("wiped", "emptied")
"""The log is gone; with "emptied", which no seed draws, the chain too but for what a copy of some time ago has."""
ACTOR_KINDS = (
    "silent",
    "equivocator",
    "twins",
    "forger",
    "replayer",
    "bad_new_view",
    "huge_views",
    "withholder",
    "slow_primary",
    "bad_blocks",
    "lying_sync",
    "garbler",
    "flooder",
    "agitator",
    "favourer",
    "miser",
    "hoarder",
    "postponer",
    "stale_sync",
    "late_prover",
)
CHANGE_KINDS = ("member_added", "member_removed", "member_replaced", "key_rotated")
"""Changes of the validator set while everything else goes on. No faults, and no kind may be missing either."""
FAULT_KINDS = NETWORK_FAULTS + NODE_FAULTS + MEMBER_FAULTS + ACTOR_KINDS + CHANGE_KINDS
"""A run of many seeds that never injects one of these has tested less than it says, and fails."""


@dataclass(frozen=True, slots=True)
class Plan:
    n: int
    chaos_ms: int = 2_000
    """How long faults go on; then the network heals, and only Byzantine members stay as they are."""
    transactions: int = 10
    loss: float = 0.0
    slow: float = 0.0
    """The part of messages that take up to one and a half seconds (and are overtaken)."""
    duplicate: float = 0.0
    partitions: int = 0
    one_way_cuts: int = 0
    pauses: int = 0
    crashes: int = 0
    skew: float = 0.0
    """Clocks run this much faster or slower at most, and begin anywhere."""
    clock_steps: int = 0
    damaged: tuple[str, ...] = ()
    """What happens to the disks of members that are correct otherwise (MEMBER_FAULTS), one member each."""
    byzantine: tuple[str, ...] = ()
    """What the members that are faulty for good do (ACTOR_KINDS); with `damaged` at most f."""
    is_storm: bool = False
    has_short_logs: bool = False
    """Vote logs are shortened whenever there is something to let go (node/replica/driver.py), not only when large."""
    changes: tuple[str, ...] = ()
    """CHANGE_KINDS in order; one that would leave too few members, or more than f faulty ones, is left out."""
    distance: int = 2
    """Heights between the acceptance of a change and its activation."""

    @classmethod
    def drawn(cls, rng: Random, n: int | None = None) -> Plan:
        members = n or rng.choice(DRAWN_SIZES)
        faulty = rng.choice((faults_tolerated(members), rng.randint(0, faults_tolerated(members))))
        damaged = rng.randint(0, faulty) if rng.random() < 0.4 else 0
        plan = cls(
            n=members,
            chaos_ms=rng.choice(DRAWN_CHAOS_MS),
            transactions=rng.randint(3, 20),
            has_short_logs=rng.random() < 0.4,
            loss=rng.choice((0.0, 0.0, 0.05, 0.2)),
            slow=rng.choice((0.0, 0.0, 0.02, 0.2)),
            duplicate=rng.choice((0.0, 0.0, 0.1)),
            partitions=rng.choice((0, 0, 1, 3)),
            one_way_cuts=rng.choice((0, 0, 1, 4)),
            pauses=rng.choice((0, 0, 1, 3)),
            crashes=rng.choice((0, 0, 2, 6)),
            skew=rng.choice((0.0, 0.02, 0.1)),
            clock_steps=rng.choice((0, 0, 2)),
            damaged=tuple(rng.choice(MEMBER_FAULTS) for _ in range(damaged)),
            byzantine=tuple(rng.choice(ACTOR_KINDS) for _ in range(faulty - damaged)),
        )
        plan = plan.as_storm() if rng.random() < 0.03 else plan
        if rng.random() < 0.6:
            return plan
        changes = tuple(rng.choice(CHANGE_KINDS) for _ in range(rng.randint(1, 4)))
        return replace(plan, changes=changes, distance=rng.choice((2, 2, 3, 8)))

    def as_storm(self) -> Plan:
        """The same network, with so many crashes, partitions and losses that hardly any view is left in peace."""
        return replace(self, chaos_ms=12_000, transactions=30, loss=0.25, partitions=8, crashes=60, is_storm=True)

    @classmethod
    def fault_free(cls, n: int, transactions: int) -> Plan:
        return cls(n, transactions=transactions)

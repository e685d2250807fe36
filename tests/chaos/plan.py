"""What will be done to the network, drawn from a seed: the same rounds for the same seed, everywhere.

In a safe round at most f departments are faulty, and the network must go on. In a hard one more are: it must stand
still, and go on once they are healed. Every round of the first pass is another kind, so that each has been injected
when the pass is over; what follows is drawn freely until the time is up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

PRIMARY: Final = "primary"
"""As a victim: whoever is primary when the round begins."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a kind may be used. `hold_s`: least and most seconds. `is_hard`: also with more than f victims.

    `victims`: one kind needs none, it is for all links.
    """

    hold_s: tuple[float, float]
    is_hard: bool = False
    has_victims: bool = True


SHAPES: Final = {
    "kill": Shape((1.0, 6.0), is_hard=True),
    "power_cut": Shape((0.5, 5.0), is_hard=True),
    "pause": Shape((2.0, 8.0), is_hard=True),
    "partition": Shape((3.0, 9.0), is_hard=True),
    "one_way_cut": Shape((3.0, 8.0)),
    "ring": Shape((3.0, 6.0), has_victims=False),
    "loss": Shape((4.0, 8.0), has_victims=False),
    "flapping": Shape((6.0, 10.0)),
    "clock": Shape((5.0, 9.0)),
    "disk_full": Shape((5.0, 8.0)),
    "disk_dead": Shape((4.0, 7.0)),
    "sync_error": Shape((4.0, 7.0)),
    "read_only": Shape((4.0, 7.0)),
    "stop": Shape((0.5, 4.0)),
}
PRIMARY_FIRST: Final = ("kill", "power_cut", "pause", "partition")
"""In the first pass these hit the primary, so that each run measures fail-overs."""
HARD_SHARE: Final = 0.25
PRIMARY_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True)
class Round:
    """One fault: `victims` are departments or PRIMARY; `seed` decides what else the kind leaves open."""

    number: int
    kind: str
    victims: tuple[str, ...]
    hold_s: float
    seed: int
    is_hard: bool = False

    def __str__(self) -> str:
        many = "hard " if self.is_hard else ""
        on = f" on {', '.join(self.victims)}" if self.victims else ""
        return f"round {self.number}: {many}{self.kind}{on} for {self.hold_s:.1f} s"


def rounds(seed: int, departments: Sequence[str], kinds: Sequence[str] = tuple(SHAPES)) -> Iterator[Round]:
    """Without end. The first `first_pass(kinds)` of them use every kind, and every hard one."""
    chance = Random(seed)
    f = (len(departments) - 1) // 3
    first = [(kind, False) for kind in kinds] + [(kind, True) for kind in kinds if SHAPES[kind].is_hard]
    chance.shuffle(first)
    number = 0
    while True:
        if number < len(first):
            kind, is_hard = first[number]
            is_on_primary = kind in PRIMARY_FIRST
        else:
            kind = chance.choice(list(kinds))
            is_hard = SHAPES[kind].is_hard and chance.random() < HARD_SHARE
            is_on_primary = chance.random() < PRIMARY_SHARE
        number += 1
        count = chance.randint(f + 1, len(departments)) if is_hard else chance.randint(1, f)
        victims = chance.sample(list(departments), count) if SHAPES[kind].has_victims else []
        if victims and is_on_primary and not is_hard:
            victims[0] = PRIMARY
        hold_s = round(chance.uniform(*SHAPES[kind].hold_s), 1)
        yield Round(number, kind, tuple(victims), hold_s, chance.getrandbits(32), is_hard)


def first_pass(kinds: Sequence[str]) -> int:
    """How many rounds it takes until every kind was used."""
    return len(kinds) + sum(SHAPES[kind].is_hard for kind in kinds)


def name_victims(victims: Sequence[str], primary: str, departments: Sequence[str]) -> tuple[str, ...]:
    """The victims with PRIMARY put in its place; nobody twice, and as many as were drawn."""
    named = [primary if victim == PRIMARY else victim for victim in victims]
    spare = [name for name in departments if name not in named]
    out: list[str] = []
    for name in named:
        out.append(spare.pop(0) if name in out else name)
    return tuple(out)

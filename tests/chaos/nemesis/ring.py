"""Nobody hears everybody: each department has its two neighbours in a ring, or only one hears all (a bridge)."""

from __future__ import annotations

from functools import partial

from tests.chaos.nemesis.base import Nemesis


class Ring(Nemesis):
    async def begin(self) -> None:
        names = list(self.network.departments)
        self.chance.shuffle(names)
        pairs = _outside_ring(names) if self.chance.random() < 0.5 else _beside_bridge(names)
        await self.together([partial(self.network.net.cut, [one], [two]) for one, two in pairs])
        self.notes.append(f"{len(pairs)} links cut")
        self.injected += 1

    async def heal(self) -> None:
        await self.together([self.network.net.heal])


def _outside_ring(names: list[str]) -> list[tuple[str, str]]:
    count = len(names)
    return [
        (names[one], names[two])
        for one in range(count)
        for two in range(one + 1, count)
        if (two - one) not in (1, count - 1)
    ]


def _beside_bridge(names: list[str]) -> list[tuple[str, str]]:
    """The first hears both halves of the others; the halves don't hear each other."""
    half = 1 + (len(names) - 1) // 2
    return [(one, two) for one in names[1:half] for two in names[half:]]

"""A fifth of all packets between departments is lost."""

from __future__ import annotations

from functools import partial

from tests.chaos.nemesis.base import Nemesis

SHARE = 0.2


class Loss(Nemesis):
    async def begin(self) -> None:
        net = self.network.net
        await self.together([partial(net.lose, name, SHARE) for name in self.network.departments])

    async def heal(self) -> None:
        dropped = self.network.net.dropped()
        self.injected += 1 if dropped else 0
        self.notes.append(f"{dropped} packets dropped")
        await self.together([self.network.net.heal])

"""A department hears nothing, or is not heard, while the other direction works."""

from __future__ import annotations

from functools import partial

from tests.chaos.nemesis.base import Nemesis


class OneWayCut(Nemesis):
    async def begin(self) -> None:
        net = self.network.net
        for name in self.victims:
            rest = [other for other in self.network.departments if other != name]
            # All of them, or all but one: then two departments still talk, and the third sees another network.
            hit = rest if self.chance.random() < 0.6 else rest[:-1]
            act = net.deafen if self.chance.random() < 0.5 else net.mute
            await self.together([partial(act, name, hit)])
            self.notes.append(f"{'deaf' if act == net.deafen else 'mute'} towards {len(hit)}")
            self.injected += 1

    async def heal(self) -> None:
        await self.together([self.network.net.heal])

"""A cable that comes and goes every two seconds."""

from __future__ import annotations

import asyncio
import time

from tests.chaos.nemesis.base import Nemesis

PERIOD_S = 2.0


class Flapping(Nemesis):
    async def begin(self) -> None:
        self._turn(is_up=False)

    def _turn(self, *, is_up: bool) -> None:
        for name in self.victims:
            (self.network.net.plug if is_up else self.network.net.unplug)(name)
            self.injected += not is_up

    async def hold(self, seconds: float) -> None:
        deadline, is_up = time.monotonic() + seconds, False
        while (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(PERIOD_S, left))
            is_up = not is_up
            self._turn(is_up=is_up)

    async def heal(self) -> None:
        await self.together([self.network.net.heal])

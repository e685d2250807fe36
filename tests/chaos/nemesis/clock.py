"""A wall clock jumps, by seconds or by an hour, forward or back, and jumps again while the round lasts."""

from __future__ import annotations

import asyncio

from tests.chaos.nemesis.base import Nemesis

STEPS_S = (-3600.0, -30.0, -2.0, 2.0, 30.0, 3600.0)


class Clock(Nemesis):
    async def begin(self) -> None:
        self._step()

    def _step(self) -> None:
        for node in self.nodes:
            offset_s = self.chance.choice(STEPS_S)
            node.set_clock(offset_s)
            self.notes.append(f"{offset_s:+.0f} s")
            self.injected += 1

    async def hold(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 2)
        self._step()
        await asyncio.sleep(seconds / 2)

    async def heal(self) -> None:
        for node in self.nodes:
            node.set_clock(0)

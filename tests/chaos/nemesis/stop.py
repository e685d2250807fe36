"""SIGTERM under load: an orderly stop within its bound, and nothing lost."""

from __future__ import annotations

import asyncio

from tests.chaos.nemesis.base import Nemesis
from tests.chaos.nodes import STOP_S


class Stop(Nemesis):
    slack = 1.0
    """What the bound is multiplied with on a machine that has other things to do."""

    async def begin(self) -> None:
        took = await asyncio.gather(*(asyncio.to_thread(node.stop) for node in self.nodes))
        for node, seconds in zip(self.nodes, took, strict=True):
            code = node.endings[-1].code if node.endings else None
            if seconds is None or seconds > STOP_S * self.slack or code != 0:
                self.wrongs.append(f"{node.department} did not stop in order: {seconds} s, exit {code}")
            else:
                self.notes.append(f"stopped in {seconds:.1f} s")
            self.injected += 1

    async def heal(self) -> None:
        for node in self.nodes:
            node.start()

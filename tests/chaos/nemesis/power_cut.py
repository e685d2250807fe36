"""The power fails: what was not synced is gone, and the process with it."""

from __future__ import annotations

from functools import partial

from tests.chaos.nemesis.base import Nemesis
from tests.chaos.nodes import NodeProcess


class PowerCut(Nemesis):
    async def begin(self) -> None:
        await self.together([partial(self._cut, node) for node in self.nodes])
        self.injected += len(self.nodes)

    def _cut(self, node: NodeProcess) -> None:
        node.disk.cut_power()
        node.kill()

    async def heal(self) -> None:
        await self.together([node.disk.give_power for node in self.nodes])
        for node in self.nodes:
            node.start()

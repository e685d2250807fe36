"""SIGKILL: what the process had not given to the system is gone."""

from __future__ import annotations

from tests.chaos.nemesis.base import Nemesis


class Kill(Nemesis):
    async def begin(self) -> None:
        await self.together([node.kill for node in self.nodes])
        self.injected += len(self.nodes)

    async def heal(self) -> None:
        for node in self.nodes:
            node.start()

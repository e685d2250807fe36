"""No byte is free on the disk (ENOSPC)."""

from __future__ import annotations

from tests.chaos.nemesis.base import BrokenDisk
from tests.chaos.nodes import NodeProcess


class DiskFull(BrokenDisk):
    async def begin(self) -> None:
        await self.together([node.disk.fill for node in self.nodes])

    def mend(self, node: NodeProcess) -> None:
        node.kill()
        node.disk.empty()

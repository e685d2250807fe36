"""The disk fails under a running node: every write, sync and new read is refused (EIO)."""

from __future__ import annotations

from tests.chaos.nemesis.base import BrokenDisk


class DiskDead(BrokenDisk):
    async def begin(self) -> None:
        await self.together([node.disk.cut_power for node in self.nodes])

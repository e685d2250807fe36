"""The file system gives up and becomes read-only under a running node (EROFS)."""

from __future__ import annotations

from tests.chaos.nemesis.base import BrokenDisk


class ReadOnly(BrokenDisk):
    async def begin(self) -> None:
        await self.together([node.disk.abort for node in self.nodes])

"""A single sync fails with EIO, once, and later ones would succeed: what it was for must not count as written."""

from __future__ import annotations

import asyncio
import subprocess

from tests.chaos.nemesis.base import BrokenDisk
from tests.chaos.nodes import NodeProcess

SYNCS_MAX = 8


def _trace(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, stderr=subprocess.DEVNULL)


class SyncError(BrokenDisk):
    async def begin(self) -> None:
        self._tracers: list[subprocess.Popen[bytes]] = []
        for node in self.nodes:
            which = self.chance.randint(1, SYNCS_MAX)
            words = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", "/dev/null", "-p", str(node.pid)]
            # `when` counts per system call and thread: the first of either kind that comes so far ends the node.
            fault = f"inject=fsync,fdatasync:error=EIO:when={which}"
            self._tracers.append(_trace([*words, "-e", fault]))
            self.notes.append(f"sync number {which}")

    async def heal(self) -> None:
        await super().heal()
        for tracer in self._tracers:
            await asyncio.to_thread(tracer.wait, 10)

    def mend(self, node: NodeProcess) -> None:
        """The disk itself is good."""
        node.kill()

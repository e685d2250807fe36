"""SIGSTOP: the process stands still with all its connections open, and goes on later as if nothing had been."""

from __future__ import annotations

import signal

from tests.chaos.nemesis.base import Nemesis


class Pause(Nemesis):
    async def begin(self) -> None:
        for node in self.nodes:
            node.send(signal.SIGSTOP)
            self.injected += 1

    async def heal(self) -> None:
        for node in self.nodes:
            node.send(signal.SIGCONT)

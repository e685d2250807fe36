"""What every kind of fault does: begin, perhaps go on, and be healed. It says what was wrong with how nodes took it."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from tests.chaos.network import Network
from tests.chaos.nodes import EXIT_STORAGE, NodeProcess


class Nemesis(ABC):
    """One fault on `victims` (none for kinds that are on all links). `wrongs` are broken promises, in words.

    `injected` counts what really happened; a round that counts nothing was none.
    """

    def __init__(self, network: Network, victims: Sequence[str], chance: Random) -> None:
        self.network, self.victims, self.chance = network, tuple(victims), chance
        self.injected = 0
        self.wrongs: list[str] = []
        self.notes: list[str] = []

    @property
    def nodes(self) -> list[NodeProcess]:
        return [self.network.nodes[name] for name in self.victims]

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(name for name in self.network.departments if name not in self.victims)

    @abstractmethod
    async def begin(self) -> None:
        """Injects the fault."""

    async def hold(self, seconds: float) -> None:
        """What happens between the beginning and the healing: by default nothing more."""
        await asyncio.sleep(seconds)

    @abstractmethod
    async def heal(self) -> None:
        """Back to a whole network: every process started, every link and disk as it was."""

    async def together(self, work: Sequence[Callable[[], object]]) -> None:
        """Runs blocking calls at once, each in a thread."""
        await asyncio.gather(*(asyncio.to_thread(call) for call in work))


ENDS_S = 30.0
"""How long a node under load may go on until it has to write again; a starved machine makes it long."""


class BrokenDisk(Nemesis):
    """A disk that refuses: the node must end by itself, with the exit code that says so."""

    async def hold(self, seconds: float) -> None:
        begun_s = time.monotonic()
        ended = await asyncio.gather(*(asyncio.to_thread(node.wait_end, ENDS_S) for node in self.nodes))
        for node, ending in zip(self.nodes, ended, strict=True):
            if ending is None:
                self.wrongs.append(f"{node.department} went on for {ENDS_S:.0f} s on a disk that refuses")
            elif ending.code != EXIT_STORAGE:
                self.wrongs.append(f"{node.department} ended with {ending.code} on a disk that refuses")
            else:
                self.injected += 1
                self.notes.append(f"ended by itself after {ending.at_s - begun_s:.1f} s")
        await asyncio.sleep(max(0.0, begun_s + seconds - time.monotonic()))

    async def heal(self) -> None:
        await self.together([partial(self.mend, node) for node in self.nodes])
        for node in self.nodes:
            node.start()

    def mend(self, node: NodeProcess) -> None:
        """Makes the disk good once the node is gone."""
        node.kill()
        node.disk.give_power()

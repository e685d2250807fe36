"""One department's machine: a disk, a clock, and a node's process that runs, dies and is started again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from chain.errors import InvariantError, KehuError
from node.aside import thread
from node.folder.config import Config, Home
from node.folder.opening import open_disk
from node.folder.reading import HomeFiles
from node.service import Node
from node.soundness.setting_aside import parts_hit
from node.storage.durable import StorageFailure
from node.surroundings import Surroundings
from tests.node.cluster import key_of
from tests.node_simulation.disk import DiskOfLife, PowerCutError, SimDisk
from tests.node_simulation.grabber import grab
from tests.node_simulation.loop import Life
from tests.node_simulation.wires import SimListener

if TYPE_CHECKING:
    from tests.node_simulation.world import World

Answer = TypeVar("Answer")
FULL_CODES = {"storage.io", "storage.refused"}
AGED_CODES = {"votelog.old", "votelog.ahead_of_chain", "vault.keys_missing", "vault.locked"}
"""With what a node may end: a full disk; a disk that was put back from an old copy."""


class UnreachableError(Exception):
    """Nobody answers, or the process that was to answer is gone: the outcome is unknown."""


class Machine:
    def __init__(self, world: World, name: str, folder: Path) -> None:
        self.world, self.name = world, name
        self.rng = Random(f"machine {world.seed} {name}")
        self.disk = SimDisk(partial(world.checker.on_chain, name), lambda: self.rng.random() < 0.5)
        self.disk.on_cut, self.disk.on_full = self._on_cut, self._on_full
        self.disk.on_shortened = partial(world.count, "short_log")
        self.skew_ms = 0
        self.is_damaged = False
        """Its disk was taken back or away: what it promised before does not bind it any more."""
        self.is_grabber = False
        self.life: Life | None = None
        self.node: Node | None = None
        self.opened: DiskOfLife | None = None
        self.lives = 0
        self.past: list[tuple[Life, Any]] = []
        self.disk_delay_ms = 1
        self._home = Home(folder / name)
        self._home.path.mkdir()
        config = Config.model_validate(world.plan.config(name))
        self._files = HomeFiles(config, world.genesis, key_of(f"node {name}"), None)

    # The process

    @property
    def is_up(self) -> bool:
        return self.life is not None and not self.life.is_over

    @property
    def is_serving(self) -> bool:
        return self.is_up and self.node is not None

    def start(self) -> None:
        if self.is_up:
            return
        self.lives += 1
        self.life, self.node, self._was_full = Life(self.name, self.lives), None, False
        self.world.note(f"start {self.name}")
        self.world.loop.create_task(self._live(self.life), context=self.life.context)

    def _around(self, disk: DiskOfLife) -> Surroundings:
        loop, world = self.world.loop, self.world
        draw = Random(f"life {world.seed} {self.name} {self.lives}")
        return Surroundings(
            wall_ms=self.wall_ms,
            monotonic_ms=lambda: int(loop.time() * 1000),
            draw=draw.randbytes,
            jitter=draw.random,
            free_bytes=disk.free_bytes,
            dial=world.wires.dial,
            make_listener=partial(SimListener, world.wires),
            make_blocking=thread,
        )

    def wall_ms(self) -> int:
        return self.world.wall_ms() + self.skew_ms

    async def _live(self, life: Life) -> None:
        """As node.process runs a node."""
        try:
            await self._serve(life)
        except PowerCutError:
            return
        except KehuError as error:
            self._on_error(error)
        except BaseException as error:
            self.world.fail(f"{self.name} ended with {type(error).__name__}: {error}", error)
        if not life.is_over:
            self.end(is_silent=False)
            self.world.later(self.rng.choice((0.2, 2.0)), self.start)

    async def _serve(self, life: Life) -> None:
        self.opened = disk = DiskOfLife(self.disk, life)
        opened = open_disk(self._home, self._files, disk)
        with opened.closing:
            node = Node(opened, self._around(disk))
            if self.is_grabber:
                grab(node, key_of(f"node {self.name}"), partial(self.world.count, "grabber"))
            self.past.append((life, node))
            try:
                await node.start()
                self.node = node
                await node.run(life.stop)
            finally:
                await node.stop()

    def _on_error(self, error: KehuError) -> None:
        world = self.world
        world.count(f"ended {error.code}")
        parts = parts_hit(self._home.path, error)
        is_expected = (error.code in FULL_CODES and self._was_full) or (error.code in AGED_CODES and self.is_damaged)
        if not is_expected:
            world.fail(f"{self.name} ended with {error}", error)
        self.disk.set_aside(parts)

    def end(self, *, is_silent: bool) -> None:
        """The process is gone from one callback to the next; with `is_silent` the machine is, too."""
        life = self.life
        if life is None or life.is_over:
            return
        if self.opened is not None and self.opened.votes is not None and self.opened.votes.unsynced:
            self.world.count("lost_unsynced")
        life.is_over, self.node = True, None
        self.world.note(f"end {self.name}")
        self.world.wires.on_end(life, is_silent=is_silent)
        for end in life.ends:
            end()

    def stop(self) -> None:
        """Asks the process to end in good order."""
        if self.is_serving and self.life is not None:
            self.world.loop.call_soon(self.life.stop.set, context=self.life.context)

    def _on_cut(self, database: str) -> None:
        world = self.world
        world.count("power_cut")
        world.note(f"power cut {self.name} {database}")
        self.end(is_silent=True)
        world.later(self.rng.choice((0.3, 3.0, 9.0)), self.start)

    def _on_full(self) -> None:
        self.world.count("disk_full")
        self._was_full = True

    # Clients

    async def ask(self, question: Callable[[Node], Awaitable[Answer]], timeout_s: float) -> Answer:
        """Somebody outside asks this machine's node; errors are the node's, or `UnreachableError`."""
        life, node, loop = self.life, self.node, self.world.loop
        if life is None or node is None or not self.is_serving:
            raise UnreachableError
        answer: asyncio.Future[Answer] = loop.create_future()

        async def serve() -> None:
            try:
                result = await question(node)
            except Exception as error:
                if isinstance(error, (InvariantError, StorageFailure)):
                    node.fail(error)  # as node.api does
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(result)

        def lost() -> None:
            if not answer.done():
                answer.set_exception(UnreachableError())

        life.ends.append(lost)
        loop.create_task(serve(), context=life.context)
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise UnreachableError from None

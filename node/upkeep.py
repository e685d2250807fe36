"""A node's background work, and the one place where what a node must not survive is noticed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("kehu.node")


class Upkeep:
    """`failed` gets the first error that ends the node: of a task, or one that somebody reports by `fail`."""

    def __init__(self) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work for as long as the node runs; any error of it ends the node."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        if not self.failed.done():
            log.critical("the node stops: %s", error)
            self.failed.set_exception(error)
            self.failed.exception()  # seen: whoever runs the node may be stopping it already

    async def cancel(self) -> None:
        """Ends all tasks and waits for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

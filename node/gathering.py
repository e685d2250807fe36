"""What several ask for at about the same time is done as one piece of work, and each has his own part of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Gathering(Generic[Item, Answer]):
    """For one event loop. Whoever owns it decides when `answer` is called, and closes it."""

    def __init__(self) -> None:
        self._asked: list[tuple[Sequence[Item], asyncio.Future[list[Answer]]]] = []

    def __len__(self) -> int:
        """How many wait for the next `answer`."""
        return len(self._asked)

    def ask(self, items: Sequence[Item]) -> asyncio.Future[list[Answer]]:
        """The answers to `items`, in their order. To cancel it takes nothing back."""
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._asked.append((items, future))
        return future

    async def answer(self, work: Callable[[list[Item]], Awaitable[Sequence[Answer]]]) -> None:
        """All that was asked for up to now: `work` has one answer for each item. What it raises is everybody's error;
        if it is cancelled, so are they."""
        asked, self._asked = self._asked, []
        if not asked:
            return
        try:
            answers = list(await work([item for items, _ in asked for item in items]))
            start = 0
            for items, future in asked:
                if not future.done():
                    future.set_result(answers[start : start + len(items)])
                start += len(items)
        except Exception as failure:
            for _, future in asked:
                if not future.done():
                    future.set_exception(failure)
        finally:
            for _, future in asked:
                future.cancel()

    def close(self) -> None:
        """Nobody answers any more: who still waits is cancelled."""
        asked, self._asked = self._asked, []
        for _, future in asked:
            future.cancel()

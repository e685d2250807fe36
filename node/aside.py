"""Work that waits for the disk: done in place while it is quick, and in a thread while it is not.

A hand-over to a thread and back waits twice for the interpreter's lock and once for the event loop's next turn, which
costs more than a flush of a quick disk, eight times in every commit. So what was quick the last time is done in place.
What takes longer holds up everything else once, and then goes to threads for a while, until it is tried again: a slow
disk costs one such wait in `RUNS_ASIDE`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar

QUICK_S: Final = 0.002
RUNS_ASIDE: Final = 16

Given = ParamSpec("Given")
Made = TypeVar("Made")

Blocking: TypeAlias = Callable[..., Awaitable[Any]]
"""As `asyncio.to_thread`: runs a function with its arguments and gives what it returns or raises."""


def thread() -> Blocking:
    """Always in a thread."""
    return asyncio.to_thread


class Aside:
    """A `Blocking` for one kind of work. For one event loop; `clock_s` is monotone."""

    def __init__(self, clock_s: Callable[[], float] = time.perf_counter) -> None:
        self._clock_s = clock_s
        self._aside_left = 0

    async def __call__(self, work: Callable[Given, Made], *args: Given.args, **named: Given.kwargs) -> Made:
        if self._aside_left:
            self._aside_left -= 1
            return await asyncio.to_thread(work, *args, **named)
        begun = self._clock_s()
        try:
            return work(*args, **named)
        finally:
            if self._clock_s() - begun > QUICK_S:
                self._aside_left = RUNS_ASIDE

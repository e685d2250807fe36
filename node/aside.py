"""Work that waits for the disk: done in place while it is quick, and in a thread while it is not.

A hand-over to a thread and back waits twice for the interpreter's lock and once for the event loop's next turn, which
costs more than a flush of a quick disk, eight times in every commit. So what was quick is done in place. What took
long twice in a row held up everything else twice, and goes to threads until it was quick there or is tried in place
again: a slow disk costs one such wait in `RUNS_ASIDE`. Once is no sign of a slow disk, because time also passes while
other processes have the processor.
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
        self._was_slow = False

    async def __call__(self, work: Callable[Given, Made], *args: Given.args, **named: Given.kwargs) -> Made:
        if not self._aside_left:
            return self._in_place(work, *args, **named)
        self._aside_left -= 1
        made, is_quick = await asyncio.to_thread(lambda: self._clocked(work, *args, **named))
        if is_quick:
            self._aside_left, self._was_slow = 0, False
        return made

    def _in_place(self, work: Callable[Given, Made], *args: Given.args, **named: Given.kwargs) -> Made:
        made, is_quick = self._clocked(work, *args, **named)
        if not is_quick and self._was_slow:
            self._aside_left = RUNS_ASIDE
        self._was_slow = not is_quick
        return made

    def _clocked(self, work: Callable[Given, Made], *args: Given.args, **named: Given.kwargs) -> tuple[Made, bool]:
        """What it made, and whether it was quick. What fails says nothing of the disk's pace."""
        begun = self._clock_s()
        return work(*args, **named), self._clock_s() - begun <= QUICK_S

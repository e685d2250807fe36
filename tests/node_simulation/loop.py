"""An asyncio event loop with virtual time, on which a whole network of nodes runs in one thread and comes out the same.

Nothing waits: when nothing is ready, the time of the next timer is now. Work for other threads runs on the loop, after
a delay that stands for the disk. Every callback belongs to a `Life` (one run of one node's process) or to the
world; a life that is over runs no callback any more, one that is paused gets its callbacks when it goes on. So a crash
may fall between any two callbacks, and takes with it exactly what a dead process loses: everything but the disk.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any

LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class Life:
    """One run of a node's process."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.is_over = self.is_paused = False
        self.stop = asyncio.Event()
        """Set to have the node stop in good order."""
        self.held: list[asyncio.Handle] = []
        """Callbacks that wait for the end of a pause; after the end of the life, those that never came to run."""
        self.ends: list[Callable[[], None]] = []
        """Called once when the life ends, from the world."""
        self.context = Context()
        self.context.run(LIFE.set, self)

    def holds_up(self, handle: asyncio.Handle) -> bool:
        if self.is_over or self.is_paused:
            self.held.append(handle)  # kept, so that nothing is collected (and cleans up) while the others run
            return True
        return False


def life_of(handle: asyncio.Handle) -> Life | None:
    found: Life | None = handle._context.get(LIFE)
    return found


class _Handle(asyncio.Handle):
    def _run(self) -> None:
        life = life_of(self)
        if life is None or not life.holds_up(self):
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    def _run(self) -> None:
        life = life_of(self)
        if life is None or not life.holds_up(self):
            super()._run()


CALLBACKS_MAX = 1_000_000


class StuckError(Exception):
    """Nothing is ready and no timer runs, or there is work without end."""


class SimLoop(asyncio.BaseEventLoop):
    """`disk_delay_s` says how long work in another thread takes, by whose it is."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self
        self._clock_resolution = 1e-9
        self.callbacks = self._tidied = 0
        self.disk_delay_s: Callable[[Life | None], float] = lambda _life: 0.0

    def time(self) -> float:
        return self._now

    # What BaseEventLoop asks of a selector and of its children

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None or self.callbacks > CALLBACKS_MAX:
            raise StuckError(f"after {self.callbacks} callbacks, at {self._now:.3f} s")
        if timeout > 0:
            self._now = max(self._now, self._scheduled[0]._when)
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none: nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody sleeps."""

    def _call_soon(self, callback: Any, args: Any, context: Any) -> asyncio.Handle:
        self.callbacks += 1
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()
        self.call_later(self.disk_delay_s(LIFE.get()), self._work, future, func, args)
        return future

    def _work(self, future: asyncio.Future[Any], func: Callable[..., Any], args: Any) -> None:
        """Runs even if nobody waits any more, as a thread would."""
        try:
            result = func(*args)
        except BaseException as error:
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    def tidy(self) -> bool:
        """Takes away what still was to be done; whether there was anything, or this was the first time."""
        self._tidied += 1
        self.disk_delay_s = lambda _life: 0.0
        had = bool(self._ready or self._scheduled) or self._tidied == 1
        self._ready.clear()
        self._scheduled.clear()
        return had

    # Lives

    def go_on(self, life: Life) -> None:
        """Ends a pause: what was held comes first, in its order."""
        life.is_paused = False
        if not life.is_over:
            held, life.held = life.held, []
            self._ready.extend(held)

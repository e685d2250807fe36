"""Where a node's processor time goes: clocks around named functions, each counting what is not inside another clock.

Time is the thread's own processor time, so waiting costs nothing and threads don't count each other. A coroutine is
timed step by step. An absorbing part keeps what runs inside it: a dry run counts as planning, not as execution. The
clocks themselves cost about 0.7 us per call, which is in the figures; sampling would be cheaper and couldn't tell a dry
run from the real one. The collector has a clock of its own wherever it comes in, and so have threads of which the
interpreter knows nothing: LevelDB's.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Generator
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Final

COLLECTOR: Final = "collector"
UNKNOWN_THREADS: Final = "LevelDB's thread"

_local = threading.local()
_lock = threading.Lock()
_totals: list[Counter[str]] = []
_calls: list[Counter[str]] = []


class _Thread:
    """One thread's open clocks: [part, is_absorbing, ns when it last began to count]."""

    def __init__(self) -> None:
        self.ns: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.open: list[list[Any]] = []
        with _lock:
            _totals.append(self.ns)
            _calls.append(self.calls)

    def enter(self, part: str, is_absorbing: bool, *, is_absorbed: bool = True) -> None:
        now = time.thread_time_ns()
        if self.open:
            outer = self.open[-1]
            self.ns[outer[0]] += now - outer[2]
            if outer[1] and is_absorbed:
                part, is_absorbing = outer[0], True
        self.open.append([part, is_absorbing, now])

    def leave(self) -> None:
        now = time.thread_time_ns()
        part, _, since = self.open.pop()
        self.ns[part] += now - since
        if self.open:
            self.open[-1][2] = now


def _thread() -> _Thread:
    if not hasattr(_local, "clocks"):
        _local.clocks = _Thread()
    clocks: _Thread = _local.clocks
    return clocks


class _Steps:
    """Drives a coroutine, with the clock running only while it runs."""

    def __init__(self, part: str, is_absorbing: bool, inner: Awaitable[Any]) -> None:
        self._part, self._is_absorbing, self._inner = part, is_absorbing, inner

    def __await__(self) -> Generator[Any, Any, Any]:
        inner: Any = self._inner.__await__()
        thread = _thread()
        sent: Any = None
        raised: BaseException | None = None
        while True:
            thread.enter(self._part, self._is_absorbing)
            try:
                waited = inner.send(sent) if raised is None else inner.throw(raised)
            except StopIteration as end:
                return end.value
            finally:
                thread.leave()
            sent = raised = None
            try:
                sent = yield waited
            except BaseException as error:
                raised = error


def timed(owner: Any, name: str, part: str, *, is_absorbing: bool = False) -> None:
    """Puts a clock around `owner.name`, a function, method or coroutine function."""
    raw = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
    function = raw.__func__ if isinstance(raw, classmethod) else raw

    if iscoroutinefunction(function):

        @wraps(function)
        async def clocked(*args: Any, **named: Any) -> Any:
            _thread().calls[part] += 1
            return await _Steps(part, is_absorbing, function(*args, **named))

    else:

        @wraps(function)
        def clocked(*args: Any, **named: Any) -> Any:
            thread = _thread()
            thread.calls[part] += 1
            thread.enter(part, is_absorbing)
            try:
                return function(*args, **named)
            finally:
                thread.leave()

    setattr(owner, name, classmethod(clocked) if isinstance(raw, classmethod) else clocked)


def time_collector() -> None:
    """Puts a clock around the collector, which runs in the midst of whatever makes the next object."""

    def clocked(phase: str, _info: dict[str, int]) -> None:
        thread = _thread()
        if phase == "start":
            thread.calls[COLLECTOR] += 1
            thread.enter(COLLECTOR, is_absorbing=True, is_absorbed=False)
        else:
            thread.leave()

    gc.callbacks.append(clocked)


def _unknown_threads_ns() -> int:
    """Processor time of the threads that run no Python (Linux)."""
    known = {str(thread.native_id) for thread in threading.enumerate()}
    tasks = [task for task in Path("/proc/self/task").iterdir() if task.name not in known]
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks)


def reading() -> dict[str, Any]:
    """ns and calls by part of all threads so far, and the process's whole processor time."""
    with _lock:
        ns: Counter[str] = sum(map(Counter, _totals), Counter())
        calls: Counter[str] = sum(map(Counter, _calls), Counter())
    ns[UNKNOWN_THREADS] = _unknown_threads_ns()
    return {"ns": dict(ns), "calls": dict(calls), "process_ns": time.process_time_ns()}

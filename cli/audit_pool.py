"""Signatures on all cores, and an orderly answer to Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Final, Self

from chain.audit import SignatureCheck, check_packed, check_signatures, pack_checks
from chain.errors import KehuError, define
from chain.findings import AuditFinding

WORKER_LOST = define(
    "machine.worker_lost",
    "a process that checks signatures for the audit was ended from outside, or none could be started",
    "the machine may be short of memory: try again with --jobs 1; --resume keeps what was checked",
)

CHUNK_SIGNATURES: Final = 500
"""20 ms of work: small beside an audit, large beside handing it over."""
CHUNKS_PER_WORKER: Final = 8
"""How far the replay may run ahead: enough to keep every process busy, little to hold in memory."""


class SignaturePool:
    """Checks signatures in the order they are submitted: in this process where `jobs` is 1, else in `jobs` - 1 others,
    for the replay keeps one core busy, and what bounds an audit is how fast it gets on.

    Findings come back in that order too, so the first one returned is the first in the chain.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = max(1, jobs if jobs is not None else os.cpu_count() or 1)
        self._workers = max(1, self.jobs - 1)
        self._gathered: list[SignatureCheck] = []
        self._pending: deque[Future[AuditFinding | None]] = deque()
        self._executor: ProcessPoolExecutor | None = None
        self._not_ours: set[BaseProcess] = set()
        self._is_lost = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is None:
            return
        if self._is_lost:
            for process in set(multiprocessing.active_children()) - self._not_ours:
                process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def submit(self, checks: list[SignatureCheck]) -> AuditFinding | None:
        """Takes more work; returns a finding as soon as the oldest chunks are known to have one. Errors:
        machine.worker_lost, also of `drain`."""
        self._gathered += checks
        if len(self._gathered) < CHUNK_SIGNATURES:
            return None
        chunk, self._gathered = self._gathered, []
        if self.jobs == 1:
            return check_signatures(chunk)
        try:
            for begin in range(0, len(chunk), CHUNK_SIGNATURES):
                packed = pack_checks(chunk[begin : begin + CHUNK_SIGNATURES])
                self._pending.append(self._pool().submit(check_packed, packed))
        except (BrokenExecutor, OSError):  # the latter from a start just while the executor finds out
            raise self._lost() from None
        return self._collect(self._workers * CHUNKS_PER_WORKER)

    def drain(self) -> AuditFinding | None:
        """Waits for everything that was submitted; the first finding in it."""
        chunk, self._gathered = self._gathered, []
        return self._collect(0) or check_signatures(chunk)

    def _collect(self, left: int) -> AuditFinding | None:
        while len(self._pending) > left or (self._pending and self._pending[0].done()):
            try:
                finding = self._pending.popleft().result()
            except BrokenExecutor:
                raise self._lost() from None
            if finding is not None:
                return finding
        return None

    def _lost(self) -> KehuError:
        self._is_lost = True
        return KehuError(WORKER_LOST, jobs=self.jobs)

    def _pool(self) -> ProcessPoolExecutor:
        if self._executor is None:
            self._not_ours = set(multiprocessing.active_children())
            self._executor = ProcessPoolExecutor(
                self._workers, multiprocessing.get_context("spawn"), initializer=_belong_to_the_parent
            )
            # All processes at once, as where it forks. One that is started while it finds out that another was ended
            # from outside is forgotten, and waited for without end (seen with Python 3.11).
            self._executor._safe_to_dynamically_spawn_children = False  # type: ignore[attr-defined]
        return self._executor


def _belong_to_the_parent() -> None:
    """Interrupts are the parent's, and a worker ends when it does, however that came: each worker holds both ends of
    the pipe from which it takes its work, so that it would wait there without end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, name="parent", daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def interrupt_flag() -> Iterator[Callable[[], bool]]:
    """While it lasts, the first Ctrl-C only makes the yielded function return True; the second interrupts."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    previous = signal.getsignal(signal.SIGINT)

    def press(_number: int, _frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)

"""Many inputs over several processes. What comes out depends on the numbers of the executions and on nothing else.

Executions are numbered; each `CHUNK` of them is one target's, drawn from a `Random` of the chunk's number.
"""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any, Final

from chain.crypto import SigningKey, verify
from chain.errors import KehuError
from tests.fuzz.files import file_targets
from tests.fuzz.http import http_targets
from tests.fuzz.peers import peer_targets
from tests.fuzz.replicas import replica_targets
from tests.fuzz.target import ACCEPTED, Take, Target
from tests.fuzz.wire import chain_targets

CHUNK: Final = 500
HANG_CPU_S: Final = 5.0
"""An execution that takes so much processor time is ended, and is a finding."""
VERIFY_S: Final = 42.5e-6
ROWS_S: Final = 2.5e-3
"""A strict verification, and `_write_and_read_rows`, on the machine for which bounds of processor time are stated."""
SILENCE_S: Final = 300
"""A run of which no chunk ends for so long stands still in something that can't be ended from within."""
PROGRESS_S: Final = 5.0
FINDINGS_MAX: Final = 20


@cache
def targets() -> dict[str, Target]:
    every = [*chain_targets(), *file_targets(), *replica_targets(), *peer_targets(), *http_targets()]
    return {target.name: target for target in every}


@cache
def schedule() -> tuple[str, ...]:
    """Each target's name as often as its weight, mixed."""
    names = [target.name for target in targets().values() for _ in range(target.weight)]
    Random(0).shuffle(names)
    return tuple(names)


@dataclass(slots=True)
class Tally:
    """What became of the inputs of one target."""

    executions: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    bytes: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.executions += other.executions
        self.seconds += other.seconds
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.bytes += other.bytes
        self.outcomes.update(other.outcomes)


@dataclass(slots=True)
class ChunkDone:
    target: str
    tally: Tally
    digest: bytes
    findings: list[str]
    peak_bytes: int


@dataclass(slots=True)
class Campaign:
    seconds: float = 0.0
    tallies: dict[str, Tally] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    digest: str = ""
    peak_bytes: int = 0

    @property
    def executions(self) -> int:
        return sum(tally.executions for tally in self.tallies.values())

    def add(self, chunk: ChunkDone) -> None:
        self.tallies.setdefault(chunk.target, Tally()).add(chunk.tally)
        self.findings += chunk.findings
        self.peak_bytes = max(self.peak_bytes, chunk.peak_bytes)


class Hang(BaseException):
    """No `Exception`: what is fuzzed must not take it for one of its own."""


def judge(take: Take, data: bytes, patience: float = 1.0) -> tuple[str, str]:
    """(outcome, what is wrong): one of them is empty. `patience` times as long as else before it is ended."""
    try:
        with no_hang(patience):
            return take(data) or ACCEPTED, ""
    except KehuError as error:
        return error.code, ""
    except (Exception, Hang) as error:
        return "", f"{type(error).__name__}: {error}"


def run_chunk(job: tuple[int, int, str | None]) -> ChunkDone:
    """The executions of one chunk: (its number, how many, a target in place of the scheduled one)."""
    number, count, name = job
    target = targets()[name or schedule()[number % len(schedule())]]
    tally, sha, findings, rng = Tally(), hashlib.sha256(), [], Random(number)
    begun = time.perf_counter()
    with target.open() as take:
        for at in range(count):
            data = target.draw(rng)
            started = time.process_time()
            outcome, problem = judge(take, data)
            spent_s = time.process_time() - started
            if spent_s > cpu_s_max(target) and not problem:
                spent_s = min(spent_s, least_seconds(take, data))
                if spent_s > cpu_s_max(target):
                    problem = f"{spent_s * 1000:.0f} ms of processor time for {len(data)} bytes"
            tally.slowest_s = max(tally.slowest_s, spent_s)
            tally.outcomes[outcome or "!"] += 1
            tally.bytes += len(data)
            sha.update(data + outcome.encode())
            if problem:
                findings.append(_told(target, number * CHUNK + at, number * CHUNK, data, problem))
                break  # what comes after it may come of it
    tally.executions, tally.seconds = at + 1, time.perf_counter() - begun
    return ChunkDone(target.name, tally, sha.digest(), findings, peak_bytes())


@cache
def slowness() -> float:
    """How many times as long as the machine for which the bounds of processor time are stated this one takes; at
    least 1. By the worse of two works: interpreting suffers more from shared caches than a signature does."""
    key, chain_id, payload = SigningKey(bytes(range(32))), bytes(32), bytes(350)
    signature = key.sign("transaction", chain_id, payload)

    def verify_fifty() -> None:
        for _ in range(50):
            verify(key.public, "transaction", chain_id, payload, signature)

    return max(1.0, _quickest_s(verify_fifty) / (50 * VERIFY_S), _quickest_s(_write_and_read_rows) / ROWS_S)


def _write_and_read_rows() -> None:
    """What readers do all day: make objects, and let go of them."""
    json.loads(json.dumps([{"id": number, "name": str(number), "of": [number]} for number in range(2_000)]))


def _quickest_s(work: Callable[[], object], times: int = 8) -> float:
    """Processor time of the quickest of several goes: what the work costs, not what else went on."""
    spent = []
    for _ in range(times):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent)


def cpu_s_max(target: Target) -> float:
    """What one execution may take here."""
    return target.cpu_s_max * slowness()


def least_seconds(take: Take, data: bytes, times: int = 3) -> float:
    return _quickest_s(lambda: judge(take, data), times)


def _told(target: Target, execution: int, first: int, data: bytes, problem: str) -> str:
    return (
        f"{target.name}, execution {execution}: {problem}\n"
        f"    python -m tests.fuzz --target '{target.name}' --input {data.hex() or 'empty'}\n"
        f"    with all that came before it: python -m tests.fuzz --target '{target.name}' --from {first}"
        f" --executions {execution - first + 1}"
    )


@contextmanager
def no_hang(patience: float = 1.0) -> Iterator[None]:
    """Ends what takes more than `HANG_CPU_S` of this process's time, in the main thread of a process."""
    before = signal.signal(signal.SIGPROF, _end)
    signal.setitimer(signal.ITIMER_PROF, HANG_CPU_S * slowness() * patience)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _end(*_args: Any) -> None:
    raise Hang(f"more than {HANG_CPU_S:.0f} s of processor time")


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def jobs_of(first: int, executions: int, name: str | None) -> list[tuple[int, int, str | None]]:
    """Chunks from the one that has execution `first`."""
    begin, left = first // CHUNK, executions
    jobs = []
    while left > 0:
        jobs.append((begin + len(jobs), min(CHUNK, left), name))
        left -= CHUNK
    return jobs


def run_campaign(first: int, executions: int, name: str | None = None, processes: int | None = None) -> Campaign:
    done, begun, sha = Campaign(), time.perf_counter(), hashlib.sha256()
    jobs = jobs_of(first, executions, name)
    targets()  # made once, before the processes part
    gc.freeze()
    told_s = begun
    with multiprocessing.get_context("fork").Pool(processes or os.cpu_count() or 1) as pool:
        results = pool.imap(run_chunk, jobs)
        for number, _, _ in jobs:
            try:
                chunk = results.next(SILENCE_S)
            except multiprocessing.TimeoutError:
                done.findings.append(f"no end of the executions from {number * CHUNK} on for {SILENCE_S} s")
                break
            done.add(chunk)
            sha.update(chunk.digest)
            done.seconds, done.digest = time.perf_counter() - begun, sha.hexdigest()[:16]
            if begun + done.seconds - told_s >= PROGRESS_S:
                told_s = begun + done.seconds
                _tell(done, executions)
            if len(done.findings) >= FINDINGS_MAX:
                break
    return done


def _tell(done: Campaign, executions: int) -> None:
    rate = done.executions / done.seconds
    part = f"{done.executions} of {executions} executions, {rate:.0f} a second, {len(done.findings)} findings"
    print(part, file=sys.stderr, flush=True)

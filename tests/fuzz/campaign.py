"""Many inputs over several processes. What comes out depends on the numbers of the executions and on nothing else.

Executions are numbered; each `CHUNK` of them is one target's, drawn from a `Random` of the chunk's number.
"""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any, Final

from chain.errors import KehuError
from tests.fuzz.files import file_targets
from tests.fuzz.http import http_targets
from tests.fuzz.peers import peer_targets
from tests.fuzz.replicas import replica_targets
from tests.fuzz.target import ACCEPTED, Take, Target
from tests.fuzz.wire import chain_targets

CHUNK: Final = 500
HANG_S: Final = 60
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


def judge(take: Take, data: bytes) -> tuple[str, str]:
    """(outcome, what is wrong): one of them is empty."""
    try:
        return take(data) or ACCEPTED, ""
    except KehuError as error:
        return error.code, ""
    except Exception as error:
        return "", f"{type(error).__name__}: {error}"


def run_chunk(job: tuple[int, int, str | None]) -> ChunkDone:
    """The executions of one chunk: (its number, how many, a target in place of the scheduled one)."""
    number, count, name = job
    target = targets()[name or schedule()[number % len(schedule())]]
    tally, sha, findings, rng = Tally(), hashlib.sha256(), [], Random(number)
    begun = time.perf_counter()
    with target.open() as take, no_hang():
        for at in range(count):
            data = target.draw(rng)
            started = time.process_time()
            outcome, problem = judge(take, data)
            spent_s = time.process_time() - started
            if spent_s > target.cpu_s_max:
                spent_s = min(spent_s, least_seconds(take, data))
                if spent_s > target.cpu_s_max:
                    problem = problem or f"{spent_s * 1000:.0f} ms of processor time for {len(data)} bytes"
            tally.slowest_s = max(tally.slowest_s, spent_s)
            tally.outcomes[outcome or "!"] += 1
            tally.bytes += len(data)
            sha.update(data + outcome.encode())
            if problem:
                findings.append(_told(target, number * CHUNK + at, number * CHUNK, data, problem))
                break  # what comes after it may come of it
    tally.executions, tally.seconds = at + 1, time.perf_counter() - begun
    return ChunkDone(target.name, tally, sha.digest(), findings, peak_bytes())


def least_seconds(take: Take, data: bytes, times: int = 3) -> float:
    """Processor time of the quickest of several goes: what the input costs, not what else went on."""
    spent = []
    for _ in range(times):
        started = time.process_time()
        judge(take, data)
        spent.append(time.process_time() - started)
    return min(spent)


def _told(target: Target, execution: int, first: int, data: bytes, problem: str) -> str:
    return (
        f"{target.name}, execution {execution}: {problem}\n"
        f"    python -m tests.fuzz --target '{target.name}' --input {data.hex() or 'empty'}\n"
        f"    with all that came before it: python -m tests.fuzz --target '{target.name}' --from {first}"
        f" --executions {execution - first + 1}"
    )


@contextmanager
def no_hang() -> Iterator[None]:
    """Ends what takes longer than `HANG_S` by the wall, in the main thread of a process."""

    def end(*_args: Any) -> None:
        raise TimeoutError(f"took longer than {HANG_S} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


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
    count = processes or os.cpu_count() or 1
    with multiprocessing.get_context("fork").Pool(count) as pool:
        for number, chunk in enumerate(pool.imap(run_chunk, jobs, chunksize=4), 1):
            done.tallies.setdefault(chunk.target, Tally()).add(chunk.tally)
            sha.update(chunk.digest)
            done.findings += chunk.findings
            done.peak_bytes = max(done.peak_bytes, chunk.peak_bytes)
            if number % 1_000 == 0:
                print(f"{number * CHUNK} executions, {len(done.findings)} findings", file=sys.stderr, flush=True)
            if len(done.findings) >= FINDINGS_MAX:
                break
    done.seconds, done.digest = time.perf_counter() - begun, sha.hexdigest()[:16]
    return done

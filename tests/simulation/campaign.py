"""Many seeds over several processes, added up. The result does not depend on how many processes there are."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.runs import replay_command, run_seed

CHUNK = 20
SHARE = 100
"""One seed in this many runs with real signatures as well, and one twice more under other hash seeds."""
HASH_SEEDS = ("0", "4242")


@dataclass(slots=True)
class Campaign:
    seeds: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    slowest: tuple[int, int] = (0, 0)
    digest: str = ""
    real_seeds: int = 0
    repeated_seeds: int = 0


@dataclass(slots=True)
class Outcome:
    """What one seed came to."""

    seed: int
    trace: str = ""
    n: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failure: str = ""


def outcome_of(seed: int, n: int | None, *, has_real_crypto: bool) -> Outcome:
    try:
        world = run_seed(seed, n, has_real_crypto=has_real_crypto)
    except Exception as error:  # every seed is run, whatever one of them finds
        command = replay_command(seed, n, has_real_crypto=has_real_crypto)
        return Outcome(seed, failure=f"seed {seed}: {type(error).__name__}: {error}\n    {command}")
    world.counts["events"] = world.events
    return Outcome(seed, world.digest(), world.plan.n, world.counts)


def run_chunk(job: tuple[range, int | None, bool]) -> list[Outcome]:
    seeds, n, is_real = job
    gc.set_threshold(100_000, 20, 20)  # a world is a large heap that lives briefly; collecting it early costs a tenth
    return [outcome_of(seed, n, has_real_crypto=is_real) for seed in seeds]


def run_campaign(
    first: int, seeds: int, n: int | None = None, processes: int | None = None, *, has_real_crypto: bool = False
) -> Campaign:
    done, started, last = Campaign(seeds=seeds), time.monotonic(), first + seeds
    jobs = [(range(at, min(at + CHUNK, last)), n, has_real_crypto) for at in range(first, last, CHUNK)]
    sampled = range(first + (-first) % SHARE, last, SHARE)
    real_jobs = [] if has_real_crypto else [(range(seed, seed + 1), n, True) for seed in sampled]
    traces = hashlib.sha256()
    with ProcessPoolExecutor(processes) as pool:
        for outcomes in pool.map(run_chunk, jobs):
            for outcome in outcomes:
                add(done, outcome)
                traces.update(outcome.trace.encode())
        for outcomes in pool.map(run_chunk, real_jobs):
            done.real_seeds += 1
            done.failures += [outcome.failure for outcome in outcomes if outcome.failure]
    done.digest = traces.hexdigest()
    if sampled and not has_real_crypto:
        compare_hash_seeds(done, sampled, n)
    done.seconds = time.monotonic() - started
    return done


def add(done: Campaign, outcome: Outcome) -> None:
    if outcome.failure:
        done.failures.append(outcome.failure)
        return
    done.slowest = max(done.slowest, (outcome.counts.pop("convergence_ms"), outcome.seed))
    done.sizes[outcome.n] += 1
    done.counts.update(outcome.counts)


def compare_hash_seeds(done: Campaign, sampled: range, n: int | None) -> None:
    """B39: what a replica does must not depend on the order of a set."""
    with ThreadPoolExecutor(len(HASH_SEEDS)) as together:
        one, other = together.map(lambda hash_seed: traces_under(hash_seed, sampled, n), HASH_SEEDS)
    done.repeated_seeds = len(sampled)
    for seed, first_trace, second_trace in zip(sampled, one, other, strict=True):
        if first_trace != second_trace:
            done.disagreements.append(f"seed {seed}: another trace under another PYTHONHASHSEED\n"
                                      f"    PYTHONHASHSEED={HASH_SEEDS[0]} {replay_command(seed, n)}")  # fmt: skip


def traces_under(hash_seed: str, sampled: range, n: int | None) -> list[str]:
    arguments = [str(sampled.start), str(sampled.stop), str(sampled.step), str(n or 0)]
    command = [sys.executable, "-m", "tests.simulation.campaign", *arguments]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


if __name__ == "__main__":
    *span, members = (int(argument) for argument in sys.argv[1:])
    for each in range(*span):
        print(outcome_of(each, members or None, has_real_crypto=False).trace or "failed")

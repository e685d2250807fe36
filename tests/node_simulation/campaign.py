"""Many seeds over several processes, added up. The result does not depend on how many processes there are."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.node_simulation.runs import Outcome, replay_command, run_seed

SHARE = 100
"""One seed in this many runs twice more, under two hash seeds."""
HASH_SEEDS = ("0", "4242")


@dataclass(slots=True)
class Campaign:
    seeds: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    blocks: int = 0
    virtual_s: float = 0.0
    slowest: tuple[float, int] = (0.0, 0)
    digest: str = ""
    repeated_seeds: int = 0


def _begin() -> None:
    gc.collect()
    gc.freeze()  # what was imported is not looked through after every seed


def run_campaign(first: int, seeds: int, processes: int | None = None) -> Campaign:
    done, started, last = Campaign(seeds=seeds), time.monotonic(), first + seeds
    traces = hashlib.sha256()
    with ProcessPoolExecutor(processes, initializer=_begin) as pool:
        for outcome in pool.map(run_seed, range(first, last)):
            _add(done, outcome)
            traces.update(outcome.trace.encode())
    done.digest = traces.hexdigest()
    _compare_hash_seeds(done, range(first + (-first) % SHARE, last, SHARE))
    done.seconds = time.monotonic() - started
    return done


def _add(done: Campaign, outcome: Outcome) -> None:
    if outcome.failure:
        done.failures.append(f"seed {outcome.seed}: {outcome.failure}\n    {replay_command(outcome.seed)}")
        return
    done.slowest = max(done.slowest, (outcome.convergence_s, outcome.seed))
    done.sizes[outcome.plan.n] += 1
    done.counts.update(outcome.counts)
    done.blocks += outcome.height
    done.virtual_s += outcome.virtual_s


def _compare_hash_seeds(done: Campaign, sampled: range) -> None:
    """B39: what a node does must not depend on the order of a set."""
    if not sampled:
        return
    one, other = (traces_under(hash_seed, sampled) for hash_seed in HASH_SEEDS)
    done.repeated_seeds = len(sampled)
    for seed, first_trace, second_trace in zip(sampled, one, other, strict=True):
        if first_trace != second_trace:
            done.disagreements.append(f"seed {seed}: another trace under another PYTHONHASHSEED\n"
                                      f"    PYTHONHASHSEED={HASH_SEEDS[0]} {replay_command(seed)}")  # fmt: skip


def traces_under(hash_seed: str, sampled: range) -> list[str]:
    span = [str(sampled.start), str(sampled.stop), str(sampled.step)]
    command = [sys.executable, "-m", "tests.node_simulation.campaign", *span]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


if __name__ == "__main__":
    for each in range(*(int(argument) for argument in sys.argv[1:])):
        print(run_seed(each).trace)

"""Runs simulated networks from seeds: `python -m tests.simulation --seeds 1000`.

    --seeds N      how many (default 1000)    --from S    the first seed (default 0)
    --seed S       one seed, with its trace digest and what was injected
    --n N          always N members           --real      real Ed25519 signatures (about 10 times slower)

Prints how often each kind of fault was injected; a kind that never was fails the run, and so does a seed that breaks a
property. A failing seed is printed with the one command that replays it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.faults import FAULT_KINDS
from tests.simulation.world import World


def run_seed(seed: int, n: int | None = None, *, has_real_crypto: bool = False) -> World:
    """The finished world of a seed; raises what went wrong."""
    world = World(seed, n=n, has_real_crypto=has_real_crypto)
    world.run()
    return world


def replay_command(seed: int, n: int | None, *, has_real_crypto: bool) -> str:
    extra = (f" --n {n}" if n else "") + (" --real" if has_real_crypto else "")
    return f"python -m tests.simulation --seed {seed}{extra}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--n", type=int)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    if options.seed is not None:
        world = run_seed(options.seed, options.n, has_real_crypto=options.real)
        print(f"seed {options.seed}: {world.plan}\n{dict(sorted(world.counts.items()))}\ntrace {world.digest()}")
        return 0
    return run_many(options)


def run_many(options: argparse.Namespace) -> int:
    counts: Counter[str] = Counter()
    failed: list[int] = []
    slowest_ms, started = 0, time.monotonic()
    for seed in range(options.first, options.first + options.seeds):
        try:
            world = run_seed(seed, options.n, has_real_crypto=options.real)
        except Exception as error:  # every seed is run, whatever one of them finds
            failed.append(seed)
            print(f"seed {seed}: {type(error).__name__}: {error}")
            print(f"    {replay_command(seed, options.n, has_real_crypto=options.real)}")
            continue
        slowest_ms = max(slowest_ms, world.counts.pop("convergence_ms"))
        counts.update(world.counts)
    print(f"{options.seeds} seeds in {time.monotonic() - started:.1f} s, {len(failed)} failed")
    print("slowest convergence after healing:", slowest_ms, "ms of virtual time")
    print(", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())))
    missing = [kind for kind in FAULT_KINDS if not counts[kind]]
    if missing:
        print("never injected:", ", ".join(missing))
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())

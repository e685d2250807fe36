"""Runs simulated networks from seeds: `python -m tests.simulation --seeds 1000`.

    --seeds N      how many (default 1000)    --from S       the first seed (default 0)
    --seed S       one seed, with its trace digest and what was injected
    --n N          always N members           --real         real Ed25519 signatures (about 10 times slower)
    --processes P  at a time (default: all cores)

Prints seeds a second, how often each kind of fault was injected, and one digest of all traces. A kind that never was
injected fails the run, and so does a seed that breaks a property: it is printed with the one command that replays it.
Every hundredth seed runs with real signatures too, and every hundredth twice more, under two hash seeds.
"""

from __future__ import annotations

import argparse
import sys

from tests.simulation.campaign import Campaign, run_campaign
from tests.simulation.plan import FAULT_KINDS
from tests.simulation.runs import run_seed

SEEDS_FOR_EVERY_KIND = 400
"""Fewer seeds than this can't be expected to inject every kind of fault."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--n", type=int)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--processes", type=int)
    options = parser.parse_args()
    if options.seed is not None:
        world = run_seed(options.seed, options.n, has_real_crypto=options.real)
        print(f"seed {options.seed}: {world.plan}\n{dict(sorted(world.counts.items()))}\ntrace {world.digest()}")
        return 0
    done = run_campaign(options.first, options.seeds, options.n, options.processes, has_real_crypto=options.real)
    return report(done)


def report(done: Campaign) -> int:
    for failure in done.failures:
        print(failure)
    for disagreement in done.disagreements:
        print(disagreement)
    print(f"{done.seeds} seeds in {done.seconds:.1f} s, {done.seeds / done.seconds:.1f} seeds/s, "
          f"{done.counts['events']} events, {len(done.failures)} failed")  # fmt: skip
    print(f"sizes: {', '.join(f'n={n} {count}' for n, count in sorted(done.sizes.items()))}")
    print(f"again with real signatures: {done.real_seeds}; again under two hash seeds: {done.repeated_seeds}")
    slowest_ms, seed = done.slowest
    print(f"slowest convergence after healing: {slowest_ms} ms of virtual time (seed {seed})")
    for kind in FAULT_KINDS:
        print(f"    {kind:16}{done.counts[kind]:>12}")
    others = {kind: count for kind, count in sorted(done.counts.items()) if kind not in FAULT_KINDS}
    print("beside: " + ", ".join(f"{kind} {count}" for kind, count in others.items()))
    print(f"trace digest {done.digest}")
    missing = [kind for kind in FAULT_KINDS if not done.counts[kind]]
    if missing:
        print("never injected:", ", ".join(missing))
    is_bad = done.failures or done.disagreements or (missing and done.seeds >= SEEDS_FOR_EVERY_KIND)
    return 1 if is_bad else 0


if __name__ == "__main__":
    sys.exit(main())

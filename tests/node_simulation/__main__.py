"""Runs simulated networks of real nodes from seeds: `python -m tests.node_simulation --seeds 100`.

    --seeds N      how many (default 100)     --from S       the first seed (default 0)
    --seed S       one seed, with its plan, what was injected, and its trace digest
    --processes P  at a time (default: all cores)

Prints seeds a second, how often each kind of fault was injected, and one digest of all traces. A kind that never was
injected fails the run, and so does a seed that breaks a property: it is printed with the one command that replays it.
Every hundredth seed runs twice more, under two hash seeds.
"""

from __future__ import annotations

import argparse
import sys

from tests.node_simulation.campaign import Campaign, run_campaign
from tests.node_simulation.plan import FAULT_KINDS
from tests.node_simulation.runs import replay_command, run_seed

SEEDS_FOR_EVERY_KIND = 100
"""Fewer seeds than this can't be expected to inject every kind of fault."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.node_simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--processes", type=int)
    options = parser.parse_args()
    if options.seed is not None:
        return show(options.seed)
    return report(run_campaign(options.first, options.seeds, options.processes))


def show(seed: int) -> int:
    outcome = run_seed(seed)
    print(f"seed {seed}: {outcome.plan}\n{dict(sorted(outcome.counts.items()))}")
    print(f"{outcome.height} blocks, {outcome.virtual_s:.1f} s of virtual time, settled {outcome.convergence_s:.1f} s "
          "after healing")  # fmt: skip
    if outcome.failure:
        print(f"{outcome.where}\n{outcome.failure}\n    {replay_command(seed)}")
    print(f"trace {outcome.trace}")
    return 1 if outcome.failure else 0


def report(done: Campaign) -> int:
    for line in (*done.failures, *done.disagreements):
        print(line)
    print(f"{done.seeds} seeds in {done.seconds:.1f} s, {done.seeds / done.seconds:.2f} seeds/s, {done.blocks} blocks, "
          f"{done.virtual_s / 3600:.1f} h of virtual time, {len(done.failures)} failed")  # fmt: skip
    print(f"sizes: {', '.join(f'n={n} {count}' for n, count in sorted(done.sizes.items()))}")
    print(f"again under two hash seeds: {done.repeated_seeds}")
    slowest_s, seed = done.slowest
    print(f"slowest to settle after healing: {slowest_s:.2f} s of virtual time (seed {seed})")
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

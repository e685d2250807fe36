"""`make scale`: throughput and latency against 4 to 31 departments and 1 to 100 ms between them, by simulation.

Real replicas exchange real messages; hosts, disks and links are simulated, with processor times from `make profile`.

    python -m tools.scale [--profile FILE] [--departments N ...] [--delays MS ...] [--cores C] [--gigabit G]
        [--sync-ms MS] [--json]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.scale.costs import MEASURED, Costs, costs_of, measured_here, read_profile
from tools.scale.network import Outcome, simulate

DEPARTMENTS = (4, 6, 7, 10, 16, 22, 31)
DELAYS_MS = (1.0, 5.0, 25.0, 50.0, 100.0)
BAR = 48


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.scale", description=__doc__.splitlines()[0])
    parser.add_argument("--profile", type=Path, default=MEASURED, help="what tools.bench.profile --json printed")
    parser.add_argument("--departments", type=int, nargs="+", default=DEPARTMENTS)
    parser.add_argument("--delays", type=float, nargs="+", default=DELAYS_MS, help="ms, one way")
    parser.add_argument("--cores", type=int, default=2, help="of each department's host")
    parser.add_argument("--gigabit", type=float, default=1.0, help="uplink of each host, Gbit/s")
    parser.add_argument("--sync-ms", type=float, help="until a small write is durable; measured here if not given")
    parser.add_argument("--per-request", type=int, default=100)
    parser.add_argument("--lanes", type=int, default=16, help="clients per department")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    stated = {**measured_here(), "cores": given.cores, "gigabit_per_s": given.gigabit}
    if given.sync_ms is not None:
        stated["sync_ms"] = given.sync_ms
    costs = costs_of(read_profile(given.profile), **stated)
    cases = [(count, delay) for delay in given.delays for count in given.departments]
    run = partial(_simulate, costs=costs, per_request=given.per_request, lanes=given.lanes)
    outcomes = []
    with ProcessPoolExecutor() as pool:
        for outcome in pool.map(run, cases):
            outcomes.append(outcome)
            print(f"simulated {len(outcomes)} of {len(cases)}", end="\r", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    if given.json:
        told = [dataclasses.asdict(outcome) for outcome in outcomes]
        print(json.dumps({"costs": dataclasses.asdict(costs), "outcomes": told}, indent=2))
        return
    show(costs, outcomes)


def _simulate(case: tuple[int, float], costs: Costs, per_request: int, lanes: int) -> Outcome:
    count, delay_ms = case
    requests = max(6 * lanes * count, 300)
    return simulate(count, delay_ms, costs, per_request=per_request, lanes=lanes, requests=requests)


def show(costs: Costs, outcomes: list[Outcome]) -> None:
    console = Console(width=110)
    console.print(f"per transaction and node: verify {costs.verify_us:.0f} us, all {costs.all_us:.0f} us")
    console.print(f"{costs.sync_ms:g} ms until durable; hosts of {costs.cores} cores, {costs.gigabit_per_s:g} Gbit/s")
    table = Table("departments", "one way", "tx/s", "unloaded p50", "tx per block", "bottleneck")
    for outcome in outcomes:
        table.add_row(str(outcome.departments), f"{outcome.delay_ms:g} ms", f"{outcome.per_second:,.0f}",
                      f"{outcome.latency_ms:.1f} ms", f"{outcome.block_transactions:,.0f}",
                      f"{outcome.bottleneck} ({outcome.busy:.0%})")  # fmt: skip
    console.print(table)
    most = max(outcome.per_second for outcome in outcomes)
    for delay in sorted({outcome.delay_ms for outcome in outcomes}):
        console.print(f"tx/s at {delay:g} ms")
        for outcome in (item for item in outcomes if item.delay_ms == delay):
            console.print(
                f"  {outcome.departments:>3} {'█' * round(BAR * outcome.per_second / most)} {outcome.per_second:,.0f}"
            )


if __name__ == "__main__":
    main()

"""`python -m tests.exploration --states 1000000`: every order of events in a network of four, with the real core.

All members correct; and Byzantine the primary of view 0, that of view 1, or a backup. Views 0 and 0-1 are searched to
their end in each of the four; views 0-2 as far as the states go; and dives of the plain search beside it.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from tests.exploration.reduced import ReducedSearch
from tests.exploration.search import VIEWS, Search

DIVES = 250
"""Of each of the four, without any reduction but that votes come in quorums."""
STATES_TO_THE_END_MAX = 1_000_000
PROCESSES = 2
WHO_LIES = {"nobody": None, "the primary of view 0": 0, "the primary of view 1": 1, "a backup": 3}


class Task(NamedTuple):
    name: str
    byzantine: int | None
    views: int
    states_max: int
    must_end: bool


class Report(NamedTuple):
    states: int
    is_good: bool
    line: str


def explore(task: Task) -> Report:
    started = time.perf_counter()
    search = ReducedSearch(task.byzantine, task.views)
    found = search.run(task.states_max)
    seconds = time.perf_counter() - started
    views = "view 0" if task.views == 1 else f"views 0-{task.views - 1}"
    line = (
        f"{task.name} lies, {views}: {found.states} states, {found.deepest} moves deep, "
        f"exhausted: {'yes' if found.is_exhausted else 'no'}; {found.locals_count} states of a replica, "
        f"{found.steps} steps of the core; {found.completed} completed fairly, "
        f"all within {max(search.good.values())} rounds; {seconds:.0f} s, {found.states / seconds:.0f} states/s"
    )
    return Report(found.states, found.is_exhausted or not task.must_end, line)


def dive(task: Task) -> Report:
    search = Search(task.byzantine)
    found = search.dive(DIVES)
    views = sorted(found.decided_views)
    return Report(0, True, f"{task.name} lies: {found.dives} dives of the plain search, decided in views {views}")


def tasks_for(states: int) -> list[Task]:
    to_the_end = [
        Task(name, who, views, STATES_TO_THE_END_MAX, True) for views in (1, 2) for name, who in WHO_LIES.items()
    ]
    return to_the_end + [Task(name, who, VIEWS, states // len(WHO_LIES), False) for name, who in WHO_LIES.items()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.exploration", description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=1_000_000, help="of views 0-2, beside the searches that end")
    options = parser.parse_args(arguments)
    total, is_good = 0, True
    tasks = tasks_for(options.states)
    with ProcessPoolExecutor(PROCESSES) as pool:
        pending = [pool.submit(explore, task) for task in tasks]
        pending += [pool.submit(dive, task) for task in tasks[: len(WHO_LIES)]]
        for each in pending:
            report = each.result()
            total, is_good = total + report.states, is_good and report.is_good
            print(report.line, flush=True)
    if not is_good:
        print("a search that must end did not")
        return 1
    print(f"{total} states: no two blocks at one height, every certificate valid, and nobody is stuck")
    return 0


if __name__ == "__main__":
    sys.exit(main())

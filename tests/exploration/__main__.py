"""`python -m tests.exploration --states 1000000`: searches every order of events in a network of four.

Four searches share the states: all members correct; and Byzantine the primary of view 0, that of view 1, or a backup.
Before that, view 0 alone is searched to its end in each of the four: every order, loss and lie.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.exploration.search import Search

DIVES = 1_000
"""Of each search, beside the breadth."""
STATES_OF_VIEW_0_MAX = 200_000
WHO_LIES = {"nobody": None, "the primary of view 0": 0, "the primary of view 1": 1, "a backup": 3}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.exploration", description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=1_000_000)
    options = parser.parse_args()
    for name, byzantine in WHO_LIES.items():
        alone = Search(byzantine, views=1).run(STATES_OF_VIEW_0_MAX)
        print(f"{name} lies, view 0 alone: {alone.states} states, {alone.deepest} moves deep, "
              f"exhausted: {'yes' if alone.is_exhausted else 'no'}", flush=True)  # fmt: skip
        if not alone.is_exhausted:
            return 1
    total = 0
    for name, byzantine in WHO_LIES.items():
        started = time.monotonic()
        search = Search(byzantine)
        search.dive(DIVES)
        result = search.run(options.states // len(WHO_LIES))
        total += result.states
        extent = (
            "exhausted: all there are"
            if result.is_exhausted
            else f"not exhausted: all within {result.deepest} moves and more"
        )
        print(f"{name} lies: {result.states} states ({extent}) and {result.dives} dives "
              f"in {time.monotonic() - started:.0f} s; {result.locals_count} states of a replica, {result.steps} steps "
              f"of the core; decided in views {sorted(result.decided_views)}; {result.completed} completed fairly",
              flush=True)  # fmt: skip
    print(f"{total} states: no two blocks at one height, and nobody is stuck")
    return 0


if __name__ == "__main__":
    sys.exit(main())

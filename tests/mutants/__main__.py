"""`python -m tests.mutants`: puts every known bug in on purpose and lists those that no test finds.

--only TEXT    mutants whose name contains TEXT
"""

from __future__ import annotations

import argparse
import sys

from tests.mutants.catalogue import MUTANTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    survivors = []
    for mutant in chosen:
        verdict = mutant.verdict()
        print(f"{mutant.name:60} {verdict or 'SURVIVES'}", flush=True)
        if not verdict:
            survivors.append(mutant.name)
    print(f"{len(chosen)} mutants, {len(chosen) - len(survivors)} found, {len(survivors)} survive")
    for name in survivors:
        print("survivor:", name)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

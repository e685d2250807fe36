"""`python -m tools.supply`: one step of the supply chain, or all that CI checks."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from tools.supply.audit import audit_locks
from tools.supply.lock import check_locks, check_wheels_exist, make_locks, read_lock
from tools.supply.places import LOCK, ROOT, SupplyError
from tools.supply.sbom import make_sbom
from tools.supply.wheel import check_reproducible

LOUD: Final = "!" * 100
SHOWN_MAX: Final = 8


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.supply", description=__doc__)
    parser.add_argument("step", choices=("lock", "wheel", "sbom", "audit", "check"))
    parser.add_argument("--upgrade", action="store_true", help="lock: take the newest versions that fit")
    given = parser.parse_args()
    try:
        if given.step == "lock":
            make_locks(is_upgrade=given.upgrade)
        if given.step in ("lock", "check"):
            show_locks()
        if given.step in ("wheel", "check"):
            show_wheel()
        if given.step in ("sbom", "check"):
            print(f"bill of materials: {make_sbom().relative_to(ROOT)}")
        return show_audit() if given.step in ("audit", "check") else 0
    except SupplyError as error:
        print(error, file=sys.stderr)
        return 1


def show_locks() -> None:
    check_locks()
    check_wheels_exist()
    print(f"locks: {len(read_lock(LOCK))} libraries, each by hash; wheels for every Python that is supported")


def show_wheel() -> None:
    path, digest = check_reproducible()
    print(f"wheel: {path.relative_to(ROOT)}, two builds byte-identical, sha256 {digest}")


def show_audit() -> int:
    """1 if a library has a known vulnerability; what nobody answered about is said loudly and is no failure."""
    audit = audit_locks()
    for name, ids in sorted(audit.findings.items()):
        print(f"VULNERABLE: {name}: {', '.join(sorted(ids))}", file=sys.stderr)
    print(
        f"audit: {len(audit.answered)} of {len(audit.asked)} libraries answered about, {len(audit.findings)} vulnerable"
    )
    if audit.unanswered:
        print(LOUD, *sorted(set(audit.troubles)), sep="\n")
        shown = [*audit.unanswered[:SHOWN_MAX], *(["…"] if len(audit.unanswered) > SHOWN_MAX else [])]
        print(f"NOT AUDITED: no vulnerability service answered about {len(audit.unanswered)} libraries:", *shown)
        print(LOUD)
    return 1 if audit.findings else 0


if __name__ == "__main__":
    sys.exit(main())

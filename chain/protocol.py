"""The version of the rules: which ones this software speaks, and which one counts at a height.

A block's header begins with the version by whose rules it was made. Genesis names the first one; the departments agree
on the next, which counts from a stated height on (contracts.departments.governance). Rules of earlier heights stay as
they were, so a chain replays whatever it has been through.

  protocol/schedule   {versions: [[first height, version], ...]}; absent while version 1 has counted since genesis

What a version changes is said in docs/spec/protocol.md and, for contracts, named in contracts.departments.features.
"""

from __future__ import annotations

from typing import Any, Final

from chain.errors import KehuError, define

OLDEST: Final = 1
"""The oldest version whose rules this software still has."""
NEWEST: Final = 4
"""The newest version that this software speaks. The one place that says so."""
FIRST: Final = 1
"""The version of a genesis that names none."""

TABLE: Final = "protocol"
SCHEDULE: Final = "schedule"

PROTOCOL_TOO_NEW = define(
    "protocol.too_new",
    "the chain goes on by rules of a version that this software does not speak yet",
    "install a release that speaks the version which `needs` names, then start or ask again: everything stored is "
    "whole and of use (docs/upgrading.md)",
)
PROTOCOL_TOO_OLD = define(
    "protocol.too_old",
    "these heights were made by rules of a version that this software has no more",
    "use a release that still speaks the version which `needs` names, or begin at a snapshot of a later height",
)


def require_supported(version: int, height: int | None) -> None:
    """Errors: protocol.too_new, protocol.too_old."""
    if version > NEWEST:
        raise KehuError(PROTOCOL_TOO_NEW, height=height, needs=version, speaks=NEWEST)
    if version < OLDEST:
        raise KehuError(PROTOCOL_TOO_OLD, height=height, needs=version, speaks=OLDEST)


def schedule_of(genesis_version: int) -> dict[str, Any]:
    """What counts from genesis on."""
    return {"versions": [[0, genesis_version]]}


def version_at(schedule: dict[str, Any] | None, height: int) -> int:
    """The version by whose rules block `height` is made."""
    versions = (schedule or schedule_of(FIRST))["versions"]
    return int([version for first, version in versions if first <= height][-1])


def last_version(schedule: dict[str, Any] | None) -> tuple[int, int]:
    """(first height, version) of the newest entry, which may lie ahead."""
    first, version = (schedule or schedule_of(FIRST))["versions"][-1]
    return int(first), int(version)

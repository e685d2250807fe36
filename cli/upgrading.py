"""Whether the departments' nodes could follow a change of the protocol."""

from __future__ import annotations

from typing import Any

from chain.errors import KehuError, define

PROTOCOL_NO_QUORUM = define(
    "usage.protocol_no_quorum",
    "fewer nodes than a quorum are known to speak that version: the network would stand still at its height",
    "upgrade the nodes that `left_behind` names first; `kehu protocol show` says who speaks what",
)
PROTOCOL_UNREADY = define(
    "usage.protocol_unready",
    "not all nodes are known to speak that version; those would stop at its height until they are upgraded",
    "upgrade and start them first, or propose it with --even-if-unready",
)


def lacking(told: dict[str, Any], version: int) -> list[str]:
    """The departments whose nodes are not known to speak that version, of what GET /v1/protocol says."""
    rows = [(row["department"], row["speaks"]) for row in told["nodes"]]
    return [name for name, speaks in rows if speaks is None or not speaks[0] <= version <= speaks[1]]


def require_able(told: dict[str, Any], version: int, *, is_unready: bool, is_forced: bool) -> list[str]:
    """Who would be left behind. Errors: usage.protocol_no_quorum, usage.protocol_unready (not if `is_unready`); none if
    `is_forced`."""
    behind = lacking(told, version)
    able = len(told["nodes"]) - len(behind)
    names = ", ".join(behind)
    if able < told["quorum"] and not is_forced:
        raise KehuError(PROTOCOL_NO_QUORUM, version=version, able=able, quorum=told["quorum"], left_behind=names)
    if behind and not is_unready:
        raise KehuError(PROTOCOL_UNREADY, version=version, left_behind=names)
    return behind

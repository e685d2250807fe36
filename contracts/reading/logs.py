"""Who logged in, read or changed what: the tables of logins, accesses and changes, by record, person and time.

For those whom the policy's rules or a grant let read the table; for everybody about themselves; for who may see a
record's history, about that record; for auditors. Looking is an access too, whoever looks.
"""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import (
    AFTER,
    EVERY,
    LIMIT,
    NOWHERE,
    PURPOSE,
    RECORD,
    TABLE,
    Args,
    Argument,
    is_within,
    methods,
    one_of,
    optional,
    require_early,
)
from contracts.deciding.permissions import ALLOWED, Decision, Resource, may
from contracts.deciding.policy import load_policy, require_table
from contracts.deciding.subjects import AUDITOR, Subject, person, require_person
from contracts.errors import LOG_QUERY, PERMISSION_DENIED
from contracts.reading.accesses import record_access
from contracts.reading.history import may_see_history
from contracts.reading.trails import LOGINS, LOGS, Trail, trail_of_all, trail_of_person, trail_of_record
from contracts.records import load_with_tombstone

LOOKED_AT_MAX: Final = 1_000
"""Rows that one call looks at when it filters; the reader goes on from `next`."""


def log(context: CallContext, view: View, args: Args) -> codec.Value:
    require_early(context)
    sender, name = require_person(context, view), args["log"]
    table, record = _require_query(view, args)
    trail = _trail(view, args)
    decision = may_see_log(view, sender, args, context.time_ms)
    rows, following = _rows(view, trail, args) if decision.allowed else ([], None)
    outcome: dict[str, Any] = {"log": name, "code": decision.code}
    asked = outcome | {key: args.get(key) for key in ("person", "since_ms", "until_ms")}
    record_access(context, view, sender, table, record, "log", args["purpose"], {}, **asked)
    return {
        **outcome,
        "allowed": decision.allowed,
        "because": decision.because,
        "rows": rows,
        "next": following,
    }


def _require_query(view: View, args: Args) -> tuple[str, str]:
    """Table and record under which the look is recorded. Errors: access.log_query, record.*, people.unknown."""
    table, record, name = args.get("table"), args.get("record"), args["log"]
    if (table is None) != (record is None) or (record is not None and name == LOGINS):
        raise KehuError(LOG_QUERY, log=name, table=table, record=record)
    if args.get("person") is not None:
        person(view, args["person"])
    if table is None or record is None:
        return name, args.get("person") or NOWHERE
    load_with_tombstone(view, table, record)
    require_table(load_policy(view), table)
    return table, record


def may_see_log(view: View, sender: Subject, args: Args, time_ms: int) -> Decision:
    """`args` are those of access.log. Rules and grants for the whole table come first."""
    resource = Resource(args["log"], EVERY, None, args["purpose"])
    decision = may(view, sender, "read", resource, time_ms)
    if decision.allowed:
        return decision
    if sender.role == AUDITOR:
        return Decision(True, "role:auditor", ALLOWED)
    if args.get("person") == sender.id:
        return Decision(True, "self", ALLOWED)
    if args.get("record") is not None:
        return may_see_history(view, sender, args["table"], args["record"], args["purpose"], time_ms)
    return Decision(False, None, PERMISSION_DENIED.code)


def _trail(view: View, args: Args) -> Trail:
    if args.get("record") is not None:
        version = load_with_tombstone(view, args["table"], args["record"])["version"]
        return trail_of_record(view, args["log"], args["table"], args["record"], version)
    if args.get("person") is not None:
        return trail_of_person(view, args["log"], args["person"])
    return trail_of_all(view, args["log"])


def _rows(view: View, trail: Trail, args: Args) -> tuple[list[dict[str, Any]], int | None]:
    """The rows after `after` within the times, and the number to go on after (None at the end)."""
    number = args["after"]
    if args.get("since_ms") is not None:
        number = max(number, trail.first_since(view, args["since_ms"]) - 1)
    last = trail.last
    if args.get("until_ms") is not None:
        last = trail.first_since(view, args["until_ms"] + 1) - 1
    by = None if args.get("record") is None or args.get("person") is None else f"person:{args['person']}"
    until = min(last, number + (args["limit"] if by is None else LOOKED_AT_MAX))
    rows: list[dict[str, Any]] = []
    while number < until and len(rows) < args["limit"]:
        number += 1
        row = trail.row_at(view, number)
        if by is None or row["by"] == by:
            rows.append(row)
    return rows, number if number < last else None


_TIME: Final = Argument("UTC milliseconds", is_within(0, 1 << 62))

METHODS: Final = methods(
    (
        "access.log",
        log,
        {
            "log": Argument(f"one of {', '.join(LOGS)}", one_of(*LOGS)),
            "table": optional(TABLE),
            "record": optional(RECORD),
            "person": optional(RECORD),
            "since_ms": optional(_TIME),
            "until_ms": optional(_TIME),
            "after": AFTER,
            "limit": LIMIT,
            "purpose": PURPOSE,
        },
    ),
)

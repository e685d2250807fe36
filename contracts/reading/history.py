"""The history of a record: its changes, who accessed it, what carriers answered. Rows hold no values.

For those who may read any field of the record, for auditors, and for customers of their own record; customers are
told the departments and not who works there. Looking at the history is an access too.
"""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.execution import CallContext
from chain.state import View
from contracts.base import (
    AFTER,
    LIMIT,
    PURPOSE,
    RECORD,
    TABLE,
    Args,
    Argument,
    count_of,
    methods,
    one_of,
    optional,
    require_early,
)
from contracts.deciding.own import is_customer, is_own
from contracts.deciding.permissions import ALLOWED, Decision, Resource, may
from contracts.deciding.policy import load_policy, require_table
from contracts.deciding.subjects import AUDITOR, Subject, require_person_or_customer
from contracts.departments.features import GRANTED_HISTORY, OWN_FACTS
from contracts.errors import PERMISSION_DENIED
from contracts.reading.accesses import record_access
from contracts.records import Record, load_with_tombstone

CHANGES: Final = "changes"
ACCESSES: Final = "accesses"
ANSWERS: Final = "answers"


def history(context: CallContext, view: View, args: Args) -> codec.Value:
    require_early(context)
    sender, table, record_id = require_person_or_customer(context, view), args["table"], args["record"]
    record, kind = load_with_tombstone(view, table, record_id), args.get("kind") or CHANGES
    require_table(load_policy(view), table)
    decision = _decide(context, view, sender, args)
    last = _last_row(view, kind, table, record_id, record) if decision.allowed else 0
    rows = _rows(view, kind, table, record_id, args["after"], min(last, args["after"] + args["limit"]))
    if is_customer(sender):
        hidden = _PEOPLE if context.protocol >= OWN_FACTS else _PEOPLE_BEFORE
        rows = [_for_customer(row, sender, hidden) for row in rows]
    outcome: dict[str, Any] = {"kind": kind, "code": decision.code}
    record_access(context, view, sender, table, record_id, "history", args["purpose"], {}, **outcome)
    more = args["after"] + len(rows)
    return {
        "table": table,
        "record": record_id,
        "allowed": decision.allowed,
        "because": decision.because,
        **outcome,
        "rows": rows,
        "next": more if more < last else None,
    }


def _decide(context: CallContext, view: View, sender: Subject, args: Args) -> Decision:
    """Customers see the history of their own record, and of others that are theirs once they may read something of
    them: the changes tell the facts, how far a project is for one."""
    table, record_id, purpose = args["table"], args["record"], args["purpose"]
    is_self = (table, record_id) == ("customers", sender.id)
    if is_customer(sender) and not is_self and context.protocol >= GRANTED_HISTORY:
        return may(view, sender, "read", Resource(table, record_id, None, purpose), context.time_ms)
    return may_see_history(view, sender, table, record_id, purpose, context.time_ms)


def may_see_history(view: View, subject: Subject, table: str, record_id: str, purpose: str, time_ms: int) -> Decision:
    if is_customer(subject) and is_own(view, subject.id, table, record_id):
        return Decision(True, "own", ALLOWED)
    decision = may(view, subject, "read", Resource(table, record_id, None, purpose), time_ms)
    if decision.code == PERMISSION_DENIED.code and subject.role == AUDITOR:
        return Decision(True, "role:auditor", ALLOWED)
    return decision


def _last_row(view: View, kind: str, table: str, record_id: str, record: Record) -> int:
    """The number of the newest row: rows of each kind are numbered from 1 without gaps."""
    if kind == CHANGES:
        return int(record["version"])
    if kind == ACCESSES:
        return count_of(view, f"accesses.{table}.{record_id}")
    return int(record.get("answers", 0))


def _rows(view: View, kind: str, table: str, record_id: str, after: int, until: int) -> list[dict[str, Any]]:
    prefix = record_id if kind == ANSWERS else f"{table}.{record_id}"
    found = ((number, view.get(kind, f"{prefix}.{number}")) for number in range(after + 1, until + 1))
    return [{"number": number, **row} for number, row in found if row is not None]


_PEOPLE_BEFORE: Final = ("by", "gateway")
_PEOPLE: Final = (*_PEOPLE_BEFORE, "asked_by", "person")
"""What of a row names somebody who works here: who did it, whom a check of the number was for, whose doings a colleague
looked at."""


def _for_customer(row: dict[str, Any], customer: Subject, hidden: tuple[str, ...]) -> dict[str, Any]:
    """Departments, not people; `own` marks what the customer did."""
    shown = {name: value for name, value in row.items() if name not in hidden}
    return {**shown, "own": row.get("by") == customer.text}


METHODS: Final = methods(
    (
        "access.history",
        history,
        {
            "table": TABLE,
            "record": RECORD,
            "after": AFTER,
            "limit": LIMIT,
            "purpose": PURPOSE,
            "kind": optional(Argument("changes, accesses or answers", one_of(CHANGES, ACCESSES, ANSWERS))),
        },
    ),
)

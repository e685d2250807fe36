"""Reads, which are on the record: every department decides field by field, then the values may leave a vault.

A read that is refused is a successful transaction whose result says so; only a read of what does not exist fails.
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
    FIELDS,
    HEIGHT,
    LIMIT,
    PURPOSE,
    RECORD,
    TABLE,
    Args,
    Argument,
    count_of,
    methods,
    next_number,
    one_of,
    optional,
    require_early,
    stamp,
)
from contracts.deciding.permissions import Case
from contracts.deciding.policy import load_policy, require_fields, require_table
from contracts.deciding.subjects import Subject, require_person, require_person_or_customer
from contracts.departments.features import OWN_FACTS
from contracts.errors import NOT_LISTABLE
from contracts.reading.accesses import answer_fields, answer_past_fields, record_access, shown_record
from contracts.reading.journals import add_entry
from contracts.reading.versions import require_past, require_record_at
from contracts.records import SEQUENCES, Record, chosen_fields, load_record

LIST: Final = "list"
EXPORT: Final = "export"
LOOKED_AT_MAX: Final = 1_000
"""Records that one access.list looks at; the reader goes on from `next`."""
VALUES_MAX: Final = 1_000
"""Fields answered in one access.list, after which it ends early: it bounds the receipt."""


def login(context: CallContext, view: View, args: Args) -> codec.Value:
    """A person comes in at the own department's node."""
    sender = require_person_or_customer(context, view)
    number = next_number(view, f"logins.{sender.id}")
    row = {"node": context.admitted_by, "key": context.key.hex(), "purpose": args.get("purpose"), **stamp(context)}
    view.put("logins", f"{sender.id}.{number}", row)
    add_entry(view, "logins", f"{sender.id}.{number}")
    return {
        "person": sender.id,
        "department": sender.department,
        "role": sender.role,
        "login": number,
        "time_ms": context.time_ms,
    }


def read(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, table, record_id = require_person_or_customer(context, view), args["table"], args["record"]
    record = load_record(view, table, record_id)
    known = require_asked(view, table, args["fields"])
    case = Case(view, sender, "read", table, args["purpose"], context.time_ms)
    as_of = args.get("as_of")
    if as_of is not None:
        require_past(context, table, as_of)
        past = require_record_at(view, table, record_id, as_of)
        decisions = case.decide_fields(record_id, chosen_fields(past, args["fields"], known))
        answers = answer_past_fields(record, past, decisions)
        record_access(context, view, sender, table, record_id, "read", args["purpose"], answers, as_of=as_of)
        return {**shown_record(table, record_id, _seen(context, case, record_id, past), answers), "as_of": as_of}
    decisions = case.decide_fields(record_id, chosen_fields(record, args["fields"], known))
    answers = answer_fields(record, decisions)
    record_access(context, view, sender, table, record_id, "read", args["purpose"], answers)
    return shown_record(table, record_id, _seen(context, case, record_id, record), answers, context.time_ms)


def _seen(context: CallContext, case: Case, record_id: str, record: Record) -> Record:
    """The record as the reader is shown it. Customers are told the facts of their own record, and of others those that
    they may read something of."""
    customer, is_theirs = case.say.customer, case.decide(record_id, None).allowed
    is_self = (case.say.table, record_id) == ("customers", customer)
    if context.protocol < OWN_FACTS or customer is None or is_self or is_theirs:
        return record
    return {"version": record["version"]}


def list_records(context: CallContext, view: View, args: Args) -> codec.Value:
    """The next records in order of registration of which the reader may see (or take away) at least one of the asked
    fields."""
    require_early(context)
    sender, table = require_person(context, view), args["table"]
    known = require_asked(view, table, args["fields"])
    if table not in SEQUENCES:
        raise KehuError(NOT_LISTABLE, table=table, expected=", ".join(sorted(SEQUENCES)))
    case = Case(view, sender, _action_of(args), table, args["purpose"], context.time_ms)
    shown: list[dict[str, Any]] = []
    last = count_of(view, table)
    number = args["after"]
    until = min(last, number + LOOKED_AT_MAX)
    values = 0
    while number < until and len(shown) < args["limit"] and values < VALUES_MAX:
        number += 1
        found = _visible(context, view, sender, case, number, args, known)
        if found is not None:
            shown.append(found)
            values += len(found["fields"])
    return {"records": shown, "next": number if number < last else None}


def _visible(
    context: CallContext, view: View, sender: Subject, case: Case, number: int, args: Args, known: list[str]
) -> dict[str, Any] | None:
    """The record of this number as the reader may see it, its access recorded; None if nothing of it."""
    table = args["table"]
    row = view.get(SEQUENCES[table], str(number))
    if row is None:
        return None
    record_id = row["record"]
    asked = known if args["fields"] == [EVERY] else args["fields"]
    decisions = case.decide_fields(record_id, asked)
    if not any(decision.allowed for decision in decisions.values()):
        return None
    record = load_record(view, table, record_id)
    chosen = chosen_fields(record, args["fields"], known)
    answers = answer_fields(record, {field: decisions[field] for field in chosen})
    record_access(context, view, sender, table, record_id, args.get("intent") or LIST, args["purpose"], answers)
    return shown_record(table, record_id, record, answers, context.time_ms)


def _action_of(args: Args) -> str:
    """Looking at a list is reading; taking it away in a file is an action of its own."""
    return "export" if args.get("intent") == EXPORT else "read"


def require_asked(view: View, table: str, fields: list[str]) -> list[str]:
    """The table's known fields, after a check of the asked ones. Errors: record.table_unknown, .field_unknown."""
    policy = load_policy(view)
    if fields != [EVERY]:
        require_fields(policy, table, fields)
    return require_table(policy, table)


METHODS: Final = methods(
    ("access.login", login, {"purpose": optional(PURPOSE)}),
    (
        "access.read",
        read,
        {"table": TABLE, "record": RECORD, "fields": FIELDS, "purpose": PURPOSE, "as_of": optional(HEIGHT)},
    ),
    (
        "access.list",
        list_records,
        {
            "table": TABLE,
            "after": AFTER,
            "limit": LIMIT,
            "fields": FIELDS,
            "purpose": PURPOSE,
            "intent": optional(Argument("list or export", one_of(LIST, EXPORT))),
        },
    ),
)

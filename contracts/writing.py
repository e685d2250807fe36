"""How records of projects and organisations are written: registered, changed from a stated version, closed.

A new record is written first and asked about afterwards, so that what `may` says of it follows from the project or
customer it belongs to; a refusal undoes the whole transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import Args, Argument, is_field_name, is_within, next_number, nullable, stamp
from contracts.deciding.permissions import require_may
from contracts.deciding.policy import load_policy, require_fields
from contracts.deciding.subjects import ACTIVE, Subject, require_person
from contracts.errors import FIELD_MISSING, RECORD_EXISTS
from contracts.records import RECORD_ARGUMENTS, SEQUENCES, Record, load_record, require_version, write_fields
from contracts.work_errors import RECORD_CLOSED

CLOSED: Final = "closed"
WEIGHT: Final = nullable(Argument("a weight, 0 to 100", is_within(0, 100)))
WORD: Final = Argument("a word [a-z][a-z0-9_]{0,31}", is_field_name)


def register_record(
    context: CallContext,
    view: View,
    sender: Subject,
    table: str,
    args: Args,
    facts: Mapping[str, Any],
    needed: Sequence[str] = (),
) -> Record:
    """Writes version 1 with its number. `needed`: fields it must have.

    Errors: record.field_unknown, record.field_missing, record.exists.
    """
    record_id, digests = args[RECORD_ARGUMENTS[table]], args["fields"]
    require_fields(load_policy(view), table, list(digests))
    for field in needed:
        if field not in digests:
            raise KehuError(FIELD_MISSING, table=table, field=field)
    if view.has(table, record_id):
        raise KehuError(RECORD_EXISTS, table=table, record=record_id)
    number = next_number(view, table)
    registered = {"by": sender.text, "department": sender.department, **stamp(context)}
    record = {"version": 0, "fields": {}, "sequence": number, "registered": registered}
    write_fields(context, view, sender, table, record_id, record, digests, facts=facts)
    view.put(SEQUENCES[table], str(number), {"record": record_id})
    return record


def require_writer(context: CallContext, view: View, sender: Subject, table: str, args: Args) -> None:
    """That the sender may change the fields that a call sets, or any if it sets none. Errors: permission.denied."""
    fields: list[str | None] = sorted(args.get("fields") or ()) or [None]
    require_may(view, sender, "change", table, args[RECORD_ARGUMENTS[table]], fields, context.time_ms)


def begin_change(context: CallContext, view: View, table: str, args: Args) -> tuple[Subject, Record]:
    """The sender and the open record that a call changes.

    Errors: record.unknown, permission.denied, record.field_unknown, record.version_conflict, record.closed.
    """
    sender, record_id = require_person(context, view), args[RECORD_ARGUMENTS[table]]
    record = load_record(view, table, record_id)
    require_writer(context, view, sender, table, args)
    require_version(table, record_id, record, args["version"])
    require_open(table, record_id, record)
    return sender, record


def finish_change(
    context: CallContext,
    view: View,
    sender: Subject,
    table: str,
    args: Args,
    record: Record,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Stores the next version; gives the call's result."""
    record_id = args[RECORD_ARGUMENTS[table]]
    write_fields(context, view, sender, table, record_id, record, args.get("fields") or {}, facts=facts)
    return written(table, record_id, record)


def written(table: str, record_id: str, record: Record) -> dict[str, Any]:
    """What every call that writes such a record answers."""
    return {"table": table, "record": record_id, "version": record["version"]}


def require_open(table: str, record_id: str, record: Record) -> None:
    """Errors: record.closed."""
    if record.get("status") == CLOSED:
        raise KehuError(RECORD_CLOSED, table=table, record=record_id)


def load_open(view: View, table: str, record_id: str) -> Record:
    """A record that something new is to hang on. Errors: record.unknown, record.closed."""
    record = load_record(view, table, record_id)
    require_open(table, record_id, record)
    return record


def new_facts(**facts: Any) -> dict[str, Any]:
    """The facts of a record that can be closed."""
    return {**facts, "status": ACTIVE}

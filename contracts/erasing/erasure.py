"""Erasure: a record's personal fields end, a tombstone stays, and each department's node says when its copies are gone.

  erasures/<table>.<record>   what was erased, why, by when the nodes have to confirm, who has and who has not
  erasure_sequence/<n>        {table, record}: all erasures in order
  <table>/<record>            the tombstone: version, no fields, `erased`, and the facts that identify nobody

The digests of the past stay in the blocks. Without the salts, which lay only in the vaults, nobody can tie one to a
value, and so not to a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chain import codec
from chain.errors import InvariantError, KehuError
from chain.execution import CallContext
from chain.state import View
from chain.validators import last_scheduled, scheduled_at
from contracts.base import COUNT, REASON, RECORD, TABLE, Args, methods, next_number, stamp
from contracts.deciding.entitlements import assignments, remove_grant
from contracts.deciding.granted import grants_on
from contracts.deciding.policy import load_policy
from contracts.deciding.subjects import (
    ACTIVE,
    CUSTOMER,
    REVOKED,
    Subject,
    require_administrator,
    require_kind,
    retire_key,
)
from contracts.erasing.endings import ERASED, end_place, erased_together
from contracts.erasing.holds import require_not_held
from contracts.errors import ERASURE_NOT_AWAITED, ERASURE_PERSON_ACTIVE, ERASURE_UNKNOWN
from contracts.people.invited import withdraw_open
from contracts.records import SEQUENCES, Record, load_record, write_fields

ERASURES: Final = "erasures"
CONTACTS: Final = "contacts"
"""contacts/<customer> {time_ms}: when the number was last given out."""
BY_ORDER: Final = "order"
BY_RETENTION: Final = "retention"
_CUSTOMER_KEPT: Final = ("version", "fields", "sequence", "registered", "answers")
"""What a customer's tombstone keeps. The rest says something about the person's number."""


def order(context: CallContext, view: View, args: Args) -> codec.Value:
    """The administration has a record erased, at once and for good."""
    sender = require_administrator(context, view)
    record = load_record(view, args["table"], args["record"])
    require_free(context, view, args["table"], args["record"])
    require_gone_person(args["table"], args["record"], record)
    return bury(context, view, sender, args["table"], args["record"], record, args["reason"], BY_ORDER)


def require_free(context: CallContext, view: View, table: str, record_id: str) -> None:
    """That no hold lies on the record or on what is erased with it. Errors: erasure.held."""
    for held_table, held in erased_together(view, table, record_id):
        require_not_held(context, view, held_table, held)


def require_gone_person(table: str, record_id: str, record: Record) -> None:
    """Somebody who still works here keeps the name that colleagues know. Errors: erasure.person_active."""
    if table == "people" and record["status"] == ACTIVE:
        raise KehuError(ERASURE_PERSON_ACTIVE, person=record_id)


def bury(
    context: CallContext,
    view: View,
    sender: Subject,
    table: str,
    record_id: str,
    record: Record,
    reason: str,
    cause: str,
) -> dict[str, codec.Value]:
    """Leaves the tombstone and the erasure that all departments have to confirm, of the record and of all that is
    erased with it."""
    together = list(erased_together(view, table, record_id))
    result = _bury_one(context, view, sender, table, record_id, record, reason, cause)
    for member_table, member in together[1:]:
        member_record = load_record(view, member_table, member)
        _bury_one(context, view, sender, member_table, member, member_record, reason, cause)
    return result | {"records": len(together)}


def _bury_one(
    context: CallContext,
    view: View,
    sender: Subject,
    table: str,
    record_id: str,
    record: Record,
    reason: str,
    cause: str,
) -> dict[str, codec.Value]:
    fields = sorted(record["fields"])
    tombstone = _tombstone(table, record) | {ERASED: {"reason": reason, "by": sender.text, **stamp(context)}}
    write_fields(context, view, sender, table, record_id, tombstone, {}, removed=fields)
    _untie(context, view, sender, table, record_id, record)
    number = next_number(view, ERASURES)
    row = {
        "number": number,
        "reason": reason,
        "cause": cause,
        "by": sender.text,
        "fields": fields,
        "due_ms": context.time_ms + load_policy(view)["erasure_due_ms"],
        "waiting": list(_departments(view, context.height)),
        "confirmed": {},
        **stamp(context),
    }
    view.put(ERASURES, f"{table}.{record_id}", row)
    view.put("erasure_sequence", str(number), {"table": table, "record": record_id})
    return {"table": table, "record": record_id, **{name: row[name] for name in ("number", "due_ms", "waiting")}}


def _tombstone(table: str, record: Record) -> Record:
    if table != "customers":
        ended = {name: ERASED for name in ("status", "state") if name in record and table != "people"}
        return record | ended
    kept = {name: record[name] for name in _CUSTOMER_KEPT if name in record}
    return kept | {"status": ERASED, "reason": None, "checked_ms": None, "gateways": {}}


def _untie(context: CallContext, view: View, sender: Subject, table: str, record_id: str, record: Record) -> None:
    """Nobody has anything to do with the record any more: assignments, grants on it (of a project, on what belongs to
    it) and its place in lists end."""
    revoked = {"by": sender.text, **stamp(context)}
    end_place(context, view, table, record_id, record)
    for grant_id in list(grants_on(view, table, record_id)):
        grant = view.get("grants", grant_id)
        if grant is None:
            raise InvariantError(f"grant {grant_id} is indexed and not there")
        remove_grant(view, grant_id, grant)
        view.put("grants", grant_id, {**grant, "status": REVOKED, "revoked": revoked})
    if assignments(view, table, record_id):
        view.delete("assignments", f"{table}.{record_id}")
    if "sequence" in record:
        view.delete(SEQUENCES[table], str(record["sequence"]))
    if table == "customers":
        view.delete(CONTACTS, record_id)
        _shut_out(view, record_id, revoked)


def _shut_out(view: View, customer: str, revoked: dict[str, Any]) -> None:
    """An erased customer comes in no more: the key is revoked, an open invitation withdrawn."""
    person = view.get("people", customer)
    if person is not None and person["role"] == CUSTOMER and person["status"] == ACTIVE:
        for key in person["keys"]:
            retire_key(view, key)
        view.put("people", customer, {**person, "status": REVOKED, "keys": []})
    withdraw_open(view, customer, revoked)


def _departments(view: View, height: int) -> tuple[str, ...]:
    """All departments that run a node, or will, whether or not they may ever have held a value."""
    schedule = view.get("validators", "schedule")
    if schedule is None:
        raise InvariantError("the state has no validator schedule")
    coming = last_scheduled(schedule)[1].departments
    return tuple(sorted({*scheduled_at(schedule, height).departments, *coming}))


def confirm(context: CallContext, view: View, args: Args) -> codec.Value:
    """A node's receipt: values, salts and key are in no file of its folder. `values` counts what it destroyed."""
    sender, table, record_id = require_kind(context, view, "node"), args["table"], args["record"]
    row = view.get(ERASURES, f"{table}.{record_id}")
    if row is None:
        raise KehuError(ERASURE_UNKNOWN, table=table, record=record_id)
    if sender.department not in row["waiting"]:
        raise KehuError(ERASURE_NOT_AWAITED, table=table, record=record_id, department=sender.department)
    row["waiting"].remove(sender.department)
    is_late = context.time_ms > row["due_ms"]
    row["confirmed"][sender.department] = {"values": args["values"], "late": is_late, **stamp(context)}
    view.put(ERASURES, f"{table}.{record_id}", row)
    return {"table": table, "record": record_id, "waiting": row["waiting"], "late": is_late}


def overdue(row: Mapping[str, Any], time_ms: int) -> list[str]:
    """The departments that should have confirmed an erasure by `time_ms` and have not."""
    return list(row["waiting"]) if time_ms > row["due_ms"] else []


METHODS: Final = methods(
    ("erasure.order", order, {"table": TABLE, "record": RECORD, "reason": REASON}),
    ("erasure.confirm", confirm, {"table": TABLE, "record": RECORD, "values": COUNT}),
)

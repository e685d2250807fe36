"""Customers: registered valid or temporary, changed from a stated version, numbered for listing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chain import codec
from chain.attestation import NO_ANSWER
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import ATTESTATIONS, DIGESTS, FLAG, RECORD, VERSION, Args, methods, next_number, nullable, stamp
from contracts.deciding.entitlements import add_assignment
from contracts.deciding.permissions import require_may
from contracts.deciding.policy import load_policy, require_fields
from contracts.deciding.subjects import Subject, require_person
from contracts.errors import (
    FIELD_MISSING,
    FIELD_UNKNOWN,
    PHONE_ANSWER_NEEDED,
    PHONE_ONLY_CHANGE_PHONE,
    PHONE_UNCHANGED,
    RECORD_EXISTS,
)
from contracts.people.attestations import attestations_of
from contracts.people.phone_identity import forget_answers, new_phone_facts, take_number
from contracts.people.phone_status import REASSIGNED
from contracts.records import Record, load_record, require_version, write_fields

TABLE: Final = "customers"
_NUMBER_FIELDS: Final = ("identifier", "phone")


def register(context: CallContext, view: View, args: Args) -> codec.Value:
    """A new customer, assigned to whoever registers it."""
    sender, customer, digests = require_person(context, view), args["customer"], args["fields"]
    require_fields(load_policy(view), TABLE, list(digests))
    _require_present(digests, ("name", "phone"))
    # The identifier is the gateway's to say, so it needs the attestation and no permission to change it.
    mine = sorted(field for field in digests if field != "identifier")
    require_may(view, sender, "change", TABLE, None, mine, context.time_ms)
    if view.has(TABLE, customer):
        raise KehuError(RECORD_EXISTS, table=TABLE, record=customer)
    record = _new_record(context, view, sender)
    stored = take_number(context, view, sender, record, customer, args)
    write_fields(context, view, sender, TABLE, customer, record, stored)
    view.put("customer_sequence", str(record["sequence"]), {"record": customer})
    add_assignment(context, view, TABLE, customer, sender.text, sender.department, sender)
    return _outcome(customer, record) | {"sequence": record["sequence"]}


def _new_record(context: CallContext, view: View, sender: Subject) -> Record:
    registered = {"by": sender.text, "department": sender.department, **stamp(context)}
    sequence = next_number(view, "customers")
    return {"version": 0, "fields": {}, "sequence": sequence, "registered": registered, **new_phone_facts()}


def update(context: CallContext, view: View, args: Args) -> codec.Value:
    """Changes fields other than the number, if the record still has the version the change was made from."""
    sender, customer, digests = require_person(context, view), args["customer"], args["fields"]
    record = load_record(view, TABLE, customer)
    for field in _NUMBER_FIELDS:
        if field in digests:
            raise KehuError(PHONE_ONLY_CHANGE_PHONE, customer=customer, field=field)
    require_may(view, sender, "change", TABLE, customer, sorted(digests), context.time_ms)
    require_version(TABLE, customer, record, args["version"])
    write_fields(context, view, sender, TABLE, customer, record, digests)
    return _outcome(customer, record)


def change_phone(context: CallContext, view: View, args: Args) -> codec.Value:
    """Records the customer's new number; the status starts anew from the carrier's answer about it."""
    sender, customer, digests = require_person(context, view), args["customer"], args["fields"]
    record = load_record(view, TABLE, customer)
    _require_number_only(digests)
    require_may(view, sender, "change", TABLE, customer, ["phone"], context.time_ms)
    require_version(TABLE, customer, record, args["version"])
    if digests["phone"] == record["fields"]["phone"][0]:
        raise KehuError(PHONE_UNCHANGED, customer=customer)
    if record["reason"] == REASSIGNED and not _is_answered(args["attestation"]):
        raise KehuError(PHONE_ANSWER_NEEDED, customer=customer)
    forget_answers(record)
    stored = take_number(context, view, sender, record, customer, args)
    removed = [field for field in _NUMBER_FIELDS if field not in stored]
    write_fields(context, view, sender, TABLE, customer, record, stored, removed)
    return _outcome(customer, record)


def _is_answered(attestation: codec.Value) -> bool:
    return attestation is not None and any(one.outcome != NO_ANSWER for one in attestations_of(attestation))


def _require_present(digests: Mapping[str, bytes], names: tuple[str, ...]) -> None:
    for name in names:
        if name not in digests:
            raise KehuError(FIELD_MISSING, table=TABLE, field=name)


def _require_number_only(digests: Mapping[str, bytes]) -> None:
    _require_present(digests, ("phone",))
    for field in sorted(digests):
        if field not in _NUMBER_FIELDS:
            raise KehuError(FIELD_UNKNOWN, table=TABLE, field=field, expected=", ".join(_NUMBER_FIELDS))


def _outcome(customer: str, record: Record) -> dict[str, codec.Value]:
    return {
        "customer": customer,
        "version": record["version"],
        "status": record["status"],
        "reason": record["reason"],
    }


METHODS: Final = methods(
    (
        "customers.register",
        register,
        {"customer": RECORD, "fields": DIGESTS, "attestation": nullable(ATTESTATIONS), "temporary": FLAG},
    ),
    ("customers.update", update, {"customer": RECORD, "version": VERSION, "fields": DIGESTS}),
    (
        "customers.change_phone",
        change_phone,
        {
            "customer": RECORD,
            "version": VERSION,
            "fields": DIGESTS,
            "attestation": nullable(ATTESTATIONS),
            "temporary": FLAG,
        },
    ),
)

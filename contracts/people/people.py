"""People and their keys. A person is known on the chain by work id, department and role; names are personal."""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import (
    ADMINISTRATION,
    DEPARTMENT,
    DIGESTS,
    DIGESTS_OR_NONE,
    KEY,
    POSSESSION,
    RECORD,
    VERSION,
    Args,
    Argument,
    count_of,
    methods,
    one_of,
    stamp,
)
from contracts.deciding.permissions import require_may
from contracts.deciding.policy import load_policy, require_fields
from contracts.deciding.subjects import (
    ACTIVE,
    ADMINISTRATOR,
    CUSTOMER,
    REVOKED,
    ROLES,
    Subject,
    enrol_key,
    is_administrator,
    person,
    require_administrator,
    require_department,
    require_person,
    require_person_or_customer,
    require_possession,
    retire_key,
)
from contracts.departments.features import NO_SECOND_PLACE, SHUT_OUT
from contracts.errors import (
    KEYS_REVOKED,
    KEYS_UNKNOWN,
    KEYS_WRONG_KIND,
    PEOPLE_CUSTOMER,
    PEOPLE_EXISTS,
    PEOPLE_LAST_ADMINISTRATOR,
    PEOPLE_REVOKED,
    PEOPLE_ROLE,
    PERMISSION_ADMINISTRATOR,
)
from contracts.people.invited import withdraw_open
from contracts.records import load_record, require_version, write_fields

_ADMINISTRATORS: Final = "administrators"
"""Counts the active administrators that have an active key."""


def enrol(context: CallContext, view: View, args: Args) -> codec.Value:
    sender = require_administrator(context, view)
    require_possession(context, args["person"], args["key"], args["possession"])
    require_fields(load_policy(view), "people", list(args["fields"]))
    record = add_person(view, args["person"], args["department"], args["role"], args["key"])
    write_fields(context, view, sender, "people", args["person"], record, args["fields"])
    return {"person": args["person"], "version": record["version"]}


def add_person(view: View, person_id: str, department: str, role: str, key_hex: str) -> dict[str, Any]:
    """Checks and enters key and count; the caller stores the record it gives (version 0, no fields).

    Errors: people.exists, people.role, department.unknown, key.invalid, keys.taken.
    """
    require_department(view, department)
    if role == ADMINISTRATOR and department != ADMINISTRATION:
        raise KehuError(PEOPLE_ROLE, person=person_id, role=role, department=department)
    if view.has("people", person_id):
        raise KehuError(PEOPLE_EXISTS, person=person_id)
    enrol_key(view, key_hex, "person", person_id, department)
    record = {
        "department": department,
        "role": role,
        "status": ACTIVE,
        "keys": [key_hex],
        "version": 0,
        "fields": {},
    }
    _count_administrator(view, _no_person(), record)
    return record


def rotate_key(context: CallContext, view: View, args: Args) -> codec.Value:
    """Gives a person a new key; the old ones are revoked. By the person, or by an administrator."""
    sender = require_person_or_customer(context, view)
    _require_self_or_administrator(sender, args["person"])
    record = _active_person(view, args["person"])
    require_possession(context, args["person"], args["key"], args["possession"])
    enrol_key(view, args["key"], "person", args["person"], record["department"])
    for old in record["keys"]:
        retire_key(view, old)
    _store(view, args["person"], record, {**record, "keys": [args["key"]]})
    return {"person": args["person"], "key": args["key"], "revoked": record["keys"]}


def revoke_key(context: CallContext, view: View, args: Args) -> codec.Value:
    """Ends a person's key. By the person it belongs to, or by an administrator."""
    sender = require_person_or_customer(context, view)
    row = view.get("keys", args["key"])
    if row is None:
        raise KehuError(KEYS_UNKNOWN, key=args["key"])
    if row["kind"] != "person":
        raise KehuError(KEYS_WRONG_KIND, expected="person", actual=row["kind"])
    _require_self_or_administrator(sender, row["id"])
    if row["status"] != ACTIVE:
        raise KehuError(KEYS_REVOKED, key=args["key"])
    record = person(view, row["id"])
    retire_key(view, args["key"])
    _store(view, row["id"], record, {**record, "keys": [key for key in record["keys"] if key != args["key"]]})
    return {"person": row["id"], "key": args["key"]}


def revoke(context: CallContext, view: View, args: Args) -> codec.Value:
    """Ends a person's part in the network, with all keys and, of a customer, the invitation that is open."""
    sender = require_administrator(context, view)
    record = _active_person(view, args["person"])
    for key in record["keys"]:
        retire_key(view, key)
    _store(view, args["person"], record, {**record, "status": REVOKED, "keys": []})
    if context.protocol >= SHUT_OUT and record["role"] == CUSTOMER:
        withdraw_open(view, args["person"], {"by": sender.text, **stamp(context)})
    return {"person": args["person"]}


def update(context: CallContext, view: View, args: Args) -> codec.Value:
    sender = require_person(context, view)
    record = load_record(view, "people", args["person"])
    require_may(view, sender, "change", "people", args["person"], sorted(args["fields"]), context.time_ms)
    if context.protocol >= NO_SECOND_PLACE and record["role"] == CUSTOMER:
        raise KehuError(PEOPLE_CUSTOMER, person=args["person"])
    require_version("people", args["person"], record, args["version"])
    write_fields(context, view, sender, "people", args["person"], record, args["fields"])
    return {"person": args["person"], "version": record["version"]}


def _active_person(view: View, person_id: str) -> dict[str, Any]:
    record = person(view, person_id)
    if record["status"] != ACTIVE:
        raise KehuError(PEOPLE_REVOKED, person=person_id)
    return record


def _require_self_or_administrator(sender: Subject, person_id: str) -> None:
    if sender.id != person_id and not is_administrator(sender):
        raise KehuError(PERMISSION_ADMINISTRATOR, subject=sender.text)


def _store(view: View, person_id: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    _count_administrator(view, before, after)
    view.put("people", person_id, after)


def _no_person() -> dict[str, Any]:
    return {"role": "", "status": REVOKED, "keys": []}


def _count_administrator(view: View, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Keeps the count of administrators who can act. Errors: people.last_administrator."""
    difference = _can_administer(after) - _can_administer(before)
    if difference == 0:
        return
    count = count_of(view, _ADMINISTRATORS) + difference
    if count == 0:
        raise KehuError(PEOPLE_LAST_ADMINISTRATOR, administrators=count)
    view.put("counters", _ADMINISTRATORS, {"value": count})


def _can_administer(record: dict[str, Any]) -> int:
    return int(record["role"] == ADMINISTRATOR and record["status"] == ACTIVE and bool(record["keys"]))


METHODS: Final = methods(
    (
        "people.enrol",
        enrol,
        {
            "person": RECORD,
            "department": DEPARTMENT,
            "role": Argument(f"one of {', '.join(ROLES)}", one_of(*ROLES)),
            "key": KEY,
            "possession": POSSESSION,
            "fields": DIGESTS_OR_NONE,
        },
    ),
    ("people.rotate_key", rotate_key, {"person": RECORD, "key": KEY, "possession": POSSESSION}),
    ("people.revoke_key", revoke_key, {"key": KEY}),
    ("people.revoke", revoke, {"person": RECORD}),
    ("people.update", update, {"person": RECORD, "version": VERSION, "fields": DIGESTS}),
)

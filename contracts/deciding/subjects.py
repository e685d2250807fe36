"""Who acts: from the key that signed a transaction to a person, a node or a gateway."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from chain import codec
from chain.crypto import require_key, verify
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import ADMINISTRATION
from contracts.errors import (
    DEPARTMENT_UNKNOWN,
    KEYS_POSSESSION,
    KEYS_REVOKED,
    KEYS_TAKEN,
    KEYS_UNKNOWN,
    KEYS_WRONG_KIND,
    NODE_WRONG_NODE,
    PEOPLE_REVOKED,
    PEOPLE_UNKNOWN,
    PEOPLE_WRONG_NODE,
    PERMISSION_ADMINISTRATOR,
    PERMISSION_CUSTOMER,
)

ACTIVE: Final = "active"
REVOKED: Final = "revoked"
ADMINISTRATOR: Final = "administrator"
OPERATOR: Final = "operator"
AUDITOR: Final = "auditor"
CUSTOMER: Final = "customer"
"""Somebody whose data this is, enrolled by an invitation (contracts.people.invitations); the administration serves
them."""
ROLES: Final = (ADMINISTRATOR, OPERATOR, AUDITOR)
"""What people who work here are enrolled as."""
WORKING_ROLES: Final = (ADMINISTRATOR, OPERATOR)
"""Roles to which the rules of the policy apply; an auditor has the history, and beyond it only what is granted."""
POSSESSION_PURPOSE: Final = "key-possession"


class Subject(msgspec.Struct, frozen=True, gc=False):
    """kind: "person", "node" or "gateway"; id: work id, department or gateway id; role: "" unless a person."""

    kind: str
    id: str
    department: str
    role: str = ""

    @property
    def text(self) -> str:
        """As grants, assignments and rows name it: "person:li", "node:sales", "gateway:g1"."""
        return f"{self.kind}:{self.id}"


def person(view: View, person_id: str) -> dict[str, Any]:
    """The person's record. Errors: people.unknown."""
    record = view.get("people", person_id)
    if record is None:
        raise KehuError(PEOPLE_UNKNOWN, person=person_id)
    return record


def subject_of_person(view: View, person_id: str) -> Subject:
    """For questions about a person who does not act just now. Errors: people.unknown."""
    record = person(view, person_id)
    return Subject("person", person_id, record["department"], record["role"])


def resolve_sender(context: CallContext, view: View) -> Subject:
    """Who signed. Errors: keys.unknown, keys.revoked, people.revoked, people.wrong_node, node.wrong_node."""
    row = view.look("keys", context.key.hex())
    if row is None:
        raise KehuError(KEYS_UNKNOWN, key=context.key)
    if row["kind"] == "person":
        return _resolve_person(context, view, row)
    if row["status"] != ACTIVE:
        raise KehuError(KEYS_REVOKED, key=context.key)
    if row["kind"] == "node" and row["department"] != context.admitted_by:
        raise KehuError(NODE_WRONG_NODE, expected=row["department"], actual=context.admitted_by)
    return Subject(row["kind"], row["id"], row["department"])


def home_of(view: View, key: bytes) -> str | None:
    """The department whose node has to let in what this key signs: a person's and a node's own. None for a gateway's,
    and for a key that nobody is enrolled with."""
    return view.remembered(("home", key), lambda state: _home_of(state, key))


def _home_of(view: View, key: bytes) -> str | None:
    row = view.get("keys", key.hex())
    if row is None or row["kind"] == "gateway":
        return None
    if row["kind"] == "node":
        return str(row["department"])
    record = view.get("people", row["id"])
    return None if record is None else str(record["department"])


def _resolve_person(context: CallContext, view: View, row: dict[str, Any]) -> Subject:
    record = view.look("people", row["id"])
    if record is None:
        raise KehuError(PEOPLE_UNKNOWN, person=row["id"])
    if record["status"] != ACTIVE:
        raise KehuError(PEOPLE_REVOKED, person=row["id"])
    if row["status"] != ACTIVE:
        raise KehuError(KEYS_REVOKED, key=context.key)
    if record["department"] != context.admitted_by:
        raise KehuError(PEOPLE_WRONG_NODE, expected=record["department"], actual=context.admitted_by)
    return Subject("person", row["id"], record["department"], record["role"])


def require_person(context: CallContext, view: View) -> Subject:
    """The sender, who must be a person who works here.

    Errors: those of `resolve_sender`, keys.wrong_kind, permission.customer.
    """
    subject = require_person_or_customer(context, view)
    if subject.role == CUSTOMER:
        raise KehuError(PERMISSION_CUSTOMER, subject=subject.text)
    return subject


def require_person_or_customer(context: CallContext, view: View) -> Subject:
    """As `require_person`, for the few calls that customers may make too."""
    return require_kind(context, view, "person")


def require_kind(context: CallContext, view: View, kind: str) -> Subject:
    subject = resolve_sender(context, view)
    if subject.kind != kind:
        raise KehuError(KEYS_WRONG_KIND, expected=kind, actual=subject.kind)
    return subject


def require_administrator(context: CallContext, view: View) -> Subject:
    """Errors: those of `require_person`, permission.administrator_only."""
    subject = require_person(context, view)
    if not is_administrator(subject):
        raise KehuError(PERMISSION_ADMINISTRATOR, subject=subject.text)
    return subject


def is_administrator(subject: Subject) -> bool:
    return subject.role == ADMINISTRATOR and subject.department == ADMINISTRATION


def require_department(view: View, department: str) -> None:
    """Errors: department.unknown, also for one that was removed."""
    if not is_department(view, department):
        raise KehuError(DEPARTMENT_UNKNOWN, department=department)


def is_department(view: View, department: str) -> bool:
    """Whether the department takes part now."""
    row = view.get("departments", department)
    return row is not None and row["status"] == ACTIVE


def possession_payload(id_: str, key_hex: str) -> bytes:
    """What the new key signs (purpose "key-possession") to show that somebody holds its secret half."""
    return codec.encode_flat([id_, key_hex])


def require_possession(context: CallContext, id_: str, key_hex: str, possession: bytes) -> None:
    """Errors: key.invalid, keys.possession."""
    key = require_key(bytes.fromhex(key_hex))
    if not verify(key, POSSESSION_PURPOSE, context.chain_id, possession_payload(id_, key_hex), possession):
        raise KehuError(KEYS_POSSESSION, id=id_, key=key_hex)


def enrol_key(view: View, key_hex: str, kind: str, id_: str, department: str) -> None:
    """Errors: key.invalid, keys.taken."""
    require_key(bytes.fromhex(key_hex))
    if view.has("keys", key_hex):
        raise KehuError(KEYS_TAKEN, key=key_hex)
    view.put("keys", key_hex, {"kind": kind, "id": id_, "department": department, "status": ACTIVE})


def retire_key(view: View, key_hex: str) -> None:
    row = view.get("keys", key_hex)
    if row is None:
        raise KehuError(KEYS_UNKNOWN, key=key_hex)
    view.put("keys", key_hex, {**row, "status": REVOKED})


def standing(subject: Subject, person: dict[str, Any] | None) -> str | None:
    """Why this subject has no say at all, or None. Nodes and gateways see nothing: people do."""
    if subject.kind != "person":
        return KEYS_WRONG_KIND.code
    if person is None:
        return PEOPLE_UNKNOWN.code
    if person["status"] != ACTIVE:
        return PEOPLE_REVOKED.code
    return None if person["keys"] else KEYS_REVOKED.code

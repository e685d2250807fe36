"""The person behind a key, as the committed state has them now. A revoked key is refused from the next block on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from chain.errors import KehuError, define
from chain.state import View
from contracts.deciding.subjects import ACTIVE
from node.api.facade import NodeFacade

AUTH_KEY_UNKNOWN = define(
    "auth.key_unknown",
    "the key that signed the request is not enrolled",
    "have the administration enrol it, or sign with the key that is",
)
AUTH_KEY_REVOKED = define(
    "auth.key_revoked",
    "the key that signed the request, or the person it belonged to, has been revoked",
    "sign with the person's current key; ask the administration if there is none",
)
AUTH_NOT_A_PERSON = define(
    "auth.not_a_person",
    "the key that signed the request is a node's or a gateway's, not a person's",
    "sign with a person's key",
)
AUTH_OTHER_DEPARTMENT = define(
    "auth.other_department",
    "the key belongs to a person of another department, and people work through their own department's node",
    "send the request to that department's node",
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who signed: their key, work id, and role in this node's department."""

    key: bytes
    id: str
    role: str


PERSON: Final = web.RequestKey("person", Person)
"""Who a signed route was called by."""


def require_active_person(node: NodeFacade, key: bytes) -> Person:
    """The active person of this node's department whose active key this is. Errors: auth.*."""
    view = View(node.ledger.state.get)
    holder = view.get("keys", key.hex())
    if holder is None:
        raise KehuError(AUTH_KEY_UNKNOWN, key=key)
    if holder["kind"] != "person":
        raise KehuError(AUTH_NOT_A_PERSON, key=key, kind=holder["kind"])
    person = view.get("people", holder["id"])
    if person is None or person["status"] != ACTIVE or holder["status"] != ACTIVE:
        raise KehuError(AUTH_KEY_REVOKED, key=key, person=holder["id"])
    if person["department"] != node.department:
        raise KehuError(AUTH_OTHER_DEPARTMENT, expected=node.department, actual=person["department"])
    return Person(key, holder["id"], person["role"])

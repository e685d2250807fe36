"""Arguments: every call refuses what is missing, unknown, of another kind or beyond its limits."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.deciding.policy import default_policy
from contracts.registry import METHODS
from tests.contracts.office import Office, hex_of

DIGEST = bytes(32)
ARGUMENTS: dict[str, Any] = {
    "duration_ms_max": 86_400_000,
    "change": {"kind": "remove", "department": "technical"},
    "effect": {},
    "proposal": "p1",
    "action": "read",
    "actions": ["read"],
    "after": 0,
    "asked_by": None,
    "attestation": None,
    "as_of": None,
    "client_department": "d1",
    "correction": False,
    "currency": "CNY",
    "customer": "c1",
    "demand": "n1",
    "department": "sales",
    "digest": DIGEST,
    "field": "name",
    "due_ms": 1,
    "expires_ms": None,
    "feedback": "f1",
    "fields": {"name": DIGEST, "phone": DIGEST},
    "from": "c2",
    "gateway": "g1",
    "grant": "g",
    "intent": "export",
    "invitation": hex_of("somebody"),
    "log": "accesses",
    "handover": "h1",
    "key": hex_of("somebody"),
    "kind": "changes",
    "limit": 1,
    "of": "projects",
    "organisation": "o1",
    "outcome": "resolved",
    "paid_ms": 1,
    "parent": "d2",
    "participation": "t1",
    "payment": "y1",
    "person": "li",
    "over": ["name"],
    "policy": default_policy(),
    "possession": bytes(64),
    "proof": bytes(64),
    "progress": "r1",
    "progress_answer": "a1",
    "project": "p1",
    "purpose": "sale",
    "query": DIGEST,
    "evidence": b"\x90",
    "reason": "withdrawn",
    "record": "c1",
    "records": ["c1"],
    "scope": "record:c1",
    "search": 1,
    "since_ms": 0,
    "relation": "l1",
    "right": "decides",
    "role": "operator",
    "stance": "neutral",
    "state": "open",
    "subject": "person:li",
    "table": "customers",
    "temporary": True,
    "to": "sales",
    "until_ms": 1,
    "values": 1,
    "verdict": "confirmed",
    "version": 1,
    "votes_from": 4,
    "weight": None,
}
LISTS_FIELDS = (
    "permissions.grant",
    "access.read",
    "access.list",
    "access.members",
    "access.search",
    "vault.record_release",
)
IDS: list[Any] = ["", "P1", "项目", "a/b", "a.b", "-a", "a" * 65, 1]
TIMES: list[Any] = [0, -1, "x", True, 1 << 63]
BAD: dict[str, list[Any]] = {
    "duration_ms_max": [0, 59_999, -1, True, "1", 1 << 63],
    "scope": ["", "*", "department", "project", "project:", "record:*", "project:P1", "all:c1", ["all"], None],
    "action": ["", "delete", ["read"], None],
    "actions": [[], ["delete"], ["read", "read"], "read", [1], ["read"] * 5],
    "after": [-1, True, "0", 1 << 63],
    "asked_by": ["", "Li", "李", 1],
    "as_of": [-1, "1", True, 1 << 63],
    "attestation": [{}, b"", "x"],
    "client_department": IDS,
    "correction": [0, None, "yes"],
    "currency": ["", "cny", "CN", "ABC", "RMB", 156, None],
    "customer": ["", "C1", "张三", "a/b", "a.b", "-a", "a" * 65, 1, None, "a\n"],
    "department": ["", "1a", "Sales", "a" * 33, "a-b", None],
    "digest": [bytes(31), "00" * 32, None],
    "field": ["", "Name", "*", 1],
    "intent": ["read", "", 1],
    "invitation": ["", "AA" * 32, DIGEST, None],
    "demand": [*IDS, None],
    "due_ms": [*TIMES, None],
    "evidence": [b"", "x", bytes((1 << 15) + 1), None],
    "expires_ms": [0, -1, "x", 1 << 63],
    "feedback": [*IDS, None],
    "from": [*IDS, None],
    "gateway": ["", "G", None],
    "grant": ["", "G", None],
    "handover": [*IDS, None],
    "key": ["", "AA" * 32, "0" * 63, "g" * 64, DIGEST],
    "kind": ["Values", 1],
    "limit": [0, 101, True, None],
    "log": ["reads", "", None],
    "over": [["*"], ["name", "name"], ["Name"], "name", None, [f"f{n}" for n in range(33)]],
    "proof": [bytes(63), "00" * 64, None],
    "proposal": [*IDS, None],
    "change": [[], "x", None],
    "effect": [[], "x", None],
    "of": ["", "Projects", "a/b", None],
    "organisation": IDS,
    "outcome": ["open", "", 1, None],
    "paid_ms": [*TIMES, None],
    "parent": IDS,
    "participation": [*IDS, None],
    "payment": [*IDS, None],
    "person": ["", "Li", "li.wei", None],
    "policy": [[], None],
    "possession": [bytes(63), "00" * 64, None],
    "progress": [*IDS, None],
    "progress_answer": [*IDS, None],
    "project": IDS,
    "purpose": ["", "A", "for sale", "卖", "a" * 65, 1],
    "reason": ["", "W", "he left", "原因", None],
    "query": [bytes(31), "00" * 32, None],
    "record": ["", "C", "**", None],
    "records": [["C"], ["c1", "c1"], ["*"], "c1", None, [f"c{n}" for n in range(101)]],
    "search": [0, True, "1", None],
    "since_ms": [-1, True, "0", 1 << 63],
    "relation": [*IDS, None],
    "right": ["decide", "", 1, None],
    "role": ["Root", "", "老板", None],
    "stance": ["for", "", 1, None],
    "state": ["paid", "", 1, None],
    "subject": ["li", "node:sales", "gateway:g1", "person:", "person:*", "department:A", None],
    "table": ["", "Customers", "a/b", None],
    "temporary": [0, None, "yes"],
    "to": ["", "S", None],
    "until_ms": [-1, True, "0", 1 << 63],
    "values": [-1, True, "1", None],
    "verdict": ["yes", "", 1, None],
    "version": [0, -1, True, "1", None, 1 << 63],
    "votes_from": [-1, True, "1", None, 1 << 63],
    "weight": [-1, 101, True, "5"],
}
BAD_DIGESTS: list[Any] = [
    {"name": bytes(31)}, {"name": "x"}, {"Name": DIGEST}, {"": DIGEST}, [], None, {f"f{n}": DIGEST for n in range(33)},
]  # fmt: skip
BAD_LISTS: list[Any] = [[], ["*", "name"], ["name", "name"], ["Name"], [1], "name", {}, [f"f{n}" for n in range(33)]]


VIA = "administration"
"""Whom nobody knows yet may come in there, and try anything else at any department's."""


def arguments_of(name: str) -> dict[str, Any]:
    args = {argument: ARGUMENTS[argument] for argument in METHODS[name].arguments}
    if name in LISTS_FIELDS:
        args["fields"] = ["name"]
    if name == "phone.record":
        args["attestation"] = []
    if name == "customers.invite":
        args["expires_ms"] = 1
    return args


def bad_values(name: str, argument: str) -> list[Any]:
    if argument == "fields":
        return BAD_LISTS if name in LISTS_FIELDS else BAD_DIGESTS
    is_optional = METHODS[name].arguments[argument].is_optional
    return [value for value in BAD[argument] if not (is_optional and value is None)]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_argument_is_checked_before_anything_else(office: Office, name: str) -> None:
    good = arguments_of(name)
    assert office.call("stranger", name, via=VIA, **good).code in ("keys.unknown", "codec.shape", "invitation.unknown")
    for argument in METHODS[name].arguments:
        for value in bad_values(name, argument):
            receipt = office.call("stranger", name, via=VIA, **good | {argument: value})
            assert (receipt.code, receipt.details.get("argument")) == ("call.arguments", argument), value


@pytest.mark.parametrize("name", sorted(METHODS))
def test_missing_and_unknown_arguments_are_refused(office: Office, name: str) -> None:
    good = arguments_of(name)
    for argument, entry in METHODS[name].arguments.items():
        receipt = office.call(
            "stranger", name, via=VIA, **{key: value for key, value in good.items() if key != argument}
        )
        assert (receipt.details.get("problem") == "missing") != entry.is_optional
    unknown = office.call("stranger", name, via=VIA, **good, extra=1)
    assert unknown.details == {"call": name, "argument": "extra", "problem": "unknown"}
    odd = office.call("stranger", name, via=VIA, **good, **{"张三 138": 1})
    assert odd.details["argument"] == "(not a plain name)"


def test_optional_arguments_may_be_left_out_or_nil(office: Office) -> None:
    assert office.call("li", "access.login").is_ok
    assert office.call("li", "access.login", purpose=None).is_ok


def test_an_empty_map_of_fields_is_for_enrolling_only(stocked: Office) -> None:
    assert stocked.code("li", "customers.update", customer="c1", version=1, fields={}) == "call.arguments"
    args = {"person": "ma", "department": "sales", "role": "operator", **stocked.possession("ma", "ma")}
    stocked.ok("boss", "people.enrol", **args, fields={})

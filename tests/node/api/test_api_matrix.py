"""Every route against everybody it is not for: no key, a wrong role, another department, a revoked key or person, and
a grant that has expired."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from chain.transaction import Call
from contracts.deciding.subjects import ADMINISTRATOR, AUDITOR, CUSTOMER, OPERATOR
from node.api.app import ROUTES
from node.api.policy import _ROLES, Policy, Route
from tests.node.api.conftest import Answer, Api
from tests.node.api.fake_node import key_of

SIGNED = [route for route in ROUTES if route.policy.is_signed]
HOLDERS = {"li": OPERATOR, "rui": AUDITOR}
"""Who there is in sales, and in which role."""


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def path_of(route: Route) -> str:
    return re.sub(r"\{\w+\}", "1", route.path)


async def ask(api: Api, route: Route, **more: Any) -> Answer:
    return await api.signed(route.method, path_of(route), b"{}" if route.body_types else None, **more)


@pytest.mark.parametrize("route", SIGNED, ids=name_of)
async def test_nobody_without_a_key_gets_in(api: Api, route: Route) -> None:
    headers = {"Content-Type": "application/json"} if route.body_types else {}
    answer = await api.request(route.method, path_of(route), b"{}" if route.body_types else None, headers)
    assert (answer.status, answer.code) == (401, "auth.required")


@pytest.mark.parametrize("route", SIGNED, ids=name_of)
async def test_nobody_with_an_unknown_key_gets_in(api: Api, route: Route) -> None:
    answer = await ask(api, route, key=key_of("stranger"))
    assert (answer.status, answer.code) == (403, "auth.key_unknown")


@pytest.mark.parametrize("route", SIGNED, ids=name_of)
async def test_nobody_of_another_department_gets_in(api: Api, route: Route) -> None:
    for other in ("qian", "boss"):
        answer = await ask(api, route, key=key_of(other))
        assert (answer.status, answer.code) == (403, "auth.other_department")


@pytest.mark.parametrize("route", SIGNED, ids=name_of)
async def test_no_node_or_gateway_gets_in_as_a_person(api: Api, route: Route) -> None:
    for other in ("node sales", "gateway"):
        answer = await ask(api, route, key=key_of(other))
        assert (answer.status, answer.code) == (403, "auth.not_a_person")


@pytest.mark.parametrize("route", SIGNED, ids=name_of)
async def test_nobody_with_a_revoked_key_or_revoked_themselves_gets_in(api: Api, route: Route) -> None:
    api.node.enact("boss", Call("people.revoke_key", {"key": key_of("li").public.hex()}))
    api.node.enact("boss", Call("people.revoke", {"person": "wang"}))
    for gone in ("li", "wang"):
        answer = await ask(api, route, key=key_of(gone))
        assert (answer.status, answer.code) == (403, "auth.key_revoked")


@pytest.mark.parametrize("route", [route for route in SIGNED if "/events" not in route.path], ids=name_of)
async def test_everybody_of_the_wrong_role_is_turned_away_and_the_right_ones_are_not(api: Api, route: Route) -> None:
    for person, role in HOLDERS.items():
        answer = await ask(api, route, key=key_of(person))
        is_refused = answer.status == 403 and answer.code == "auth.role"
        assert is_refused == (role not in _ROLES[route.policy]), (person, answer.body)


def test_the_roles_of_every_policy_are_what_it_says() -> None:
    people = {ADMINISTRATOR, OPERATOR, AUDITOR}
    assert {policy: set(roles) for policy, roles in _ROLES.items()} == {
        Policy.PERSON: people,
        Policy.READER: people | {CUSTOMER},
        Policy.OPERATOR: {ADMINISTRATOR, OPERATOR},
        Policy.ADMINISTRATOR: {ADMINISTRATOR},
    }
    assert {policy for policy in Policy if policy.is_signed} == set(_ROLES)


def grant(api: Api, **changes: Any) -> None:
    args = {"grant": "g", "subject": "person:wang", "actions": ["read", "contact"], "table": "customers"}
    more = {"scope": "record:c1", "fields": ["*"], "purpose": "*", "expires_ms": api.node.now_ms() + 60_000}
    api.node.enact("boss", Call("permissions.grant", args | more | changes))


READS = {
    "read": ("access.read", {"table": "customers", "record": "c1", "fields": ["*"], "purpose": "x"}),
    "list": ("access.list", {"table": "customers", "after": 0, "limit": 9, "fields": ["*"], "purpose": "x"}),
    "contact": ("access.contact", {"customer": "c1", "purpose": "x"}),
}


@pytest.mark.parametrize("end", ["expired", "revoked"])
@pytest.mark.parametrize("kind", sorted(READS))
async def test_values_do_not_come_by_a_grant_that_has_ended(api: Api, kind: str, end: str) -> None:
    api.node.register("li", "c1", name="王小明", phone="+8613800138000")
    grant(api)
    if kind != "contact":  # c1 is temporary, so its number is not given out anyway
        assert len(await values_of(api, kind)) == 2
    if end == "expired":
        api.node.clock.now_ms += 60_000
    else:
        api.node.enact("boss", Call("permissions.revoke", {"grant": "g"}))
    assert await values_of(api, kind) == []


async def values_of(api: Api, kind: str) -> list[Any]:
    name, args = READS[kind]
    id_ = api.node.enact("wang", Call(name, args))
    answer = await api.signed("GET", f"/v1/transactions/{id_.hex()}/values", key=key_of("wang"))
    return list(json.loads(answer.body)["values"])

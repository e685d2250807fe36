"""No path of the API reveals a value that the permissions deny: random policies, grants, assignments and questions
against the real API over HTTP, the real contracts and a real vault that holds everything."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chain.errors import KehuError
from chain.state import View
from contracts.base import ACTIONS
from contracts.deciding.permissions import Resource, may
from contracts.deciding.subjects import subject_of_person
from contracts.registry import METHODS
from node.api.app import ROUTES, make_app
from node.api.limits import ApiLimits
from node.api.server import serve
from node.search.query import Filter, Query
from node.vault.disclosure import _CALLS
from tests.node.api.conftest import Api
from tests.node.api.fake_node import DEPARTMENTS, PEOPLE, FakeNode, key_of
from tests.node.api.reveals import (
    ALL,
    ASKERS,
    CHANGED,
    CUSTOMER,
    CUSTOMERS,
    FIELDS,
    MEMBERS,
    RECORDS,
    SALT,
    SEARCHED,
    Asker,
    Value,
    node_with_a_vault,
    secret,
    start_of,
    stock,
)  # fmt: skip

KINDS: Final = {
    "read": "access.read",
    "then": "access.read",
    "list": "access.list",
    "export": "access.list",
    "members": "access.members",
    "contact": "access.contact",
    "search": "access.search",
    "duplicates": "access.match",
    "history": "access.history",
    "log": "access.log",
    "why": "access.why",
    "own": "access.own_projects",
    "login": "access.login",
}
"""A kind of question -> the call that puts it on the record; `access.found` answers a search."""
OF_CUSTOMERS: Final = ("read", "then", "own", "login")
"""What a customer may ask; of members progress only."""

DIGEST: Final = "0" * 64
WALK: Final = {
    ("GET", "/healthz"): "/healthz",
    ("GET", "/readyz"): "/readyz",
    ("GET", "/v1/status"): "/v1/status",
    ("GET", "/v1/why"): "/v1/why",
    ("GET", "/v1/doctor"): "/v1/doctor",
    ("GET", "/v1/genesis"): "/v1/genesis",
    ("GET", "/v1/membership"): "/v1/membership",
    ("GET", "/v1/protocol"): "/v1/protocol",
    ("GET", "/v1/openapi.json"): "/v1/openapi.json",
    ("GET", "/v1/blocks/{height}"): "/v1/blocks/1",
    ("GET", "/v1/export"): "/v1/export",
    ("GET", "/v1/transactions/{id}"): "/v1/transactions/{last}",
    ("GET", "/v1/transactions/{id}/proof"): "/v1/transactions/{last}/proof",
    ("GET", "/v1/state/{table}/{key}"): "/v1/state/customers/c1?proof=1",
    ("GET", "/v1/vault"): "/v1/vault",
    ("GET", "/v1/backup"): "/v1/backup?vault=yes",
    ("GET", "/v1/erasures/{table}/{record}"): "/v1/erasures/customers/c1",
    ("GET", "/v1/phone/due"): "/v1/phone/due",
    **{("GET", f"/v1/{table}"): f"/v1/{table}" for table in (
        "assignments", "customers", "departments", "erasures", "evidence", "gateways", "grants", "people", "proposals",
    )},
}  # fmt: skip
"""Routes that ask for no value, and how they are asked. None may show one, to nobody."""
WALK_BODIES: Final = {
    ("POST", "/v1/phone/check"): {"customer": "c1"},
    ("POST", "/v1/phone/attest"): {"customer": "c9", "phone": "+8613900000000", "phone_salt": DIGEST},
    ("POST", "/v1/permissions/preview"): {"calls": [{"name": "permissions.revoke", "args": {"grant": "g0"}}]},
}  # fmt: skip
QUESTIONED: Final = {
    ("POST", "/v1/transactions"),
    ("GET", "/v1/transactions/{id}/values"),
    ("POST", "/v1/search"),
    ("POST", "/v1/customers/duplicates"),
    ("GET", "/v1/events"),
}
"""Routes of the questions, and the events, to which somebody listens all the time."""

tables = st.sampled_from(["customers", "customers", "customers", "projects", "demands", "progress", "payments"])
actions = st.lists(st.sampled_from(ACTIONS), min_size=1, unique=True)
purposes = st.sampled_from(["sale", "survey"])
subjects = st.sampled_from(
    [f"person:{name}" for name in ASKERS] + [f"department:{name}" for name in DEPARTMENTS]
)  # fmt: skip
rules = st.fixed_dictionaries(
    {
        "department": st.sampled_from(DEPARTMENTS),
        "table": st.one_of(tables, st.sampled_from(["organisations", "accesses", "*"])),
        "actions": actions,
        "fields": st.just(["*"]),
        "scope": st.sampled_from(["all", "assigned", "department", "project"]),
    }
)


def fields_of(table: str) -> st.SearchStrategy[list[str]]:
    return st.one_of(st.just(["*"]), st.lists(st.sampled_from(FIELDS[table]), min_size=1, unique=True))


def grants_of(table: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "subject": subjects,
            "table": st.just(table),
            "actions": actions,
            "scope": st.sampled_from(["all", "assigned", "project:p1", *(f"record:{one}" for one in RECORDS[table])]),
            "fields": fields_of(table),
            "purpose": st.one_of(st.just("*"), purposes),
            "expires_ms": st.sampled_from([None, 1_700_000_000_001, 1_800_000_000_000]),
        }
    )


@dataclass(frozen=True)
class Question:
    """`field`: what a search goes by; `members`: what belongs to what; `is_past`: as of a height."""

    person: str
    kind: str
    table: str
    record: str
    asked: tuple[str, ...]
    purpose: str
    field: str
    members: tuple[str, str, str]
    is_past: bool


@st.composite
def questions(draw: st.DrawFn) -> Question:
    person, kind = draw(st.sampled_from(sorted(ASKERS))), draw(st.sampled_from(sorted(KINDS)))
    members = draw(st.sampled_from(sorted(MEMBERS)))
    if person == CUSTOMER and kind != "members":
        kind = draw(st.sampled_from(OF_CUSTOMERS))
    elif person == CUSTOMER:
        members = ("projects", "p1", "progress")
    elif kind == "own":
        kind = "login"
    table = "customers" if kind in ("contact", "history", "why") else draw(tables)
    if kind == "then":
        table = draw(st.sampled_from(sorted(CHANGED)))
    if kind == "search" and table not in SEARCHED:
        table = "demands"
    table = members[2] if kind == "members" else table
    record = RECORDS[table][0] if kind == "then" else draw(st.sampled_from(RECORDS[table]))
    field = draw(st.sampled_from(SEARCHED.get(table, ("name",))))
    is_past = members[0] == "organisations" and draw(st.booleans())
    asked = tuple(draw(fields_of(table)))
    return Question(person, kind, table, record, asked, draw(purposes), field, members, is_past)


async def put(asker: Asker, question: Question, before: int) -> list[str]:
    """Asks one question by its path; the records that a search or a look for duplicates named."""
    kind, record, purpose, fields = question.kind, question.record, question.purpose, list(question.asked)
    about = {"table": question.table, "record": record}
    page = {"after": 0, "limit": 50, "purpose": purpose}
    if kind in ("search", "duplicates"):
        return await (search if kind == "search" else find_duplicates)(asker, question)
    of, owner, _ = question.members
    as_of = before if question.is_past else None
    args: dict[str, Any] = {
        "read": about | {"fields": fields, "purpose": purpose},
        "then": about | {"fields": fields, "purpose": purpose, "as_of": before},
        "list": page | {"table": question.table, "fields": fields, "intent": "list"},
        "export": page | {"table": question.table, "fields": fields, "intent": "export"},
        "members": page | {"of": of, "record": owner, "table": question.table, "as_of": as_of, "fields": fields},
        "contact": {"customer": record, "purpose": purpose},
        "history": page | about | {"kind": "accesses"},
        "log": page | {"log": "accesses", "person": asker.person},
        "why": about | {"person": asker.person, "action": "read", "field": question.field},
        "own": {"purpose": purpose},
        "login": {},
    }[kind]
    await asker.execute(KINDS[kind], args)
    return []


async def search(asker: Asker, question: Question) -> list[str]:
    """By what is the beginning of everybody's value, so that only permission keeps records apart."""
    node, sequence = asker.api.node, ("fact", "sequence")
    query = Query((Filter("field", question.field, start_of(question.field)),), sequence)
    args = {"query": query.digest(node.genesis.chain_id, SALT), "over": query.over, "fields": list(question.asked)}
    await asker.execute("access.search", args | {"limit": 10, "table": question.table, "purpose": question.purpose})
    counter = View(node.ledger.state.get).get("counters", f"searches.{asker.person}")
    assert counter is not None
    where = [{"kind": one.kind, "name": one.name, "text": one.text} for one in query.where]
    value = {"where": where, "sort": {"kind": "fact", "name": "sequence"}, "descending": False, "after": None}
    body = {"search": counter["value"], "salt": SALT.hex(), "query": value}
    answer = await asker.signed("POST", "/v1/search", body)
    assert answer.status == 200, answer.body
    await asker.signed("GET", f"/v1/transactions/{answer.json['transaction']}/values")
    shown = await asker.signed("GET", f"/v1/transactions/{answer.json['transaction']}")
    return [item["record"] for item in shown.json["receipt"]["results"][0]["records"]]


async def find_duplicates(asker: Asker, question: Question) -> list[str]:
    phones = [secret("customers", customer, "phone") for customer in CUSTOMERS]
    body = {"phones": phones, "purpose": question.purpose}
    answer = await asker.signed("POST", "/v1/customers/duplicates", body)
    return [one for found in answer.json["customers"] for one in found] if answer.status == 200 else []


async def look_around(asker: Asker) -> None:
    """Everything that does not ask for a value must not have one."""
    last = asker.api.node.blocks.block(asker.api.node.ledger.height).transactions()[0][1].id.hex()
    for (method, _), path in WALK.items():
        await asker.signed(method, path.replace("{last}", last))
    for (method, path), body in WALK_BODIES.items():
        await asker.signed(method, path, body)
    assert asker.seen() == set(), asker.person


def allowed(node: FakeNode, question: Question, action: str, value: tuple[str, str, str | None]) -> bool:
    view = View(node.ledger.state.get)
    resource = Resource(*value, question.purpose)
    return may(view, subject_of_person(view, question.person), action, resource, node.now_ms()).allowed


def expected(node: FakeNode, question: Question, found: list[str]) -> set[Value]:
    """The values that this question may and must show, decided by `may` alone."""
    kind, table = question.kind, question.table
    wanted = ("phone",) if kind == "contact" else FIELDS[table] if question.asked == ("*",) else question.asked
    action = kind if kind in ("contact", "export") else "read"
    past = CHANGED.get(table) if kind == "then" or (kind == "members" and question.is_past) else None
    values = [
        (table, record, field)
        for record in _concerned(node, question, found)
        for field in wanted
        if (field, record) != (past, RECORDS[table][0])
    ]
    return {value for value in values if allowed(node, question, action, value)}


def _concerned(node: FakeNode, question: Question, found: list[str]) -> tuple[str, ...]:
    kind, table = question.kind, question.table
    if kind in ("read", "then", "contact"):
        return (question.record,)
    if kind in ("list", "export"):
        return RECORDS[table]
    if kind == "members":
        of, owner, _ = question.members
        return MEMBERS[question.members] if allowed(node, question, "read", (of, owner, None)) else ()
    if kind == "search":
        readable = {
            one for one in RECORDS[table] if allowed(node, question, "read", (table, one, question.field))
        }  # fmt: skip
        assert set(found) <= readable, "a search told of a record by a field that its reader may not read"
        return tuple(readable)
    if kind == "duplicates":
        phones = {one for one in CUSTOMERS if allowed(node, question, "read", ("customers", one, "phone"))}
        is_asked = ASKERS[question.person][1] in ("operator", "administrator")
        assert set(found) == (phones if is_asked else set()), "who has a number was told to somebody else"
    return ()


async def listen(api: Api, heard: list[bytes]) -> None:
    headers = api.signature("GET", "/v1/events", key=key_of("li"))
    async with api.session.get(f"{api.url}/v1/events", headers=headers) as response:
        async for line in response.content:
            heard.append(line)


async def scenario(node: FakeNode, asked: list[Question], before: int) -> None:
    limits = ApiLimits(customer_requests_per_minute=10_000)
    server = await serve(make_app(node, node.clock, limits), "127.0.0.1", 0)
    events: list[bytes] = []
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        api = Api(node, server, session, limits)
        node.department = "sales"
        listener = asyncio.create_task(listen(api, events))
        try:
            await node.subscribed.wait()
            for question in asked:
                asker = Asker(api, question.person)
                found = await put(asker, question, before)
                assert asker.seen() == expected(node, question, found), question
            for person in ("boss", "li", "rui", CUSTOMER):
                await look_around(Asker(api, person))
        finally:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener
            await server.close()
    told = b"".join(events)
    assert not any(secret(*one).encode() in told for one in ALL)
    assert node.failures == []


@settings(
    max_examples=20,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # making a failure small would take minutes
)
@given(
    st.lists(rules, max_size=8),
    st.lists(tables.flatmap(grants_of), max_size=8),
    st.lists(
        st.sampled_from(["customers", "projects"]).flatmap(
            lambda table: st.tuples(st.just(table), st.sampled_from(RECORDS[table]), subjects)
        ),
        max_size=5,
    ),
    st.lists(questions(), min_size=10, max_size=16),
    st.sampled_from([0, 60_000]),
)
def test_the_api_shows_exactly_what_the_permissions_allow(
    policy: list[Any],
    given_grants: list[Any],
    assigned: list[tuple[str, str, str]],
    asked: list[Question],
    later_ms: int,
) -> None:
    with node_with_a_vault() as node:
        try:
            chosen = [one for one in given_grants if one["expires_ms"] != node.now_ms()]
            before = stock(node, policy, chosen, assigned)
        except KehuError as error:
            raise AssertionError(error.code) from error
        node.clock.now_ms += later_ms
        asyncio.run(scenario(node, asked, before))


def test_every_route_is_among_those_that_are_asked() -> None:
    assert {*WALK, *WALK_BODIES, *QUESTIONED} == {route.key for route in ROUTES}


def test_every_call_that_reads_is_among_those_that_are_asked() -> None:
    reading = {name for name in METHODS if name.startswith("access.")}
    assert {*KINDS.values(), "access.found"} == reading
    assert reading >= _CALLS
    assert set(PEOPLE) < set(ASKERS)

"""No path of the API reveals a value that the permissions deny: random policies, grants, assignments and questions
against the real API over HTTP, the real contracts and a real vault that holds everything."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chain.attestation import FOUND, phone_digest_of, sign_attestation
from chain.errors import KehuError
from chain.state import View
from chain.transaction import Call
from contracts.base import ACTIONS
from contracts.permissions import Resource, may
from contracts.policy import default_policy
from contracts.subjects import subject_of_person
from node.api.app import make_app
from node.api.limits import ApiLimits
from node.api.server import serve
from node.search.query import Filter, Query
from node.vault.store import Vault
from node.vault.values import VaultValue
from tests.node.api.conftest import Answer, Api
from tests.node.api.fake_node import DEPARTMENTS, PEOPLE, FakeNode, key_of

RECORDS = {"c1": "li", "c2": "wang", "c3": "qian"}
FIELDS = ("name", "phone", "identifier", "note")
SALT = bytes(32)
fields = st.one_of(st.just(["*"]), st.lists(st.sampled_from(FIELDS), min_size=1, unique=True))
actions = st.lists(st.sampled_from(ACTIONS), min_size=1, unique=True)
purposes = st.sampled_from(["sale", "survey"])
subjects = st.sampled_from([f"person:{name}" for name in PEOPLE] + [f"department:{name}" for name in DEPARTMENTS])
rules = st.fixed_dictionaries(
    {
        "department": st.sampled_from(DEPARTMENTS),
        "table": st.sampled_from(["customers", "customers", "accesses", "*"]),
        "actions": actions,
        "fields": st.just(["*"]),
        "scope": st.sampled_from(["all", "assigned", "department"]),
    }
)
grants = st.fixed_dictionaries(
    {
        "subject": subjects,
        "actions": actions,
        "record": st.sampled_from([*RECORDS, "*"]),
        "fields": fields,
        "purpose": st.one_of(st.just("*"), purposes),
        "expires_ms": st.sampled_from([None, 1_700_000_000_001, 1_800_000_000_000]),
    }
)
questions = st.tuples(
    st.sampled_from(sorted(PEOPLE)),
    st.sampled_from(["read", "list", "export", "contact", "search", "history", "log", "why"]),
    st.sampled_from(sorted(RECORDS)),
    fields,
    purposes,
    st.sampled_from(FIELDS),
)


def secret(record: str, field: str) -> str:
    return f"secret-{field}-of-{record}-end"


class _Shelved:
    """A real vault where the fake node keeps its values."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def put(self, chain_id: bytes, value: VaultValue) -> None:
        self._vault.put_live([(value, value.digest(chain_id))])

    def get(self, table: str, record: str, field: str, digest: bytes) -> VaultValue | None:
        return self._vault.get(table, record, field, digest)


@contextmanager
def node_with_a_vault() -> Iterator[FakeNode]:
    with tempfile.TemporaryDirectory() as folder:
        node = FakeNode(commits_at_once=True)
        vault = Vault.open(Path(folder), node.genesis.chain_id, key_of("node sales"))
        node.shelf = _Shelved(vault)  # type: ignore[assignment]
        try:
            yield node
        finally:
            vault.close()


def register(node: FakeNode, record: str, sender: str) -> None:
    """A valid customer, so that contact can give the number out."""
    values = {field: VaultValue("customers", record, field, SALT, secret(record, field)) for field in FIELDS}
    for value in values.values():
        node.shelf.put(node.genesis.chain_id, value)
    digests = {field: value.digest(node.genesis.chain_id) for field, value in values.items()}
    attestation = sign_attestation(
        key_of("gateway"),
        node.genesis.chain_id,
        customer=record,
        phone_digest=phone_digest_of(node.genesis.chain_id, record, SALT, secret(record, "phone")),
        outcome=FOUND,
        identifier_digest=digests.pop("identifier"),
        carrier="carrier",
        time_ms=node.now_ms(),
        gateway="g1",
        nonce=record.encode() * 8,
    )
    args = {"customer": record, "fields": digests, "attestation": attestation.to_value(), "temporary": False}
    node.enact(sender, Call("customers.register", args))


def stock(node: FakeNode, policy: list[Any], given_grants: list[Any], assigned: list[tuple[str, str]]) -> None:
    for record, sender in RECORDS.items():
        register(node, record, sender)
    for number, terms in enumerate(given_grants):
        purpose = "*" if "change" in terms["actions"] else terms["purpose"]
        args = {"grant": f"g{number}", "table": "customers", **terms, "purpose": purpose}
        node.enact("boss", Call("permissions.grant", args))
    for record, subject in {(record, subject) for record, subject in assigned}:
        if subject != f"person:{RECORDS[record]}":
            node.enact("boss", Call("permissions.assign", {"table": "customers", "record": record, "subject": subject}))
    node.enact("boss", Call("permissions.set_policy", {"policy": default_policy(DEPARTMENTS) | {"rules": policy}}))


class Asker:
    """Everything that the API said to somebody, byte for byte."""

    def __init__(self, api: Api, person: str) -> None:
        self.api, self.person = api, person
        self.heard: list[bytes] = []
        api.node.department = PEOPLE[person][0]

    async def signed(self, method: str, path: str, body: bytes | None = None) -> Answer:
        answer = await self.api.signed(method, path, body, key=key_of(self.person))
        self.heard.append(answer.body)
        return answer

    async def execute(self, name: str, args: dict[str, Any]) -> str:
        """Submits a call and asks for its values; the transaction's id."""
        transaction = self.api.node.transaction(self.person, Call(name, args))
        body = {"transactions": [base64.b64encode(transaction.raw).decode()]}
        answer = await self.api.post("/v1/transactions", body)
        self.heard.append(answer.body)
        assert answer.json["transactions"][0]["receipt"]["code"] == "ok", answer.body
        await self.signed("GET", f"/v1/transactions/{transaction.id.hex()}/values")
        return transaction.id.hex()

    def seen(self) -> set[tuple[str, str]]:
        everything = b"".join(self.heard)
        return {one for one in itertools.product(RECORDS, FIELDS) if secret(*one).encode() in everything}


async def put(asker: Asker, question: tuple[Any, ...]) -> list[str]:
    """Asks one question by its path; the records that a search named."""
    _, kind, record, asked, purpose, field = question
    about = {"table": "customers", "record": record}
    page = {"after": 0, "limit": 50, "purpose": purpose}
    if kind == "read":
        await asker.execute("access.read", about | {"fields": asked, "purpose": purpose})
    elif kind in ("list", "export"):
        await asker.execute("access.list", page | {"table": "customers", "fields": asked, "intent": kind})
    elif kind == "contact":
        await asker.execute("access.contact", {"customer": record, "purpose": purpose})
    elif kind == "history":
        await asker.execute("access.history", page | about | {"kind": "accesses"})
    elif kind == "log":
        await asker.execute("access.log", page | {"log": "accesses", "person": asker.person})
    elif kind == "why":
        await asker.execute("access.why", about | {"person": asker.person, "action": "read", "field": field})
    else:
        return await search(asker, record, asked, purpose, field)
    return []


async def search(asker: Asker, record: str, asked: list[str], purpose: str, field: str) -> list[str]:
    """By what is the beginning of everybody's value, so that only permission keeps records apart."""
    node = asker.api.node
    query = Query((Filter("field", field, "secret-"),) if field in ("name", "phone") else (), ("fact", "sequence"))
    args = {"query": query.digest(node.genesis.chain_id, SALT), "over": query.over, "fields": asked, "limit": 10}
    await asker.execute("access.search", args | {"table": "customers", "purpose": purpose})
    counter = View(node.ledger.state.get).get("counters", f"searches.{asker.person}")
    assert counter is not None
    where = [{"kind": one.kind, "name": one.name, "text": one.text} for one in query.where]
    value = {"where": where, "sort": {"kind": "fact", "name": "sequence"}, "descending": False, "after": None}
    body = {"search": counter["value"], "salt": SALT.hex(), "query": value}
    answer = await asker.signed("POST", "/v1/search", json.dumps(body).encode())
    assert answer.status == 200, answer.body
    await asker.signed("GET", f"/v1/transactions/{answer.json['transaction']}/values")
    shown = await asker.signed("GET", f"/v1/transactions/{answer.json['transaction']}")
    return [item["record"] for item in shown.json["receipt"]["results"][0]["records"]]


async def look_around(asker: Asker) -> None:
    """Everything that does not ask for a value must not have one."""
    for path in ("customers", "people", "grants", "assignments", "state/customers/c1", "state/policy/current"):
        await asker.signed("GET", f"/v1/{path}")
    for path in ("/v1/export", "/v1/blocks/1", "/v1/status", "/v1/genesis"):
        asker.heard.append((await asker.api.request("GET", path)).body)
    assert asker.seen() == set()


def allowed(node: FakeNode, person: str, action: str, record: str, field: str, purpose: str) -> bool:
    view = View(node.ledger.state.get)
    resource = Resource("customers", record, field, purpose)
    return may(view, subject_of_person(view, person), action, resource, node.now_ms()).allowed


def expected(node: FakeNode, question: tuple[Any, ...], found: list[str]) -> set[tuple[str, str]]:
    """The values that this question may and must show, decided by `may` alone."""
    person, kind, record, asked, purpose, field = question
    wanted = FIELDS if asked == ["*"] else asked
    records = [record] if kind in ("read", "contact") else list(RECORDS) if kind in ("list", "export", "search") else []
    if kind == "contact":
        wanted = ("phone",)
    action = kind if kind in ("contact", "export") else "read"
    if kind == "search" and field in ("name", "phone"):
        records = [one for one in records if allowed(node, person, "read", one, field, purpose)]
        assert set(found) <= set(records), "a search told of a record by a field that its reader may not read"
    return {
        (one, name)
        for one, name in itertools.product(records, wanted)
        if allowed(node, person, action, one, name, purpose)
    }


async def scenario(node: FakeNode, asked: list[tuple[Any, ...]]) -> None:
    server = await serve(make_app(node, node.clock, ApiLimits()), "127.0.0.1", 0)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        api = Api(node, server, session, ApiLimits())
        try:
            for question in asked:
                asker = Asker(api, question[0])
                found = await put(asker, question)
                assert asker.seen() == expected(node, question, found), question
            for person in ("boss", "li", "rui"):
                await look_around(Asker(api, person))
        finally:
            await server.close()
    assert node.failures == []


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # making a failure small would take minutes
)
@given(
    st.lists(rules, max_size=5),
    st.lists(grants, max_size=6),
    st.lists(st.tuples(st.sampled_from(sorted(RECORDS)), subjects), max_size=5),
    st.lists(questions, min_size=8, max_size=14),
    st.sampled_from([0, 60_000]),
)
def test_the_api_shows_exactly_what_the_permissions_allow(
    policy: list[Any],
    given_grants: list[Any],
    assigned: list[tuple[str, str]],
    asked: list[tuple[Any, ...]],
    later_ms: int,
) -> None:
    with node_with_a_vault() as node:
        try:
            stock(node, policy, [one for one in given_grants if one["expires_ms"] != node.now_ms()], assigned)
        except KehuError as error:
            raise AssertionError(error.code) from error
        node.clock.now_ms += later_ms
        asyncio.run(scenario(node, asked))

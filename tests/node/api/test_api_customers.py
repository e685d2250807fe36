"""What a customer's key opens: the routes meant for customers, their own entries, and not too often."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from chain.light import StateProof
from chain.transaction import Call, Transaction, sign_transaction
from contracts.people.invitations import INVITATION_PURPOSE, invitation_digest, invitation_key, invitation_payload
from node.api.app import ROUTES
from node.api.limits import ApiLimits
from node.api.policy import Policy, Route
from tests.node.api.conftest import Api, Start
from tests.node.api.fake_node import Clock, FakeNode, key_of

CODE = b"twenty secret bytes!"
FOR_CUSTOMERS = {("GET", "/v1/state/{table}/{key}"), ("GET", "/v1/transactions/{id}/values")}
READ = {"table": "customers", "record": "c1", "fields": ["*"], "purpose": "own"}


def make_node(clock: Clock) -> FakeNode:
    """The administration's node, with customer c1 enrolled under the key "zhang"."""
    node = FakeNode(clock, department="administration")
    for number in (1, 2):
        node.register("boss", f"c{number}", name=f"客户{number}", phone=f"+861380000000{number}")
    digest = invitation_digest("c1", invitation_key("c1", CODE).public)
    expires_ms = clock() + 86_400_000
    node.enact("boss", Call("customers.invite", {"customer": "c1", "digest": digest, "expires_ms": expires_ms}))
    invitation = invitation_key("c1", CODE)
    proof = invitation.sign(INVITATION_PURPOSE, node.genesis.chain_id, invitation_payload("c1", key_of("zhang").public))
    args = {"customer": "c1", "invitation": invitation.public.hex(), "proof": proof}
    assert commit(node, Call("customers.redeem_invitation", args)).is_ok
    return node


def commit(node: FakeNode, call: Call, sender: str = "zhang") -> Any:
    """The receipt of a call that a key makes at this node."""
    transaction = node.transaction(sender, call)
    node.pending[transaction.id] = transaction
    node.commit()
    found = node.find(transaction.id)
    assert not isinstance(found, str)
    return found.receipt


@pytest.fixture
def node(clock: Clock) -> FakeNode:
    return make_node(clock)


@pytest.fixture
async def api(start: Start, node: FakeNode) -> Api:
    served: Api = await start(node)
    return served


def test_the_routes_for_customers_are_these_two() -> None:
    assert {route.key for route in ROUTES if route.policy is Policy.READER} == FOR_CUSTOMERS


@pytest.mark.parametrize("route", [route for route in ROUTES if route.policy.is_signed], ids=lambda route: route.path)
async def test_every_other_signed_route_is_refused_to_a_customer(api: Api, route: Route) -> None:
    path = re.sub(r"\{\w+\}", "1", route.path).replace("/state/1/1", "/state/customers/c1")
    body = b"{}" if route.body_types else None
    answer = await api.signed(route.method, path, body, key=key_of("zhang"))
    if route.policy is Policy.READER:
        assert answer.status == 200 or answer.code not in ("auth.role", "auth.not_own")
    else:
        assert (answer.status, answer.code) == (403, "auth.role")


async def test_a_customer_is_served_by_the_administration_only(start: Start, clock: Clock, node: FakeNode) -> None:
    elsewhere = FakeNode(clock, department="sales")
    elsewhere.ledger, elsewhere.blocks = node.ledger, node.blocks
    api = await start(elsewhere)
    answer = await api.signed("GET", "/v1/state/customers/c1", key=key_of("zhang"))
    assert (answer.status, answer.code) == (403, "auth.other_department")


@pytest.mark.parametrize("entry", ["customers/c1", "people/c1", "invitations/c1", "answers/c1.1", "logins/c1.1"])
async def test_customers_get_their_own_entries_with_proof_of_presence_or_absence(api: Api, entry: str) -> None:
    answer = await api.signed("GET", f"/v1/state/{entry}?proof=1", key=key_of("zhang"))
    assert answer.status == 200
    raw = answer.json["raw"]
    assert (raw is None) == entry.startswith(("answers", "logins"))
    table, _, key = entry.partition("/")
    proof = StateProof.from_bytes(bytes.fromhex(answer.json["proof"]))
    value = None if raw is None else bytes.fromhex(raw)
    proof.verify(api.node.genesis.validators, api.node.genesis.chain_id, table, key, value)


@pytest.mark.parametrize(
    "entry",
    [
        "customers/c2", "people/boss", "people/li", "invitations/c2", "answers/c2.1", "logins/boss.1",
        "accesses/customers.c1.1", "changes/customers.c1.1", "assignments/customers.c1", "policy/current",
        "counters/customers", "grants/g1", "customer_sequence/1", "answers/c1", "logins/c1",
    ],
)  # fmt: skip
async def test_customers_get_no_other_entry(api: Api, entry: str) -> None:
    answer = await api.signed("GET", f"/v1/state/{entry}", key=key_of("zhang"))
    assert (answer.status, answer.code) == (403, "auth.not_own")


async def test_a_customer_gets_the_values_of_their_own_read_once_it_is_granted(api: Api, node: FakeNode) -> None:
    def read() -> Transaction:
        transaction = node.transaction("zhang", Call("access.read", READ))
        node.pending[transaction.id] = transaction
        node.commit()
        return transaction

    path = f"/v1/transactions/{read().id.hex()}/values"
    assert (await api.signed("GET", path, key=key_of("zhang"))).json["values"] == []
    terms = {"actions": ["read"], "table": "customers", "scope": "record:c1", "fields": ["name"], "purpose": "*"}
    grant = {"grant": "g1", "subject": "person:c1", "expires_ms": None, **terms}
    node.enact("boss", Call("permissions.grant", grant))
    path = f"/v1/transactions/{read().id.hex()}/values"
    values = (await api.signed("GET", path, key=key_of("zhang"))).json["values"]
    assert [(value["field"], value["value"]) for value in values] == [("name", "客户1")]
    assert (await api.signed("GET", path, key=key_of("boss"))).code == "access.not_yours"


async def test_a_revoked_customer_is_refused(api: Api, node: FakeNode) -> None:
    node.enact("boss", Call("people.revoke", {"person": "c1"}))
    answer = await api.signed("GET", "/v1/state/customers/c1", key=key_of("zhang"))
    assert (answer.status, answer.code) == (403, "auth.key_revoked")


async def test_a_customer_may_ask_so_often_in_a_minute_and_colleagues_are_not_counted(
    start: Start, clock: Clock, node: FakeNode
) -> None:
    api = await start(node, ApiLimits(customer_requests_per_minute=3))

    async def ask(name: str) -> int:
        status: int = (await api.signed("GET", "/v1/state/customers/c1", key=key_of(name))).status
        return status

    assert [await ask("zhang") for _ in range(4)] == [200, 200, 200, 429]
    assert [await ask("boss") for _ in range(5)] == [200] * 5
    refused = await api.signed("GET", "/v1/state/customers/c1", key=key_of("zhang"))
    assert (refused.code, refused.headers["Retry-After"]) == ("auth.customer_pace", "20")
    clock.now_ms += 20_000
    assert [await ask("zhang") for _ in range(2)] == [200, 429]


def posted(*transactions: Transaction) -> dict[str, Any]:
    return {"transactions": [base64.b64encode(item.raw).decode() for item in transactions], "wait": "admitted"}


async def test_what_a_customer_submits_counts_once_and_nobody_else_can_use_it_up(start: Start, node: FakeNode) -> None:
    api = await start(node, ApiLimits(customer_requests_per_minute=2))
    first = node.transaction("zhang")
    forged = bytearray(node.transaction("zhang").raw)
    forged[-1] ^= 1
    for _ in range(3):
        await api.post("/v1/transactions", {"transactions": [base64.b64encode(bytes(forged)).decode()]})
        assert (await api.post("/v1/transactions", posted(first))).status == 200
    assert (await api.post("/v1/transactions", posted(node.transaction("boss")))).status == 200
    assert (await api.post("/v1/transactions", posted(node.transaction("zhang")))).status == 200
    refused = await api.post("/v1/transactions", posted(node.transaction("zhang")))
    assert (refused.status, refused.code) == (429, "auth.customer_pace")


async def test_what_has_expired_does_not_count_since_blocks_show_it_to_everybody(start: Start, node: FakeNode) -> None:
    api = await start(node, ApiLimits(customer_requests_per_minute=1))
    height, call = node.ledger.height, Call("access.login", {})
    expired = sign_transaction(key_of("zhang"), node.genesis.chain_id, bytes(16), height, [call])
    for _ in range(3):
        await api.post("/v1/transactions", posted(expired))
    assert (await api.signed("GET", "/v1/state/customers/c1", key=key_of("zhang"))).status == 200


async def test_a_stranger_with_the_code_redeems_through_the_administrations_node(api: Api, node: FakeNode) -> None:
    node.commits_at_once = True
    code = b"another twenty bytes"
    key = invitation_key("c2", code)
    digest = invitation_digest("c2", key.public)
    invite = {"customer": "c2", "digest": digest, "expires_ms": node.now_ms() + 1_000}
    node.enact("boss", Call("customers.invite", invite))
    new = key_of("li si")
    proof = key.sign(INVITATION_PURPOSE, node.genesis.chain_id, invitation_payload("c2", new.public))
    call = Call("customers.redeem_invitation", {"customer": "c2", "invitation": key.public.hex(), "proof": proof})
    transaction = sign_transaction(new, node.genesis.chain_id, bytes(16), node.ledger.height + 5, [call])
    body = posted(transaction) | {"wait": "committed"}
    (answer,) = (await api.post("/v1/transactions", body)).json["transactions"]
    assert answer["receipt"]["code"] == "ok"
    own = await api.signed("GET", "/v1/state/people/c2", key=new)
    assert json.loads(own.body)["value"]["role"] == "customer"

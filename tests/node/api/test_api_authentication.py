"""Signed routes under every wrong signature there is (scenarios 26 and 27): refused by code, and nothing was done."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from yarl import URL

from chain.transaction import Call
from node.api.app import ROUTES
from node.api.policy import Policy, Route
from node.api.signing import sign_request
from tests.node.api.conftest import Answer, Api, Start
from tests.node.api.fake_node import TIME_MS, Clock, FakeNode, key_of, make_genesis

SIGNED = [route for route in ROUTES if route.policy.is_signed]
BODIES = {
    "/v1/customers/duplicates": b'{"phones":["+8613800138000"],"purpose":"registration"}',
    "/v1/phone/attest": b'{"customer":"c1","phone":"+8613800138000","phone_salt":"%b"}' % (b"01" * 32),
    "/v1/phone/check": b'{"customer":"c1"}',
    "/v1/search": b'{"search":1,"salt":"%b","query":{"where":[],"sort":{"kind":"id","name":""},"descending":false,'
    b'"after":null}}' % (b"03" * 32),
    "/v1/permissions/preview": b'{"calls":[{"name":"permissions.revoke","args":{"grant":"g"}}]}',
}
LI_POSTS = [route for route in SIGNED if route.path in BODIES and route.policy is not Policy.ADMINISTRATOR]
OPERATORS_ONLY = [route for route in SIGNED if route.path in BODIES and route.policy is Policy.OPERATOR]


def path_of(route: Route) -> str:
    named = {"id": "ab" * 32, "table": "people", "key": "li", "record": "c1", "height": 1}
    return route.path.format(**named)


async def call(api: Api, route: Route, **how: object) -> Answer:
    return await api.signed(route.method, path_of(route), BODIES.get(route.path), **how)


Attempt = Callable[[Api, Route], Awaitable[Answer]]


async def _unsigned(api: Api, route: Route) -> Answer:
    headers = {"Content-Type": "application/json"} if route.path in BODIES else {}
    return await api.request(route.method, path_of(route), BODIES.get(route.path), headers)


async def _changed(api: Api, route: Route, change: Callable[[dict[str, str]], None]) -> Answer:
    body = BODIES.get(route.path)
    headers = api.signature(route.method, path_of(route), body)
    change(headers)
    return await api.request(route.method, path_of(route), body, headers)


def _flip(headers: dict[str, str]) -> None:
    signature = bytearray(base64.b64decode(headers["Signature"].split(":")[1]))
    signature[5] ^= 1
    headers["Signature"] = f"kehu=:{base64.b64encode(bytes(signature)).decode()}:"


async def _other_path(api: Api, route: Route) -> Answer:
    body = BODIES.get(route.path)
    return await api.request(route.method, path_of(route), body, api.signature(route.method, "/v1/other", body))


async def _other_query(api: Api, route: Route) -> Answer:
    body = BODIES.get(route.path)
    headers = api.signature(route.method, path_of(route), body)
    return await api.request(route.method, path_of(route) + "?limit=1", body, headers)


async def _other_method(api: Api, route: Route) -> Answer:
    body = BODIES.get(route.path)
    return await api.request(route.method, path_of(route), body, api.signature("PUT", path_of(route), body))


async def _replayed(api: Api, route: Route) -> Answer:
    body = BODIES.get(route.path)
    headers = api.signature(route.method, path_of(route), body)
    # The answer's headers say that it was accepted; the events go on for as long as they are listened to.
    async with api.session.request(
        route.method, URL(api.url + path_of(route), encoded=True), data=body, headers=headers
    ) as first:
        assert first.status != 401
        api.node.asked.clear()
        return await api.request(route.method, path_of(route), body, headers)


async def _revoked(api: Api, route: Route) -> Answer:
    api.node.enact("boss", Call("people.revoke_key", {"key": key_of("li").public.hex()}))
    return await call(api, route)


async def _person_revoked(api: Api, route: Route) -> Answer:
    api.node.enact("boss", Call("people.revoke", {"person": "li"}))
    return await call(api, route)


async def _aged(api: Api, route: Route) -> Answer:
    body = BODIES.get(route.path)
    headers = api.signature(route.method, path_of(route), body)
    api.node.clock.now_ms += 60_001
    return await api.request(route.method, path_of(route), body, headers)


ATTEMPTS: dict[str, tuple[int, str, Attempt]] = {
    "unsigned": (401, "auth.required", _unsigned),
    "unknown key": (403, "auth.key_unknown", lambda api, route: call(api, route, key=key_of("nobody"))),
    "node key": (403, "auth.not_a_person", lambda api, route: call(api, route, key=key_of("node sales"))),
    "gateway key": (403, "auth.not_a_person", lambda api, route: call(api, route, key=key_of("gateway"))),
    "other department": (403, "auth.other_department", lambda api, route: call(api, route, key=key_of("qian"))),
    "administrator elsewhere": (403, "auth.other_department", lambda api, route: call(api, route, key=key_of("boss"))),
    "revoked key": (403, "auth.key_revoked", _revoked),
    "revoked person": (403, "auth.key_revoked", _person_revoked),
    "replayed": (401, "auth.replayed", _replayed),
    "other node": (421, "auth.wrong_department", lambda api, route: call(api, route, department="finance")),
    "other chain": (
        401,
        "auth.wrong_chain",
        lambda api, route: call(api, route, chain_id=make_genesis("另一个").chain_id),
    ),
    "expired": (401, "auth.expired", _aged),
    "before the start": (
        401,
        "auth.before_start",
        lambda api, route: call(api, route, created=TIME_MS // 1000 - 1),
    ),
    "far future": (401, "auth.clock_ahead", lambda api, route: call(api, route, created=TIME_MS // 1000 + 6)),
    "forged": (401, "auth.signature_invalid", lambda api, route: _changed(api, route, _flip)),
    "other path": (401, "auth.signature_invalid", _other_path),
    "other query": (401, "auth.signature_invalid", _other_query),
    "other method": (401, "auth.signature_invalid", _other_method),
    "no input": (401, "auth.malformed", lambda api, route: _changed(api, route, lambda it: it.pop("Signature-Input"))),
    "garbage": (
        401,
        "auth.malformed",
        lambda api, route: _changed(api, route, lambda it: it.update({"Signature-Input": "kehu=((("})),
    ),
    "another key's name": (
        401,
        "auth.signature_invalid",
        lambda api, route: _changed(
            api,
            route,
            lambda it: it.update(
                {
                    "Signature-Input": it["Signature-Input"].replace(
                        key_of("li").public.hex(), key_of("wang").public.hex()
                    )
                }
            ),
        ),
    ),
    "chain header added after": (
        401,
        "auth.signature_invalid",
        lambda api, route: _changed(api, route, lambda it: it.update({"Kehu-Department": "finance"})),
    ),
}


@pytest.mark.parametrize("kind", ATTEMPTS)
@pytest.mark.parametrize("route", SIGNED, ids=lambda route: f"{route.method} {route.path}")
async def test_a_signed_route_refuses_every_wrong_request(api: Api, route: Route, kind: str) -> None:
    status, code, attempt = ATTEMPTS[kind]
    root = api.node.ledger.state.root
    answer = await attempt(api, route)
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert ("Accept-Signature" in answer.headers) == (status == 401)
    assert api.node.asked == []
    assert "revoked" in kind or api.node.ledger.state.root == root


@pytest.mark.parametrize("route", LI_POSTS, ids=lambda route: route.path)
async def test_a_body_changed_after_signing_is_refused_before_it_is_parsed(api: Api, route: Route) -> None:
    headers = api.signature("POST", route.path, BODIES[route.path])
    answer = await api.request("POST", route.path, b"{" * 1000, headers)
    assert (answer.status, answer.code) == (400, "http.digest")
    assert api.node.asked == []


async def test_a_body_taken_away_or_added_breaks_the_signature(api: Api) -> None:
    headers = api.signature("POST", "/v1/phone/check", BODIES["/v1/phone/check"])
    assert (await api.request("POST", "/v1/phone/check", None, headers)).code == "auth.malformed"
    headers = api.signature("GET", "/v1/people")
    assert (await api.request("GET", "/v1/people", b"x", headers)).code == "http.body"


@pytest.mark.parametrize("route", OPERATORS_ONLY, ids=lambda route: route.path)
async def test_an_auditor_may_look_but_not_have_the_carrier_asked(api: Api, route: Route) -> None:
    answer = await call(api, route, key=key_of("rui"))
    assert (answer.status, answer.code) == (403, "auth.role")
    assert api.node.asked == []
    assert (await api.signed("GET", "/v1/people", key=key_of("rui"))).status == 200


async def test_a_replay_after_a_restart_is_refused_although_its_nonce_is_forgotten(start: Start) -> None:
    node = FakeNode()
    before = await start(node)
    headers = before.signature("GET", "/v1/people")
    assert (await before.request("GET", "/v1/people", None, headers)).status == 200
    await before.server.close()
    node.clock.now_ms += 1
    after = await start(node)
    assert (await after.request("GET", "/v1/people", None, headers)).code == "auth.before_start"
    node.clock.now_ms += 999
    assert (await after.signed("GET", "/v1/people")).status == 200


async def test_a_request_from_a_clock_that_runs_ahead_waits_until_its_second_has_come(start: Start) -> None:
    class Running(Clock):
        """Runs as the event loop does, from where a test puts it."""

        began: float | None = None

        def __call__(self) -> int:
            elapsed = 0.0 if self.began is None else asyncio.get_running_loop().time() - self.began
            return self.now_ms + round(elapsed * 1000)

    clock = Running()
    api = await start(FakeNode(clock=clock))
    clock.now_ms, clock.began = TIME_MS + 800, asyncio.get_running_loop().time()
    assert (await api.signed("GET", "/v1/people", created=TIME_MS // 1000 + 1)).status == 200
    assert clock() >= TIME_MS + 1_000


async def test_a_person_enrolled_in_a_block_may_sign_from_then_on(api: Api) -> None:
    assert (await api.signed("GET", "/v1/people", key=key_of("new"))).code == "auth.key_unknown"
    api.node.enact("boss", api.node.enrolment("new"))
    assert (await api.signed("GET", "/v1/people", key=key_of("new"))).status == 200


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (";tag=", ";x=1;tag="),
        ('"kehu-chain" ', ""),
        ('"@path"', '"@path" "@path"'),
        ('"@path"', '"@target-uri"'),
        ('"@query"', '"@query";req'),
        (";nonce=", ";nonc="),
        (";expires=", ";expire="),
        (";created=", ";created=1.5;c="),
        ("kehu=", "other="),
        (';tag="kehu"', ""),
        (';alg="ed25519"', ';alg="rsa-v1_5-sha256"'),
    ],
)
async def test_a_signature_input_of_another_form_is_refused(api: Api, before: str, after: str) -> None:
    headers = api.signature("GET", "/v1/people")
    assert before in headers["Signature-Input"]
    headers["Signature-Input"] = headers["Signature-Input"].replace(before, after)
    answer = await api.request("GET", "/v1/people", None, headers)
    assert (answer.status, answer.code) in ((401, "auth.malformed"), (401, "auth.signature_invalid"))


async def test_a_signature_that_lives_longer_than_allowed_is_refused(api: Api) -> None:
    created = TIME_MS // 1000
    headers = {"Kehu-Chain": api.node.genesis.chain_id.hex(), "Kehu-Department": "sales"}
    parameters = (
        '("@method" "@path" "@query" "kehu-chain" "kehu-department")'
        f';created={created};expires={created + 61};nonce="{"0" * 32}";keyid="{key_of("li").public.hex()}";tag="kehu"'
    )
    base = _signature_base("GET", "/v1/people", headers, parameters)
    headers["Signature-Input"] = f"kehu={parameters}"
    headers["Signature"] = f"kehu=:{base64.b64encode(key_of('li').sign_raw(base)).decode()}:"
    answer = await api.request("GET", "/v1/people", None, headers)
    assert (answer.status, answer.code) == (401, "auth.malformed")
    assert answer.json["details"]["lifetime_s_max"] == 60


def _signature_base(method: str, path: str, headers: dict[str, str], parameters: str) -> bytes:
    """RFC 9421, section 2.5, written out by hand."""
    return (
        f'"@method": {method}\n"@path": {path}\n"@query": ?\n"kehu-chain": {headers["Kehu-Chain"]}\n'
        f'"kehu-department": {headers["Kehu-Department"]}\n"@signature-params": {parameters}'
    ).encode()


def test_what_the_client_signs_is_the_base_of_rfc_9421_under_plain_ed25519() -> None:
    headers = sign_request(
        key_of("li"), "get", "http://node/v1/people", {}, None, bytes(32), "sales", 1_700_000_000, bytes(16)
    )
    parameters = headers["Signature-Input"].removeprefix("kehu=")
    signature = base64.b64decode(headers["Signature"].removeprefix("kehu=:").removesuffix(":"))
    base = _signature_base("GET", "/v1/people", headers, parameters)
    Ed25519PublicKey.from_public_bytes(key_of("li").public).verify(signature, base)
    assert "created=1700000000" in parameters
    assert "expires=1700000060" in parameters

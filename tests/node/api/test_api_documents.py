"""docs/api.md and docs/spec/http-signatures.md say what the code does."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import fields
from pathlib import Path

from chain.crypto import SigningKey, verify_raw
from chain.errors import CATALOGUE
from node.api.app import ROUTES
from node.api.authentication import AHEAD_MS_MAX
from node.api.bodies import MEMBERS_MAX, OBJECTS_MAX
from node.api.limits import ApiLimits
from node.api.nonces import NONCES_PER_KEY_MAX
from node.api.phone import DUE_PAGE_MAX
from node.api.policy import Policy
from node.api.signature_terms import LIFETIME_S, NONCE_BYTES, covered_components
from node.api.signing import sign_request

ROOT = Path(__file__).parents[3]
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SIGNATURES = (ROOT / "docs" / "spec" / "http-signatures.md").read_text(encoding="utf-8")
VECTOR = json.loads((ROOT / "tests" / "vectors" / "http-signatures.json").read_text(encoding="utf-8"))

WHO = {
    Policy.PUBLIC: ("anybody",),
    Policy.ENVELOPE: ("anybody with signed transactions",),
    Policy.OPERATOR: ("operators, administrators",),
    Policy.ADMINISTRATOR: ("administrators",),
    Policy.PERSON: ("people of this department",),
    Policy.READER: ("people of this department; customers their own", "the person or customer who read"),
}


def test_the_table_of_routes_is_the_codes() -> None:
    documented = {
        (method, path): who for method, path, who in re.findall(r"^\| `([A-Z]+) (\S+)` \| (.+?) \|", API, re.MULTILINE)
    }
    assert set(documented) == {route.key for route in ROUTES}
    for route in ROUTES:
        assert documented[route.key] in WHO[route.policy]


def test_the_table_of_limits_is_the_codes() -> None:
    table = API.split("## Limits")[1]
    numbers = [int(number) for row in re.findall(r"\| ([0-9][^|]*) \|", table) for number in re.findall(r"\d+", row)]
    limits = ApiLimits()
    assert numbers == [
        limits.header_s,
        limits.body_s,
        limits.request_s,
        limits.stream_s,
        limits.body_bytes_max >> 20,
        limits.transactions_max,
        limits.wait_ms_max // 1000,
        limits.connections_max,
        limits.connections_per_address_max,
        limits.exports_max,
        limits.exports_per_address_max,
        limits.events_max,
        limits.events_per_person_max,
        limits.page_max,
        DUE_PAGE_MAX,
        limits.customer_requests_per_minute,
        NONCES_PER_KEY_MAX,
        limits.headers_max,
        limits.header_line_bytes_max,
        OBJECTS_MAX,
        MEMBERS_MAX,
        1,
    ]
    assert f"every {limits.event_heartbeat_s} s" in API
    assert {item.name for item in fields(ApiLimits)} >= {"header_line_bytes_max", "headers_max", "event_queue_max"}


def test_the_paper_names_components_numbers_and_codes_of_the_code() -> None:
    components = re.findall(r"^\| `([@a-z-]+)` \|", SIGNATURES.split("Parameters")[0], re.MULTILINE)
    assert tuple(components) == covered_components(has_body=True)
    assert f"at most {LIFETIME_S} later" in SIGNATURES
    assert f"more than {AHEAD_MS_MAX // 1000} s ahead" in SIGNATURES
    assert f"{NONCE_BYTES} random bytes" in SIGNATURES
    assert f"at most {NONCES_PER_KEY_MAX} for one key" in SIGNATURES
    codes = set(re.findall(r"`([a-z]+\.[a-z_]+)`", SIGNATURES))
    assert codes <= set(CATALOGUE)
    assert {code for code in CATALOGUE if code.startswith("auth.")} == {
        code for code in codes if code.startswith("auth")
    }


def test_the_vector_is_what_the_client_signs_and_the_paper_shows() -> None:
    key = SigningKey(bytes.fromhex(VECTOR["seed"]))
    body = VECTOR["body"].encode()
    headers = sign_request(
        key,
        VECTOR["method"],
        f"http://node{VECTOR['path']}",
        {},
        body,
        bytes.fromhex(VECTOR["chain_id"]),
        VECTOR["department"],
        VECTOR["created"],
        bytes.fromhex(VECTOR["nonce"]),
    )
    assert headers == VECTOR["headers"]
    signature = base64.b64decode(headers["Signature"].removeprefix("kehu=:").removesuffix(":"))
    assert verify_raw(key.public, VECTOR["base"].encode(), signature)
    for line in [f"{name}: {value}" for name, value in headers.items()] + VECTOR["base"].split("\n"):
        assert f"    {line}\n" in SIGNATURES

"""Malformed requests of many kinds: a clear 4xx with a code, nothing echoed, nothing done (S12, scenario 29)."""

from __future__ import annotations

import json

import pytest

from tests.node.api.conftest import Api

GOOD_VALUE = {"table": "customers", "record": "c1", "field": "name", "salt": "07" * 32, "value": "王小明"}


def with_value(**changes: object) -> bytes:
    return json.dumps({"transactions": ["AA=="], "values": [{**GOOD_VALUE, **changes}]}).encode()


NOT_JSON = {
    "empty object's half": b"{",
    "no JSON": b"transactions=AA==",
    "not UTF-8": b'{"transactions":["\xff"]}',
    "UTF-16": '{"transactions":[]}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"transactions":[]}',
    "two values": b"{}{}",
    "a name twice": b'{"transactions":["AA=="],"transactions":["AA=="]}',
    "a name twice inside": b'{"transactions":["AA=="],"values":[{"table":"a","table":"b"}]}',
    "NaN": b'{"transactions":["AA=="],"timeout_ms":NaN}',
    "infinity": b'{"transactions":["AA=="],"timeout_ms":-Infinity}',
    "a fraction": b'{"transactions":["AA=="],"timeout_ms":1.0}',
    "an exponent": b'{"transactions":["AA=="],"timeout_ms":1e3}',
    "too long a number": b'{"transactions":["AA=="],"timeout_ms":' + b"9" * 5_000 + b"}",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "a control character": b'{"transactions":["\x01"]}',
    "single quotes": b"{'transactions':[]}",
    "a comment": b'{"transactions":["AA=="]/* */}',
    "a trailing comma": b'{"transactions":["AA=="],}',
}
WRONG_FIELDS = {
    "a list": b"[]",
    "null": b"null",
    "a string": b'"x"',
    "nothing in it": b"{}",
    "no transactions": b'{"transactions":[]}',
    "transactions null": b'{"transactions":null}',
    "a number for text": b'{"transactions":[1]}',
    "text for a number": b'{"transactions":["AA=="],"timeout_ms":"1"}',
    "truth for a number": b'{"transactions":["AA=="],"timeout_ms":true}',
    "below zero": b'{"transactions":["AA=="],"timeout_ms":-1}',
    "unknown wait": b'{"transactions":["AA=="],"wait":"forever"}',
    "unknown member": b'{"transactions":["AA=="],"+8613800138000":1}',
    "unknown member of a value": with_value(phone="+8613800138000"),
    "salt too short": with_value(salt="07"),
    "salt in capitals": with_value(salt="AB" * 32),
    "value is a number": with_value(value=13800138000),
    "value is null": with_value(value=None),
    "record is empty": with_value(record=""),
    "half a character": with_value(value="\ud800"),
    "half a character in a name": b'{"transactions":["AA=="],"\\ud800":1}',
}


@pytest.mark.parametrize("kind", NOT_JSON)
async def test_a_body_that_is_not_strict_json_is_refused(api: Api, kind: str) -> None:
    answer = await api.request("POST", "/v1/transactions", NOT_JSON[kind], {"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, "http.json")


@pytest.mark.parametrize("kind", WRONG_FIELDS)
async def test_a_body_of_the_wrong_shape_is_refused_by_field_and_never_quoted(api: Api, kind: str) -> None:
    answer = await api.request("POST", "/v1/transactions", WRONG_FIELDS[kind], {"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, "http.fields")
    assert answer.json["details"]["fields"]
    for personal in (b"13800138000", "王小明".encode(), b"0707"):
        assert personal not in answer.body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"transactions":["AA"]}', "http.base64"),
        (b'{"transactions":["A-_="]}', "http.base64"),
        (b'{"transactions":["\\u5ba2"]}', "http.base64"),
        (b'{"transactions":["AA==\\n"]}', "http.base64"),
        (b'{"transactions":["AA=="]}', "codec.shape"),
        (b'{"transactions":[""]}', "codec.malformed"),
        (with_value(table="Customers"), "vault.value_invalid"),
        (with_value(record="../c1"), "vault.value_invalid"),
    ],
)
async def test_a_body_of_the_right_shape_and_wrong_content_is_refused_by_its_own_code(
    api: Api, body: bytes, code: str
) -> None:
    answer = await api.request("POST", "/v1/transactions", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, code)
    assert api.node.values == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/transactions/zz",
        f"/v1/transactions/{'AB' * 32}",
        f"/v1/transactions/{'ab' * 32}0",
        f"/v1/transactions/{'ab' * 31}%20b",
        "/v1/blocks/-1",
        "/v1/blocks/01",
        "/v1/blocks/1.0",
        "/v1/blocks/99999999999999999999",
        "/v1/blocks/%D9%A1",
        "/v1/export?from=x",
        "/v1/export?from=1&from=2",
    ],
)
async def test_a_malformed_parameter_is_named_and_not_quoted(api: Api, path: str) -> None:
    answer = await api.request("GET", path)
    assert (answer.status, answer.code) == (400, "http.parameter")
    assert answer.json["details"]["parameter"] in ("id", "height", "from")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/blocks/0", 404, "block.not_found"),
        ("/v1/blocks/2", 404, "block.not_found"),
        ("/v1/export?from=3", 404, "block.not_found"),
        ("/v1/export?from=1&to=2", 404, "block.not_found"),
        ("/v1/export?from=0", 404, "block.not_found"),
    ],
)
async def test_heights_that_are_not_there_are_not_found(api: Api, path: str, status: int, code: str) -> None:
    api.node.enact("li")
    answer = await api.request("GET", path)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/state/secrets/x", 404, "state.unknown_table"),
        ("/v1/state/people/LI", 400, "http.parameter"),
        ("/v1/state/people/..%2Fx", 400, "http.parameter"),
        ("/v1/state/people/li?proof=yes", 400, "http.parameter"),
        ("/v1/people?limit=-1", 400, "http.parameter"),
        ("/v1/people?after=%00", 400, "http.parameter"),
    ],
)
async def test_state_is_asked_by_known_tables_and_plain_keys(api: Api, path: str, status: int, code: str) -> None:
    answer = await api.signed("GET", path)
    assert (answer.status, answer.code) == (status, code)


async def test_a_page_is_never_larger_than_the_limit(api: Api) -> None:
    page = (await api.signed("GET", "/v1/people?limit=1000000000")).json
    assert len(page["items"]) == 5
    assert len((await api.signed("GET", "/v1/people?limit=0")).json["items"]) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/xml"},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "deflate"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip, br"},
    ],
    ids=str,
)
async def test_other_media_types_forms_and_compression_are_refused_unread(api: Api, headers: dict[str, str]) -> None:
    answer = await api.request("POST", "/v1/transactions", b'{"transactions":[]}', headers)
    assert (answer.status, answer.code) == (415, "http.media_type")


@pytest.mark.parametrize("path", ["/v1/phone/attest", "/v1/phone/check"])
async def test_signed_bodies_are_parsed_as_strictly(api: Api, path: str) -> None:
    for body, code in ((b"{", "http.json"), (b"{}", "http.fields"), (b'{"customer":"c1","x":1}', "http.fields")):
        answer = await api.signed("POST", path, body)
        assert (answer.status, answer.code) == (400, code)
    assert api.node.asked == []

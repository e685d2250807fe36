"""Searching and trying out permissions over HTTP: what is found is on the record before anybody hears of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chain.transaction import Call
from node.search.query import Filter, Query
from tests.node.api.conftest import Answer, Api
from tests.node.api.fake_node import key_of

SALT = bytes(range(32))
NAMES = {"c1": "王小明", "c2": "王芳", "c3": "李强", "c4": "王刚"}
SEQUENCE = ("fact", "sequence")


@pytest.fixture
def stocked(api: Api) -> Api:
    """c1 to c3 are li's, c4 is wang's."""
    for number, (customer, name) in enumerate(NAMES.items()):
        sender = "wang" if customer == "c4" else "li"
        api.node.register(sender, customer, name=name, phone=f"+861380013800{number}", note=f"秘密 {customer}")
    return api


def by_name(text: str, **more: Any) -> Query:
    return Query((Filter("field", "name", text),), more.pop("sort", SEQUENCE), **more)


def record(api: Api, query: Query, sender: str = "li", **changes: Any) -> int:
    """Puts a search on the chain; its number."""
    args = {
        "table": "customers",
        "query": query.digest(api.node.genesis.chain_id, SALT),
        "over": query.over,
        "fields": ["name"],
        "limit": 10,
        "purpose": "sale",
    } | changes
    api.node.enact(sender, Call("access.search", args))
    counter = api.node.ledger.state.get(f"counters/searches.{sender}".encode())
    assert counter is not None
    return counter[-1]


async def ask(api: Api, number: int, query: Query, sender: str = "li", salt: bytes = SALT) -> Answer:
    value: Any = query.to_value()
    where = [dict(zip(("kind", "name", "text"), one, strict=True)) for one in value["where"]]
    sort = dict(zip(("kind", "name"), value["sort"], strict=True))
    body = {"search": number, "salt": salt.hex(), "query": value | {"where": where, "sort": sort}}
    return await api.signed("POST", "/v1/search", json.dumps(body).encode(), key=key_of(sender))


async def search(api: Api, query: Query, sender: str = "li", **changes: Any) -> tuple[dict[str, str], str | None]:
    """name by record as shown to the sender, and where the next page begins."""
    answer = await ask(api, record(api, query, sender, **changes), query, sender)
    assert answer.status == 200, answer.json
    path = f"/v1/transactions/{answer.json['transaction']}/values"
    values = (await api.signed("GET", path, key=key_of(sender))).json["values"]
    return {item["record"]: item["value"] for item in values if item["field"] == "name"}, answer.json["next"]


async def test_a_search_finds_what_its_reader_may_see_and_nobody_elses(stocked: Api) -> None:
    assert await search(stocked, by_name("王")) == ({"c1": "王小明", "c2": "王芳"}, None)
    assert await search(stocked, by_name("王"), "wang") == ({"c4": "王刚"}, None)
    assert await search(stocked, by_name("赵")) == ({}, None)


async def test_what_was_found_is_on_the_record_under_the_readers_name_before_the_answer(stocked: Api) -> None:
    query = by_name("王芳")
    number = record(stocked, query)
    answer = (await ask(stocked, number, query)).json
    receipt = (await stocked.request("GET", f"/v1/transactions/{answer['transaction']}")).json["receipt"]
    assert [item["record"] for item in receipt["results"][0]["records"]] == ["c2"]
    row = stocked.node.ledger.state.get(b"accesses/customers.c2.1")
    assert row is not None
    assert b"person:li" in row
    assert stocked.node.ledger.state.get(b"accesses/customers.c1.1") is None


async def test_the_query_is_nowhere_on_the_chain(stocked: Api) -> None:
    await search(stocked, by_name("王小"))
    export = (await stocked.request("GET", "/v1/export")).body
    assert "王小".encode() not in export
    assert SALT not in export


async def test_filters_combine_and_pages_go_on_in_order(stocked: Api) -> None:
    query = Query((Filter("fact", "status", "temporary"), Filter("assigned", "", "person:li")), ("field", "name"))
    found, following = await search(stocked, query, limit=2)
    assert (list(found.values()), following) == (["李强", "王小明"], "c1")
    rest = Query(query.where, query.sort, after=following)
    assert await search(stocked, rest, limit=2) == ({"c2": "王芳"}, None)
    backwards = Query(query.where, query.sort, descending=True)
    assert list((await search(stocked, backwards))[0]) == ["c2", "c1", "c3"]


async def test_a_number_is_found_by_its_beginning_and_wide_characters_are_plain_ones(stocked: Api) -> None:
    number = Query((Filter("field", "phone", "＋８６1380013800"),), SEQUENCE)
    assert len((await search(stocked, number))[0]) == 3


async def test_values_of_a_search_go_to_the_key_that_searched_only(stocked: Api) -> None:
    query = by_name("王")
    answer = (await ask(stocked, record(stocked, query), query)).json
    for other in ("wang", "rui"):
        refused = await stocked.signed("GET", f"/v1/transactions/{answer['transaction']}/values", key=key_of(other))
        assert (refused.status, refused.code) == (403, "access.not_yours")


async def test_only_the_recorded_query_is_answered_once_and_to_its_own_key(stocked: Api) -> None:
    query = by_name("王")
    number = record(stocked, query)
    assert (await ask(stocked, number, by_name("李"))).code == "search.other_query"
    assert (await ask(stocked, number, query, salt=bytes(32))).code == "search.other_query"
    assert (await ask(stocked, number, query, "wang")).code == "search.unknown"
    assert (await ask(stocked, number + 1, query)).code == "search.unknown"
    assert (await ask(stocked, number, query)).status == 200
    assert (await ask(stocked, number, query)).code == "search.unknown"


async def test_a_search_that_hid_a_field_it_goes_over_is_refused(stocked: Api) -> None:
    query = by_name("王")
    assert (await ask(stocked, record(stocked, query, over=[]), query)).code == "search.other_query"


async def test_who_may_not_read_a_field_finds_nothing_by_it(stocked: Api) -> None:
    grant = {
        "subject": "person:wang",
        "actions": ["read"],
        "table": "customers",
        "scope": "record:c1",
        "fields": ["name"],
    }
    stocked.node.enact("boss", Call("permissions.grant", {"grant": "g", "purpose": "*", "expires_ms": None, **grant}))
    assert await search(stocked, by_name("王小"), "wang") == ({"c1": "王小明"}, None)
    by_phone = Query((Filter("field", "phone", "+8613800138000"),), SEQUENCE)
    assert await search(stocked, by_phone, "wang") == ({}, None)


@pytest.mark.parametrize("sort", [("field", "phone"), ("field", "name"), SEQUENCE, ("id", "")])
async def test_a_page_begins_behind_no_record_that_its_reader_may_not_see(stocked: Api, sort: tuple[str, str]) -> None:
    """By what comes before and behind it one could find out its value, digit by digit."""
    behind = [Query((), sort, after=record) for record in ("c4", "c9")]
    refused = [await ask(stocked, record(stocked, query), query) for query in behind]
    assert [(answer.status, answer.code) for answer in refused] == [(409, "search.cursor")] * 2
    assert await search(stocked, behind[0], "wang") == ({}, None)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        (Query((Filter("field", "note", "秘密"),), SEQUENCE), 400, "search.not_indexed"),
        (Query((Filter("fact", "colour", "red"),), SEQUENCE), 400, "search.not_indexed"),
        (Query((), ("field", "name"), after="c9"), 409, "search.cursor"),
    ],
)
async def test_what_cannot_be_searched_by_says_so(stocked: Api, query: Query, status: int, code: str) -> None:
    refused = await ask(stocked, record(stocked, query), query)
    assert (refused.status, refused.code) == (status, code)


@pytest.mark.parametrize("table", ["logins", "accesses", "changes"])
async def test_a_search_of_a_log_hears_at_once_that_logs_are_not_searched(stocked: Api, table: str) -> None:
    query = Query((), ("id", ""))
    answer = await ask(stocked, record(stocked, query, table=table, fields=["*"]), query)
    assert (answer.status, answer.code) == (400, "search.table")
    assert answer.json["details"]["table"] == table


async def test_a_malformed_query_is_refused_without_an_echo(stocked: Api) -> None:
    for body in (b"{}", b'{"search":1,"salt":"00","query":{}}', '{"search":"王"}'.encode()):
        refused = await stocked.signed("POST", "/v1/search", body)
        assert (refused.status, refused.code) == (400, "http.fields")
        assert "王" not in refused.body.decode()


# Trying out


async def preview(api: Api, *calls: Any, sender: str = "boss") -> Answer:
    body = {"calls": [{"name": name, "args": args} for name, args in calls]}
    return await api.signed("POST", "/v1/permissions/preview", json.dumps(body).encode(), key=key_of(sender))


def grant_args(**changes: Any) -> dict[str, Any]:
    return {
        "grant": "g",
        "subject": "department:sales",
        "actions": ["read"],
        "table": "customers",
        "scope": "all",
        "fields": ["name"],
        "purpose": "*",
        "expires_ms": None,
    } | changes


@pytest.fixture
def office(stocked: Api) -> Api:
    """The same, asked at the administration's node."""
    stocked.node.department = "administration"
    return stocked


async def test_a_grant_that_is_tried_out_says_who_would_gain_what_and_does_nothing(office: Api) -> None:
    root = office.node.ledger.state.root
    seen = (await preview(office, ("permissions.grant", grant_args()))).json
    gains = {
        item["person"]: (item["action"], item["field"], item["gained"], item["lost"]) for item in seen["differences"]
    }
    assert gains == {"li": ("read", "name", 1, 0), "wang": ("read", "name", 3, 0), "rui": ("read", "name", 4, 0)}
    assert (seen["people"], seen["left_out"]) == (3, 0)
    assert office.node.ledger.state.root == root
    assert office.node.ledger.state.get(b"grants/g") is None


async def test_a_revocation_that_is_tried_out_says_who_would_lose_what(office: Api) -> None:
    office.node.enact("boss", Call("permissions.grant", grant_args(subject="person:wang", scope="record:c1")))
    seen = (await preview(office, ("permissions.revoke", {"grant": "g"}))).json
    assert [(item["person"], item["field"], item["gained"], item["lost"]) for item in seen["differences"]] == [
        ("wang", "name", 0, 1)
    ]


async def test_what_would_be_refused_is_refused_when_it_is_tried_out(office: Api) -> None:
    assert (await preview(office, ("permissions.revoke", {"grant": "no"}))).code == "grant.unknown"
    assert (await preview(office, ("people.revoke", {"person": "li"}))).code == "preview.call"
    assert (await preview(office, ("permissions.grant", grant_args(fields=["salary"])))).code == "record.field_unknown"


@pytest.mark.parametrize("grant", ["\ud800", 1 << 70, [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]])
async def test_what_no_transaction_could_carry_is_not_tried_out(office: Api, grant: Any) -> None:
    refused = await preview(office, ("permissions.revoke", {"grant": grant}))
    assert (refused.status, refused.code.partition(".")[0]) == (400, "codec")


async def test_nobody_but_administrators_tries_out_permissions(stocked: Api) -> None:
    for sender in ("li", "rui"):
        refused = await preview(stocked, ("permissions.grant", grant_args()), sender=sender)
        assert (refused.status, refused.code) == (403, "auth.role")

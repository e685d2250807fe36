"""Searches: the query stays off the chain, the found records are decided on it, and only by the reader's own node."""

from __future__ import annotations

from typing import Any

import pytest

from chain.receipt import RECEIPT_BYTES_MAX
from tests.contracts.office import Office, hex_of

QUERY = bytes(range(32))


def search(office: Office, sender: str = "li", **changes: Any) -> int:
    args = {"table": "customers", "query": QUERY, "over": ["name"], "fields": ["name", "note"], "limit": 10}
    return int(office.ok(sender, "access.search", **args | {"purpose": "sale"} | changes)["search"])


def found(office: Office, number: int, records: list[str], person: str = "li", node: str = "sales") -> Any:
    return office.ok(f"node {node}", "access.found", person=person, search=number, records=records)


def refusal(office: Office, number: int, node: str = "sales", **changes: Any) -> str:
    return office.code(f"node {node}", "access.found", **{"person": "li", "search": number, "records": []} | changes)


def ids(answer: Any) -> list[str]:
    return [record["record"] for record in answer["records"]]


def test_a_search_is_recorded_before_anything_is_found_and_has_no_query(stocked: Office) -> None:
    number = search(stocked)
    row = stocked.row("accesses", "customers.-.1")
    assert (row["by"], row["action"], row["purpose"], row["search"]) == ("person:li", "search", "sale", number)
    assert (row["query"], row["allowed"], row["refused"]) == (QUERY, [], [])
    assert stocked.row("searches", f"li.{number}")["key"] == hex_of("li")


def test_what_was_found_is_answered_like_a_read_in_the_order_of_the_node(stocked: Office) -> None:
    stocked.register("c2", note="二")
    answer = found(stocked, search(stocked), ["c2", "c1"])
    assert (ids(answer), answer["looked"], answer["key"]) == (["c2", "c1"], 2, hex_of("li"))
    name = answer["records"][1]["fields"]["name"]
    assert (name["allowed"], name["digest"]) == (True, stocked.digest("c1", "name", "张三"))
    row = stocked.row("accesses", "customers.c1.1")
    assert (row["by"], row["department"], row["action"], row["search"]) == ("person:li", "sales", "search", 1)
    assert row["allowed"] == ["name", "note"]


def test_a_node_cannot_show_what_the_reader_may_not_see(stocked: Office) -> None:
    stocked.register("c2", by="wang")
    answer = found(stocked, search(stocked), ["c2", "c1", "c9"])
    assert (ids(answer), answer["looked"]) == (["c1"], 3)
    assert stocked.ledger.state.get(b"accesses/customers.c2.1") is None


def test_who_may_not_read_a_field_does_not_learn_that_a_record_was_found_by_it(stocked: Office) -> None:
    stocked.grant("g", "person:wang", fields=["note"])
    by_note = search(stocked, "wang", over=["note"], fields=["note", "name"])
    answer = found(stocked, by_note, ["c1"], "wang")
    assert {name: field["allowed"] for name, field in answer["records"][0]["fields"].items()} == {
        "note": True,
        "name": False,
    }
    by_name = search(stocked, "wang", over=["name"], fields=["note"])
    assert found(stocked, by_name, ["c1"], "wang")["records"] == []


def test_what_is_found_is_decided_when_it_is_shown_and_not_when_it_was_asked(stocked: Office) -> None:
    number = search(stocked)
    stocked.ok("boss", "permissions.unassign", table="customers", record="c1", subject="person:li")
    assert found(stocked, number, ["c1"])["records"] == []


def test_no_more_than_the_limit_is_shown(stocked: Office) -> None:
    for number in range(2, 5):
        stocked.register(f"c{number}")
    answer = found(stocked, search(stocked, limit=2), ["c1", "c2", "c3"])
    assert (ids(answer), answer["looked"]) == (["c1", "c2"], 2)


def test_an_answer_ends_early_rather_than_grow_its_receipt_without_bound(stocked: Office, monkeypatch: Any) -> None:
    stocked.register("c2")
    stocked.register("c3")
    monkeypatch.setattr("contracts.reading.searches.VALUES_MAX", 3)
    answer = found(stocked, search(stocked), ["c1", "c2", "c3"])
    assert (ids(answer), answer["looked"]) == (["c1", "c2"], 2)


def test_a_search_is_answered_once(stocked: Office) -> None:
    number = search(stocked)
    found(stocked, number, ["c1"])
    assert refusal(stocked, number) == "search.unknown"
    assert refusal(stocked, 99) == "search.unknown"


def test_a_search_is_answered_by_the_readers_own_node_only(stocked: Office) -> None:
    number = search(stocked)
    assert refusal(stocked, number, node="finance") == "search.other_node"
    args = {"person": "li", "search": number, "records": []}
    assert stocked.code("boss", "access.found", **args) == "keys.wrong_kind"
    assert stocked.code("gateway g2", "access.found", **args) == "keys.wrong_kind"


def test_a_search_ends_with_its_time_with_the_key_and_with_the_person(stocked: Office) -> None:
    late, keyless = search(stocked), 0
    stocked.time_ms += 300_000
    assert refusal(stocked, late) == "search.old"
    keyless = search(stocked)
    stocked.ok("boss", "people.rotate_key", person="li", **stocked.possession("li", "li 2"))
    assert refusal(stocked, keyless) == "keys.revoked"
    number = search(stocked, "li 2")
    stocked.ok("boss", "people.revoke", person="li")
    assert refusal(stocked, number) == "keys.revoked"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"table": "nothing"}, "record.table_unknown"),
        ({"fields": ["salary"]}, "record.field_unknown"),
        ({"over": ["salary"]}, "record.field_unknown"),
    ],
)
def test_a_search_for_what_does_not_exist_fails(stocked: Office, changes: dict[str, Any], code: str) -> None:
    args = {"table": "customers", "query": QUERY, "over": [], "fields": ["*"], "limit": 1, "purpose": "x"} | changes
    assert stocked.code("li", "access.search", **args) == code


def test_a_search_over_a_table_without_records_finds_nothing(stocked: Office) -> None:
    number = search(stocked, "boss", table="logins", over=[], fields=["*"])
    assert found(stocked, number, ["li"], "boss", "administration")["records"] == []


def test_the_largest_answer_fits_into_a_receipt(office: Office) -> None:
    every = {"position": "经理", "organisation": "厂", "department": "部", "email": "e", "address": "a", "note": "n"}
    names = [f"{number:0>64}" for number in range(100)]
    for name in names:
        office.register(name, **every)
    number = search(office, "boss", over=[], fields=["*"], limit=100)
    receipt = office.call("node administration", "access.found", person="boss", search=number, records=names)
    assert len(receipt.results[0]["records"]) == 100
    assert len(receipt.to_bytes()) < RECEIPT_BYTES_MAX / 2

"""Reads on the record: read, list, history, and the rows they leave."""

from __future__ import annotations

from typing import Any

import pytest

from chain.receipt import RECEIPT_BYTES_MAX
from chain.transaction import Call
from contracts.deciding.reach import reach
from tests.contracts.office import Office, hex_of


def read(office: Office, sender: str = "li", **changes: Any) -> Any:
    args = {"table": "customers", "record": "c1", "fields": ["*"], "purpose": "sale"} | changes
    return office.ok(sender, "access.read", **args)


def list_(office: Office, sender: str = "li", **changes: Any) -> Any:
    args = {"table": "customers", "after": 0, "limit": 100, "fields": ["*"], "purpose": "sale"} | changes
    return office.ok(sender, "access.list", **args)


def history(office: Office, sender: str = "li", **changes: Any) -> Any:
    args = {"table": "customers", "record": "c1", "after": 0, "limit": 100, "purpose": "check"} | changes
    return office.ok(sender, "access.history", **args)


def ids(listed: Any) -> list[str]:
    return [record["record"] for record in listed["records"]]


def test_a_read_says_field_by_field_what_is_allowed_and_why(stocked: Office) -> None:
    result = read(stocked)
    assert (result["table"], result["record"], result["version"]) == ("customers", "c1", 1)
    assert result["fields"]["name"] == {
        "allowed": True,
        "digest": stocked.digest("c1", "name", "张三"),
        "version": 1,
        "because": "rule:sales.customers.assigned",
    }
    assert result["fields"]["identifier"] == {"allowed": False, "code": "permission.denied"}
    assert list(result["fields"]) == ["name", "phone", "identifier", "position", "note"]
    assert result["facts"]["status"] == "valid"
    assert not {"fields", "gateways", "version"} & set(result["facts"])


def test_a_field_without_value_is_absent_to_who_may_read_it_and_denied_to_others(stocked: Office) -> None:
    absent = {"email": {"allowed": False, "code": "record.field_absent"}}
    assert read(stocked, fields=["email"])["fields"] == absent
    denied = {"email": {"allowed": False, "code": "permission.denied"}}
    assert read(stocked, "wang", fields=["email"])["fields"] == denied


def test_every_read_is_a_row_refused_ones_and_the_administrations_too(stocked: Office) -> None:
    read(stocked, "wang", fields=["name", "phone"])
    read(stocked, "boss", fields=["note", "name"], purpose="inspection")
    refused, allowed = (stocked.row("accesses", f"customers.c1.{number}") for number in (1, 2))
    assert (refused["by"], refused["allowed"], refused["refused"]) == ("person:wang", [], ["name", "phone"])
    assert (allowed["by"], allowed["department"], allowed["purpose"], allowed["allowed"], allowed["action"]) == (
        "person:boss",
        "administration",
        "inspection",
        ["name", "note"],
        "read",
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"record": "c9"}, "record.unknown"),
        ({"table": "wishes"}, "record.table_unknown"),
        ({"fields": ["salary"]}, "record.field_unknown"),
    ],
)
def test_a_read_of_what_does_not_exist_fails(stocked: Office, changes: dict[str, Any], code: str) -> None:
    args = {"table": "customers", "record": "c1", "fields": ["*"], "purpose": "sale"} | changes
    assert stocked.code("boss", "access.read", **args) == code


def test_peoples_fields_are_read_like_any_others(stocked: Office) -> None:
    assert read(stocked, "boss", table="people", record="li")["facts"] == {
        "department": "sales",
        "role": "operator",
        "status": "active",
        "keys": [hex_of("li")],
    }


# Lists


def test_a_list_shows_only_what_the_reader_may_see_in_order_and_records_each(office: Office) -> None:
    for number, owner in enumerate(("li", "wang", "li", "qian", "li")):
        office.register(f"c{number}", by=owner)
    assert ids(list_(office, "li")) == ["c0", "c2", "c4"]
    assert ids(list_(office, "wang")) == ["c1"]
    assert ids(list_(office, "sun")) == []
    assert ids(list_(office, "qian")) == [f"c{number}" for number in range(5)]
    assert office.row("accesses", "customers.c1.1")["action"] == "list"
    assert office.row("counters", "accesses.customers.c1")["value"] == 2


def test_a_list_goes_on_where_it_stopped_until_nothing_is_left(office: Office) -> None:
    for number in range(5):
        office.register(f"c{number}")
    found, after = [], 0
    for _ in range(3):
        page = list_(office, after=after, limit=2)
        found += ids(page)
        after = page["next"]
    assert (found, after) == ([f"c{number}" for number in range(5)], None)
    assert list_(office, after=99) == {"records": [], "next": None}


def test_a_list_of_fields_shows_records_of_which_one_of_them_may_be_seen(stocked: Office) -> None:
    stocked.grant("g", "person:wang", fields=["note"])
    assert ids(list_(stocked, "wang", fields=["name", "phone"])) == []
    fields = list_(stocked, "wang", fields=["name", "note"])["records"][0]["fields"]
    assert (fields["name"]["allowed"], fields["note"]["allowed"]) == (False, True)


def test_a_list_ends_early_rather_than_grow_its_receipt_without_bound(office: Office, monkeypatch: Any) -> None:
    for number in range(6):
        office.register(f"c{number}")
    monkeypatch.setattr("contracts.reading.access.LOOKED_AT_MAX", 4)
    assert list_(office, "sun") == {"records": [], "next": 4}
    monkeypatch.setattr("contracts.reading.access.VALUES_MAX", 5)
    page = list_(office)
    assert (ids(page), page["next"]) == (["c0", "c1"], 2)


def test_tables_without_a_sequence_and_unknown_ones_are_not_listed(office: Office) -> None:
    args = {"after": 0, "limit": 1, "fields": ["*"], "purpose": "x"}
    assert office.code("boss", "access.list", table="people", **args) == "access.not_listable"
    assert office.code("boss", "access.list", table="wishes", **args) == "record.table_unknown"


def test_a_call_with_many_rows_comes_first_in_its_transaction(stocked: Office) -> None:
    args = {"table": "customers", "after": 0, "limit": 1, "fields": ["*"], "purpose": "x"}
    listing, login = Call("access.list", args), Call("access.login", {})
    assert stocked.send("li", listing, login).is_ok
    assert stocked.send("li", login, listing).code == "call.position"
    rows = {"table": "customers", "record": "c1", "after": 0, "limit": 1, "purpose": "x"}
    assert stocked.send("li", login, Call("access.history", rows)).code == "call.position"


def test_the_largest_answers_fit_into_a_receipt(office: Office) -> None:
    every = {"position": "经理", "organisation": "厂", "department": "部", "email": "e", "address": "a", "note": "n"}
    for number in range(111):
        office.register(f"{number:0>64}", **every)
    list_args = {"table": "customers", "after": 0, "limit": 100, "fields": ["*"], "purpose": "x" * 64}
    read_args = {"table": "customers", "record": "0" * 64, "fields": ["*"], "purpose": "x" * 64}
    calls = [Call("access.list", list_args), *[Call("access.read", read_args)] * 99]
    receipt = office.send("boss", *calls)
    assert receipt.is_ok
    assert len(receipt.to_bytes()) < RECEIPT_BYTES_MAX / 2


# History


def test_the_history_tells_who_changed_which_fields_when(stocked: Office) -> None:
    stocked.ok("qian", "customers.update", customer="c1", version=1, fields=stocked.fields("c1", note="改"))
    result = history(stocked)
    assert (result["allowed"], result["code"], result["next"]) == (True, "ok", None)
    first, second = result["rows"]
    assert (first["number"], first["by"], first["to"]) == (1, "person:li", 1)
    assert (second["by"], second["department"], second["fields"], second["from"], second["to"]) == (
        "person:qian",
        "finance",
        ["note"],
        1,
        2,
    )


def test_the_history_tells_who_read_and_is_itself_told(stocked: Office) -> None:
    read(stocked, "qian", purpose="billing")
    history(stocked, kind="accesses")
    rows = history(stocked, kind="accesses")["rows"]
    assert [(row["by"], row["action"], row["purpose"]) for row in rows] == [
        ("person:qian", "read", "billing"),
        ("person:li", "history", "check"),
    ]


def test_the_history_tells_what_carriers_answered(stocked: Office) -> None:
    stocked.ok("gateway g2", "phone.record", attestation=stocked.attest("c1", outcome="none").to_value())
    rows = history(stocked, kind="answers")["rows"]
    assert [(row["outcome"], row["status"], row["reason"]) for row in rows] == [
        ("found", "valid", None),
        ("none", "invalid", "unavailable"),
    ]


def test_the_history_comes_page_by_page(stocked: Office) -> None:
    for version in range(1, 5):
        stocked.ok("li", "customers.update", customer="c1", version=version, fields=stocked.fields("c1", note="改"))
    first = history(stocked, limit=2)
    second = history(stocked, limit=2, after=first["next"])
    third = history(stocked, limit=2, after=second["next"])
    numbers = [row["number"] for page in (first, second, third) for row in page["rows"]]
    assert (numbers, third["next"]) == ([1, 2, 3, 4, 5], None)


def test_the_history_is_for_readers_and_auditors_and_a_refusal_is_recorded(stocked: Office) -> None:
    refused = history(stocked, "wang")
    assert (refused["allowed"], refused["code"], refused["rows"]) == (False, "permission.denied", [])
    assert stocked.row("accesses", "customers.c1.1")["code"] == "permission.denied"
    audited = history(stocked, "rui")
    assert (audited["because"], len(audited["rows"])) == ("role:auditor", 1)


def test_people_have_a_history_too(stocked: Office) -> None:
    assert history(stocked, "boss", table="people", record="li")["rows"][0]["by"] == "genesis:0"
    assert history(stocked, "boss", table="people", record="li", kind="answers")["rows"] == []
    args = {"after": 0, "limit": 1, "purpose": "x"}
    assert stocked.code("boss", "access.history", table="people", record="no", **args) == "record.unknown"
    assert stocked.code("boss", "access.history", table="logins", record="li", **args) == "record.table_unknown"


# Releases


def test_a_release_between_entitled_vaults_is_a_row(stocked: Office) -> None:
    args = {"table": "customers", "record": "c1", "fields": ["name", "note"], "version": 1, "to": "finance"}
    assert stocked.ok("node sales", "vault.record_release", **args)["release"] == 1
    row = stocked.row("releases", "customers.c1.1")
    assert (row["from"], row["to"], row["fields"], row["version"]) == ("sales", "finance", ["name", "note"], 1)
    everything = stocked.ok("node finance", "vault.record_release", **args | {"fields": ["*"], "to": "sales"})
    assert everything["release"] == 2


def test_a_release_of_many_values_asks_once_who_may_hold_them(stocked: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through what the record is reached takes most of the time, and a node may send hundreds of releases."""
    asked = []
    monkeypatch.setattr("contracts.deciding.holders.reach", lambda *about: asked.append(about) or reach(*about))
    args = {"table": "customers", "record": "c1", "fields": ["*"], "version": 1, "to": "finance"}
    released = stocked.ok("node sales", "vault.record_release", **args)["release"]
    assert len(stocked.row("releases", f"customers.c1.{released}")["fields"]) == 5
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("sender", "changes", "code"),
    [
        ("node process", {}, "vault.not_holder"),
        ("node sales", {"to": "process"}, "vault.not_entitled"),
        ("node sales", {"to": "marketing"}, "department.unknown"),
        ("node sales", {"version": 2}, "record.version_conflict"),
        ("node sales", {"fields": ["email"]}, "record.field_absent"),
        ("node sales", {"fields": ["salary"]}, "record.field_unknown"),
        ("node sales", {"record": "c9"}, "record.unknown"),
        ("gateway g1", {}, "keys.wrong_kind"),
    ],
)
def test_a_release_is_refused_for(stocked: Office, sender: str, changes: dict[str, Any], code: str) -> None:
    args = {"table": "customers", "record": "c1", "fields": ["name"], "version": 1, "to": "finance"}
    assert stocked.code(sender, "vault.record_release", **args | changes) == code

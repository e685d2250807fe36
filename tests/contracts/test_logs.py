"""Logins, reads and changes as tables: by record, by person, by time; permitted, and themselves recorded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.receipt import RECEIPT_BYTES_MAX
from chain.state import View
from chain.transaction import Call
from contracts.deciding.policy import default_policy
from contracts.reading.journals import PAGE, add_entry, entry_at, length_of
from contracts.reading.trails import Trail
from tests.contracts.office import Office


def log(office: Office, sender: str, name: str, **changes: Any) -> Any:
    args = {"log": name, "after": 0, "limit": 100, "purpose": "check"} | changes
    return office.ok(sender, "access.log", **args)


def read(office: Office, sender: str, record: str = "c1", **changes: Any) -> None:
    args = {"table": "customers", "record": record, "fields": ["*"], "purpose": "sale"} | changes
    office.ok(sender, "access.read", **args)


@pytest.fixture
def busy(stocked: Office) -> Office:
    """li registered c1 and c2, logged in twice; qian changed c1; li, qian and boss read."""
    stocked.register("c2")
    for sender in ("li", "qian", "li"):
        stocked.ok(sender, "access.login")
    read(stocked, "li")
    read(stocked, "qian", fields=["name", "identifier"], purpose="billing")
    stocked.ok("qian", "customers.update", customer="c1", version=1, fields=stocked.fields("c1", note="改"))
    read(stocked, "boss", "c2", purpose="inspection")
    return stocked


def test_who_logged_in_where_and_when(busy: Office) -> None:
    rows = log(busy, "boss", "logins")["rows"]
    assert [(row["person"], row["node"]) for row in rows] == [("li", "sales"), ("qian", "finance"), ("li", "sales")]
    assert [row["time_ms"] for row in rows] == sorted(row["time_ms"] for row in rows)
    assert [row["number"] for row in log(busy, "boss", "logins", person="li")["rows"]] == [1, 2]


def test_who_read_which_fields_of_which_record_when_and_what_for(busy: Office) -> None:
    rows = [row for row in log(busy, "boss", "accesses")["rows"] if row["action"] == "read"]
    assert [(row["by"], row["record"], row["purpose"]) for row in rows] == [
        ("person:li", "c1", "sale"),
        ("person:qian", "c1", "billing"),
        ("person:boss", "c2", "inspection"),
    ]
    assert (rows[1]["allowed"], rows[1]["refused"]) == (["name"], ["identifier"])


def test_which_fields_changed_by_whom_from_which_version_to_which(busy: Office) -> None:
    (row,) = log(busy, "boss", "changes", person="qian")["rows"]
    assert (row["table"], row["record"], row["fields"], row["from"], row["to"]) == ("customers", "c1", ["note"], 1, 2)
    everything = log(busy, "boss", "changes")["rows"]
    assert [row["record"] for row in everything if row["table"] == "customers"] == ["c1", "c2", "c1"]


def test_a_log_is_asked_for_by_record_by_person_and_by_both(busy: Office) -> None:
    about = {"table": "customers", "record": "c1"}
    of_record = log(busy, "boss", "accesses", **about)["rows"]
    assert [row["by"] for row in of_record] == ["person:li", "person:qian"]
    of_person = log(busy, "boss", "accesses", person="qian")["rows"]
    assert [(row["record"], row["number"]) for row in of_person] == [("c1", 1)]
    both = log(busy, "boss", "accesses", person="qian", **about)["rows"]
    assert [(row["by"], row["number"]) for row in both] == [("person:qian", 2)]
    assert log(busy, "boss", "changes", person="boss", **about) | {"rows": []} == log(
        busy, "boss", "changes", person="boss", **about
    )


def test_a_log_is_cut_to_the_times_asked_for_both_included(busy: Office) -> None:
    times = [row["time_ms"] for row in log(busy, "boss", "logins")["rows"]]
    first, middle, last = times
    assert [row["time_ms"] for row in log(busy, "boss", "logins", since_ms=middle)["rows"]] == [middle, last]
    assert [row["time_ms"] for row in log(busy, "boss", "logins", until_ms=middle)["rows"]] == [first, middle]
    only = log(busy, "boss", "logins", since_ms=first + 1, until_ms=last - 1)
    assert ([row["time_ms"] for row in only["rows"]], only["next"]) == ([middle], None)
    assert log(busy, "boss", "logins", since_ms=last + 1)["rows"] == []
    assert log(busy, "boss", "accesses", until_ms=0)["rows"] == []


def test_a_log_comes_page_by_page_to_its_end(office: Office) -> None:
    count = PAGE * 2 + 3
    for _ in range(count):
        office.ok("li", "access.login")
    numbers, after = [], 0
    while after is not None:
        page = log(office, "boss", "logins", after=after, limit=10)
        numbers += [row["number"] for row in page["rows"]]
        after = page["next"]
    assert numbers == list(range(1, count + 1))


def test_a_log_that_is_filtered_looks_at_so_many_rows_and_goes_on(busy: Office, monkeypatch: Any) -> None:
    monkeypatch.setattr("contracts.reading.logs.LOOKED_AT_MAX", 1)
    about = {"table": "customers", "record": "c1", "person": "qian"}
    first = log(busy, "boss", "accesses", **about)
    assert (first["rows"], first["next"]) == ([], 1)
    assert [row["by"] for row in log(busy, "boss", "accesses", **about, after=1)["rows"]] == ["person:qian"]


# Who may


def test_the_administration_reads_the_logs_by_the_policy_and_its_reading_is_in_them(busy: Office) -> None:
    first = log(busy, "boss", "accesses", person="li", purpose="inspection")
    assert first["because"] == "rule:administration.*.all"
    mine = log(busy, "boss", "accesses", person="boss")["rows"]
    assert [(row["action"], row["table"], row["record"], row["purpose"]) for row in mine] == [
        ("read", "customers", "c2", "inspection"),
        ("log", "accesses", "li", "inspection"),
    ]
    assert log(busy, "clerk", "accesses", person="boss")["rows"][2]["person"] == "boss"


@pytest.mark.parametrize("name", ["logins", "accesses", "changes"])
def test_others_are_refused_and_the_refusal_is_recorded(busy: Office, name: str) -> None:
    for about in ({}, {"person": "li"}):
        refused = log(busy, "qian", name, **about)
        assert (refused["allowed"], refused["code"], refused["rows"]) == (False, "permission.denied", [])
    rows = [row for row in log(busy, "boss", "accesses", person="qian")["rows"] if row["action"] == "log"]
    assert [(row["record"], row["code"]) for row in rows] == [("-", "permission.denied"), ("li", "permission.denied")]


def test_everybody_sees_what_they_did_themselves(busy: Office) -> None:
    for name, count in (("logins", 2), ("accesses", 1), ("changes", 2)):
        own = log(busy, "li", name, person="li")
        assert (own["because"], len(own["rows"])) == ("self", count + (name == "accesses"))


def test_who_may_see_a_records_history_sees_who_read_and_changed_it(busy: Office) -> None:
    about = {"table": "customers", "record": "c1"}
    assert len(log(busy, "qian", "accesses", **about)["rows"]) == 2
    assert len(log(busy, "qian", "changes", **about)["rows"]) == 2
    assert log(busy, "wang", "accesses", **about)["code"] == "permission.denied"
    recorded = log(busy, "boss", "accesses", **about)["rows"]
    assert [row["action"] for row in recorded[2:]] == ["log", "log", "log"]


def test_auditors_see_every_log(busy: Office) -> None:
    for name in ("logins", "accesses", "changes"):
        seen = log(busy, "rui", name)
        assert (seen["because"], bool(seen["rows"])) == ("role:auditor", True)


def test_a_grant_and_a_rule_open_a_log_and_a_rule_for_assigned_records_does_not(busy: Office) -> None:
    busy.grant("g", "person:qian", table="accesses", scope="all", expires_ms=busy.time_ms + 60_000)
    assert log(busy, "qian", "accesses")["because"] == "grant:g"
    busy.time_ms += 60_000
    assert log(busy, "qian", "accesses")["allowed"] is False
    for scope, allowed in (("assigned", False), ("department", False), ("all", True)):
        rule = {"department": "finance", "table": "logins", "actions": ["read"], "fields": ["*"], "scope": scope}
        policy = default_policy() | {"rules": [*default_policy()["rules"], rule]}
        busy.ok("boss", "permissions.set_policy", policy=policy)
        assert log(busy, "qian", "logins")["allowed"] is allowed


def test_a_policy_without_the_log_tables_leaves_them_to_auditors(busy: Office) -> None:
    policy = default_policy()
    del policy["tables"]["logins"]
    busy.ok("boss", "permissions.set_policy", policy=policy)
    assert log(busy, "boss", "logins")["allowed"] is False
    assert log(busy, "rui", "logins")["allowed"] is True


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"table": "customers"}, "access.log_query"),
        ({"record": "c1"}, "access.log_query"),
        ({"log": "logins", "table": "people", "record": "li"}, "access.log_query"),
        ({"table": "customers", "record": "c9"}, "record.unknown"),
        ({"table": "logins", "record": "li"}, "record.table_unknown"),
        ({"person": "nobody"}, "people.unknown"),
    ],
)
def test_a_log_that_cannot_be_is_an_error(busy: Office, changes: dict[str, Any], code: str) -> None:
    args = {"log": "accesses", "after": 0, "limit": 1, "purpose": "check"} | changes
    assert busy.code("boss", "access.log", **args) == code


def test_a_log_comes_first_in_its_transaction_and_the_longest_fits_a_receipt(office: Office) -> None:
    office.register("0" * 64, **dict.fromkeys(("position", "organisation", "department", "email", "address"), "值"))
    args = {"table": "customers", "record": "0" * 64, "fields": ["*"], "purpose": "x" * 64}
    for _ in range(2):
        office.send("boss", *[Call("access.read", args)] * 60)
    asked = {"log": "accesses", "after": 0, "limit": 100, "purpose": "x"}
    receipt = office.send("boss", Call("access.log", asked))
    assert len(receipt.results[0]["rows"]) == 100
    assert len(receipt.to_bytes()) < RECEIPT_BYTES_MAX / 2
    assert office.send("boss", Call("access.login", {}), Call("access.log", asked)).code == "call.position"


@settings(max_examples=60)
@given(st.lists(st.integers(0, 5), max_size=PAGE * 3), st.integers(0, 20))
def test_journals_keep_order_and_the_first_since_a_time_is_found(steps: list[int], since: int) -> None:
    view = View({}.get)
    times, now = [], 0
    for number, step in enumerate(steps):
        now += step
        times.append(now)
        view.put("logins", f"p.{number}", {"time_ms": now})
        add_entry(view, "logins", f"p.{number}")
    assert length_of(view, "logins") == len(times)
    trail = Trail("logins", len(times), lambda number: entry_at(view, "logins", number))
    assert [trail.row_at(view, number)["time_ms"] for number in range(1, len(times) + 1)] == times
    assert trail.first_since(view, since) == 1 + sum(time < since for time in times)

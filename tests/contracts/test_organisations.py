"""Organisations, the tree of their departments, and where customers have their place."""

from __future__ import annotations

from typing import Any

import pytest

from chain.protocol import NEWEST
from tests.contracts.client import Client, stocked_client
from tests.contracts.office import Office


def test_an_organisation_is_numbered_and_its_name_is_a_digest_only(office: Office) -> None:
    client = Client(office)
    assert client.organisation("o1") == {"table": "organisations", "record": "o1", "version": 1}
    row = office.row("organisations", "o1")
    assert (row["status"], row["sequence"], row["registered"]["by"]) == ("active", 1, "person:li")
    assert row["fields"]["name"] == [office.digest("o1", "name", "东方公司", "organisations"), 1]
    assert office.row("organisation_sequence", "1") == {"record": "o1"}


@pytest.mark.parametrize(
    ("sender", "changes", "code"),
    [
        ("li", {"organisation": "o1"}, "record.exists"),
        ("li", {"fields": ["address"]}, "record.field_missing"),
        ("li", {"fields": ["name", "salary"]}, "record.field_unknown"),
        ("zhao", {}, "permission.denied"),
        ("rui", {}, "permission.denied"),
    ],
)
def test_an_organisation_is_refused_for(client: Client, sender: str, changes: dict[str, Any], code: str) -> None:
    names = changes.get("fields", ["name"])
    args = {
        "organisation": "o9",
        **changes,
        "fields": client.digests("organisations", "o9", **dict.fromkeys(names, "名")),
    }
    assert client.office.code(sender, "organisations.register", **args) == code


def test_an_organisation_changes_from_a_stated_version(client: Client) -> None:
    fields = client.digests("organisations", "o1", name="东方集团", address="上海")
    args = {"organisation": "o1", "version": 1, "fields": fields}
    assert client.office.code("li", "organisations.update", **args | {"version": 2}) == "record.version_conflict"
    assert client.office.code("sun", "organisations.update", **args) == "permission.denied"
    assert client.office.ok("li", "organisations.update", **args)["version"] == 2
    assert client.office.code("li", "organisations.update", **args) == "record.version_conflict"
    assert client.office.code("li", "organisations.update", **args | {"organisation": "o9"}) == "record.unknown"


# The tree


def move(client: Client, department: str, parent: str | None, by: str = "li") -> str:
    version = client.office.row("client_departments", department)["version"]
    args = {"client_department": department, "version": version, "parent": parent}
    return client.office.code(by, "client_departments.move", **args)


def test_a_department_moves_with_all_below_it_and_the_move_stays_in_the_history(client: Client) -> None:
    client.department("d3")
    assert move(client, "d1", "d3") == "ok"
    assert client.office.row("client_departments", "d2")["parent"] == "d1"
    change = client.office.row("changes", "client_departments.d1.2")
    assert (change["facts"], change["fields"], change["by"]) == ({"parent": "d3"}, [], "person:li")
    assert move(client, "d1", None) == "ok"
    assert client.office.row("client_departments", "d1")["parent"] is None


@pytest.mark.parametrize("parent", ["d1", "d2", "d3"])
def test_a_department_does_not_come_to_lie_below_itself(client: Client, parent: str) -> None:
    client.department("d3", parent="d2")
    assert move(client, "d1", parent) == "tree.cycle"


def test_departments_stay_within_their_organisation(client: Client) -> None:
    client.department("e1", "o2")
    assert move(client, "d1", "e1") == "tree.other_organisation"
    fields = client.digests("client_departments", "d9", name="部")
    args = {"client_department": "d9", "organisation": "o1", "parent": "e1", "fields": fields}
    assert client.office.code("li", "client_departments.register", **args) == "tree.other_organisation"
    assert client.office.code("li", "client_departments.register", **args | {"parent": "d7"}) == "record.unknown"
    assert client.office.code("li", "client_departments.register", **args | {"organisation": "o9"}) == "record.unknown"


def test_an_organisation_has_a_limit_of_departments(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("contracts.projects.organisations.DEPARTMENTS_MAX", 2)
    fields = client.digests("client_departments", "d9", name="部")
    args = {"client_department": "d9", "organisation": "o1", "parent": None, "fields": fields}
    assert client.office.code("li", "client_departments.register", **args) == "record.limit"


def test_a_department_is_renamed(client: Client) -> None:
    fields = client.digests("client_departments", "d1", name="总经理办公室")
    args = {"client_department": "d1", "version": 1, "fields": fields}
    assert client.office.code("zhao", "client_departments.update", **args) == "permission.denied"
    assert client.office.ok("qian", "client_departments.update", **args)["version"] == 2


# Closing


def close(client: Client, table: str, record: str, by: str = "li") -> str:
    name = {"organisations": "organisation", "client_departments": "client_department", "projects": "project"}[table]
    version = client.office.row(table, record)["version"]
    return client.office.code(by, f"{table}.close", **{name: record, "version": version})


def test_what_is_in_use_is_not_closed(client: Client) -> None:
    assert close(client, "organisations", "o1") == "record.in_use"
    assert close(client, "organisations", "o2") == "record.in_use"
    assert close(client, "client_departments", "d1") == "record.in_use"
    assert close(client, "client_departments", "d2") == "record.in_use"


def test_what_is_left_empty_is_closed_and_takes_nothing_any_more(client: Client) -> None:
    client.department("d3")
    client.department("d4", parent="d3")
    assert close(client, "client_departments", "d3") == "record.in_use"
    assert move(client, "d4", None) == "ok"
    assert close(client, "client_departments", "d3") == "ok"
    assert move(client, "d4", "d3") == "record.closed"
    assert move(client, "d3", "d4") == "record.closed"
    client.place("c4", None)
    assert close(client, "organisations", "o2", by="sun") == "permission.denied"
    assert close(client, "organisations", "o2") == "ok"
    args = {"customer": "c4", "version": 3, "organisation": "o2", "client_department": None}
    assert client.office.code("li", "customers.place", **args) == "record.closed"


# Places of customers


def test_a_customer_moves_between_departments_and_the_history_tells(client: Client) -> None:
    client.place("c3", "o1", "d1")
    row = client.office.row("customers", "c3")
    assert (row["organisation"], row["client_department"], row["version"]) == ("o1", "d1", 3)
    change = client.office.row("changes", "customers.c3.3")
    assert change["facts"] == {"organisation": "o1", "client_department": "d1"}


def test_a_customer_who_has_ties_within_the_organisation_does_not_leave_it(client: Client) -> None:
    leave = {"customer": "c3", "version": 2, "organisation": "o2", "client_department": None}
    receipt = client.office.call("li", "customers.place", **leave)
    assert (receipt.code, receipt.details["by"]) == ("record.in_use", "relations/l2")
    client.office.ok("li", "relations.close", relation="l2", version=1)
    client.relation("l3", "c3", "at_odds_with", "c1")
    client.office.ok("li", "customers.place", **leave)
    client.office.ok("li", "relations.close", relation="l1", version=1)
    receipt = client.office.call("li", "customers.place", **leave | {"customer": "c2"})
    assert (receipt.code, receipt.details["by"]) == ("record.in_use", "participations/t2")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"organisation": "o2"}, "tree.other_organisation"),
        ({"organisation": None}, "tree.other_organisation"),
        ({"client_department": "d9"}, "record.unknown"),
        ({"organisation": "o9", "client_department": None}, "record.unknown"),
        ({"customer": "c9"}, "record.unknown"),
        ({"version": 1}, "record.version_conflict"),
    ],
)
def test_a_place_is_refused_for(client: Client, changes: dict[str, Any], code: str) -> None:
    args = {"customer": "c3", "version": 2, "organisation": "o1", "client_department": "d1"} | changes
    assert client.office.code("li", "customers.place", **args) == code


def test_who_may_not_change_a_customer_does_not_place_it(client: Client) -> None:
    args = {"customer": "c3", "version": 2, "organisation": "o1", "client_department": "d1"}
    assert client.office.code("wang", "customers.place", **args) == "permission.denied"
    assert client.office.code("zhao", "customers.place", **args) == "permission.denied"


def deep(protocol: int) -> Client:
    """o1 with d3 below d2 below d1; and d8 at the top, with d9 below it."""
    client = stocked_client(Office(protocol=protocol))
    client.department("d3", parent="d2")
    client.department("d8")
    client.department("d9", parent="d8")
    return client


def test_a_client_department_lies_so_deep_and_no_deeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contracts.projects.membership.LEVELS_MAX", 2)
    for protocol, expected in ((NEWEST, "tree.too_deep"), (3, "ok")):
        client = deep(protocol)
        assert move(client, "d9", "d3") == expected
        fields = client.digests("client_departments", "d4", name="科")
        args = {"client_department": "d4", "organisation": "o1", "parent": "d3", "fields": fields}
        assert client.office.code("li", "client_departments.register", **args) == expected


def test_a_department_that_was_erased_is_in_the_way_of_nothing_that_goes_below_it() -> None:
    for protocol, expected in ((NEWEST, "ok"), (3, "record.erased")):
        client = deep(protocol)
        client.office.ok("boss", "erasure.order", table="client_departments", record="d1", reason="mistake")
        assert move(client, "d9", "d3") == expected
        client.department("d5", parent="d3")  # by no version is a new one looked at so far up that it would matter
    assert move(client, "d9", "d1") == "record.erased"

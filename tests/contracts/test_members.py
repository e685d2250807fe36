"""What belongs to a record, now and as of a height: the org chart and the map of a project are made of it."""

from __future__ import annotations

from typing import Any

import pytest

from chain.receipt import RECEIPT_BYTES_MAX
from chain.transaction import Call
from tests.contracts.client import Client
from tests.contracts.office import Office

ARGS = {"as_of": None, "after": 0, "limit": 100, "fields": ["*"], "purpose": "map"}


def members(client: Client, of: str, record: str, table: str, sender: str = "li", **changes: Any) -> Any:
    args = {"of": of, "record": record, "table": table, **ARGS} | changes
    return client.office.ok(sender, "access.members", **args)


def ids(found: Any) -> list[str]:
    return [record["record"] for record in found["records"]]


def facts(found: Any, *names: str) -> dict[str, Any]:
    return {record["record"]: tuple(record["facts"][name] for name in names) for record in found["records"]}


def test_the_org_chart_and_the_parts_in_a_project_are_members(client: Client) -> None:
    departments = members(client, "organisations", "o1", "client_departments")
    assert facts(departments, "parent") == {"d1": (None,), "d2": ("d1",)}
    people = members(client, "organisations", "o1", "customers", fields=["name", "position"])
    assert facts(people, "client_department") == {"c1": ("d1",), "c2": ("d2",), "c3": ("d2",)}
    relations = members(client, "organisations", "o1", "relations")
    assert facts(relations, "from", "to", "weight") == {"l1": ("c2", "c1", None), "l2": ("c3", "c1", 60)}
    parts = members(client, "projects", "p1", "participations")
    assert facts(parts, "customer", "right", "stance") == {
        "t1": ("c1", "decides", "supports"),
        "t2": ("c2", "uses", "neutral"),
    }
    assert ids(members(client, "organisations", "o1", "projects")) == ["p1"]
    assert ids(members(client, "customers", "c1", "relations")) == ["l1", "l2"]


def test_the_chart_of_a_height_stays_as_it_was_when_departments_and_people_move(client: Client) -> None:
    office = client.office
    before = office.ledger.height
    client.department("d3")
    office.ok("li", "client_departments.move", client_department="d2", version=1, parent="d3")
    client.place("c3", "o1", "d3")
    part = {"role": "sponsor", "right": "approves", "weight": 10, "stance": "opposes", "fields": {}}
    office.ok("li", "participations.update", participation="t1", version=1, **part)
    office.ok("li", "relations.close", relation="l1", version=1)
    after = office.ledger.height
    for as_of, parents, places, stances, active in (
        (before, {"d1": (None,), "d2": ("d1",)}, ("d1", "d2", "d2"), ("decides", "supports"), "active"),
        (after, {"d1": (None,), "d2": ("d3",), "d3": (None,)}, ("d1", "d2", "d3"), ("approves", "opposes"), "closed"),
    ):
        departments = members(client, "organisations", "o1", "client_departments", as_of=as_of)
        assert facts(departments, "parent") == parents
        people = members(client, "organisations", "o1", "customers", as_of=as_of)
        assert tuple(place for (place,) in facts(people, "client_department").values()) == places
        parts = members(client, "projects", "p1", "participations", as_of=as_of)
        assert facts(parts, "right", "stance")["t1"] == stances
        relations = members(client, "organisations", "o1", "relations", as_of=as_of)
        assert facts(relations, "status")["l1"] == (active,)


def test_of_an_old_version_the_digest_is_told_and_whether_its_value_is_still_the_present_one(client: Client) -> None:
    office = client.office
    as_of = office.ledger.height
    old = office.row("customers", "c1")["fields"]["name"][0]
    new = office.fields("c1", name="王总")
    office.ok("li", "customers.update", customer="c1", version=2, fields=new)
    found = members(client, "organisations", "o1", "customers", as_of=as_of, fields=["name", "position"])
    fields = found["records"][0]["fields"]
    assert (fields["name"]["digest"], fields["name"]["current"]) == (old, False)
    assert fields["position"]["current"] is True
    read = {"table": "customers", "record": "c1", "fields": ["name"], "purpose": "map"}
    past = office.ok("li", "access.read", **read, as_of=as_of)
    assert (past["as_of"], past["version"], past["fields"]["name"]["digest"]) == (as_of, 2, old)
    assert office.ok("li", "access.read", **read, as_of=office.ledger.height)["fields"]["name"]["current"] is True


def test_who_leaves_an_organisation_stays_on_its_earlier_charts_only(client: Client) -> None:
    before = client.office.ledger.height
    client.office.ok("li", "relations.close", relation="l2", version=1)
    client.relation("l3", "c3", "influences", "c4")
    client.place("c3", "o2")
    here, there = ("organisations", "o1"), ("organisations", "o2")
    assert ids(members(client, *here, "customers")) == ["c1", "c2"]
    assert ids(members(client, *here, "customers", as_of=before)) == ["c1", "c2", "c3"]
    assert ids(members(client, *there, "customers")) == ["c4", "c3"]
    assert ids(members(client, *there, "relations")) == ["l3"]
    assert "l3" not in ids(members(client, *here, "relations"))
    client.office.ok("li", "relations.close", relation="l3", version=1)
    client.place("c3", "o1", "d1")
    assert ids(members(client, *here, "customers")) == ["c1", "c2", "c3"]
    assert ids(members(client, *there, "customers")) == ["c4"]


def test_today_s_rights_decide_about_the_past_too(client: Client) -> None:
    office = client.office
    as_of = office.ledger.height
    office.ok("boss", "handovers.correct", **client.handover_args("h1", "technical"))
    found = members(client, "organisations", "o1", "customers", "sun", as_of=as_of, fields=["name"])
    allowed = {record["record"]: record["fields"]["name"]["allowed"] for record in found["records"]}
    assert allowed == {"c1": True, "c2": True, "c3": False}
    row = office.row("accesses", "customers.c3.1")
    assert (row["action"], row["refused"], row["as_of"], row["by"]) == ("members", ["name"], as_of, "person:sun")


def test_who_may_read_nothing_of_the_owner_is_refused_and_that_is_on_the_record(client: Client) -> None:
    refused = members(client, "projects", "p1", "participations", "sun")
    assert (refused["allowed"], refused["code"], refused["records"]) == (False, "permission.denied", [])
    row = client.office.row("accesses", "projects.p1.1")
    assert (row["by"], row["action"], row["code"], row["of_table"]) == (
        "person:sun",
        "members",
        "permission.denied",
        "participations",
    )


def test_members_come_page_by_page(client: Client, monkeypatch: Any) -> None:
    first = members(client, "organisations", "o1", "customers", limit=2)
    second = members(client, "organisations", "o1", "customers", limit=2, after=first["next"])
    assert (ids(first), ids(second), second["next"]) == (["c1", "c2"], ["c3"], None)
    monkeypatch.setattr("contracts.reading.members.LOOKED_AT_MAX", 1)
    assert members(client, "organisations", "o1", "customers")["next"] == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"table": "payments"}, "access.no_members"),
        ({"of": "people"}, "access.no_members"),
        ({"record": "o9"}, "record.unknown"),
        ({"fields": ["salary"]}, "record.field_unknown"),
        ({"as_of": 1_000}, "access.future"),
        ({"as_of": 0}, "record.not_yet"),
        ({"of": "projects", "record": "p1", "table": "payments", "as_of": 1}, "access.no_versions"),
    ],
)
def test_members_are_refused_for(client: Client, changes: dict[str, Any], code: str) -> None:
    args = {"of": "organisations", "record": "o1", "table": "customers", **ARGS} | changes
    assert client.office.code("li", "access.members", **args) == code


def test_a_read_as_of_a_height_is_refused_for(client: Client) -> None:
    read = {"table": "customers", "record": "c1", "fields": ["*"], "purpose": "x"}
    code = client.office.code
    assert code("li", "access.read", **read, as_of=client.office.ledger.height + 1) == "access.future"
    assert code("li", "access.read", **read, as_of=0) == "record.not_yet"
    assert code("li", "access.read", **read | {"table": "people", "record": "li"}, as_of=0) == "access.no_versions"


def test_members_come_first_in_their_transaction(client: Client) -> None:
    args = {"of": "organisations", "record": "o1", "table": "customers", **ARGS}
    assert client.office.send("li", Call("access.login", {}), Call("access.members", args)).code == "call.position"


def test_the_new_tables_are_listed_by_sequence(client: Client) -> None:
    args = {"after": 0, "limit": 100, "fields": ["*"], "purpose": "x"}
    for table, expected in (
        ("organisations", ["o1", "o2"]),
        ("client_departments", ["d1", "d2"]),
        ("relations", ["l1", "l2"]),
        ("projects", ["p1"]),
        ("participations", ["t1", "t2"]),
    ):
        assert ids(client.office.ok("li", "access.list", table=table, **args)) == expected
    assert ids(client.office.ok("sun", "access.list", table="projects", **args)) == []


def test_a_customer_in_no_organisation_has_no_versions_kept(office: Office) -> None:
    office.register("c1")
    assert not office.view().has("versions", "customers.c1.1")


def test_the_largest_page_of_members_fits_into_a_receipt(office: Office) -> None:
    client = Client(office)
    client.organisation("o1")
    for number in range(105):
        client.customer(f"{number:0>64}", "o1")
    args = {"of": "organisations", "record": "o1", "table": "customers", **ARGS, "as_of": office.ledger.height}
    receipt = office.send("boss", Call("access.members", args))
    assert len(receipt.results[0]["records"]) == 100
    assert len(receipt.to_bytes()) < RECEIPT_BYTES_MAX / 4

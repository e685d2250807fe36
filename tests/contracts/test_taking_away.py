"""Exporting and matching: taking many records away, and learning that one is there, are accesses like reading."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.office import Office

LIST = {"table": "customers", "after": 0, "limit": 100, "fields": ["name", "phone"], "purpose": "report"}
EXPORT = LIST | {"intent": "export"}
MATCH = {"person": "li", "table": "customers", "field": "phone", "records": ["c1", "c2"], "purpose": "registration"}


@pytest.fixture
def stocked(office: Office) -> Office:
    office.register("c1", by="li")
    office.register("c2", by="wang", phone="+8613800000002")
    return office


def test_who_may_read_may_not_thereby_export(stocked: Office) -> None:
    assert [row["record"] for row in stocked.ok("li", "access.list", **LIST)["records"]] == ["c1"]
    assert stocked.ok("li", "access.list", **EXPORT) == {"records": [], "next": None}
    assert not stocked.may("li", "export", "c1", "name").allowed


def test_an_export_is_decided_field_by_field_and_recorded_as_such(stocked: Office) -> None:
    stocked.grant("g1", "person:li", actions=["export"], fields=["name"], purpose="report", scope="all")
    result = stocked.ok("li", "access.list", **EXPORT)
    assert [row["record"] for row in result["records"]] == ["c1", "c2"]
    for row in result["records"]:
        assert (row["fields"]["name"]["allowed"], row["fields"]["phone"]["allowed"]) == (True, False)
    row = stocked.row("accesses", "customers.c2.1")
    assert (row["action"], row["by"], row["purpose"]) == ("export", "person:li", "report")
    assert (row["allowed"], row["refused"]) == (["name"], ["phone"])
    assert stocked.ok("li", "access.list", **EXPORT | {"purpose": "private"})["records"] == []
    assert stocked.ok("boss", "access.list", **EXPORT)["records"][0]["fields"]["phone"]["allowed"]


def test_an_intent_is_to_list_unless_it_is_named(stocked: Office) -> None:
    stocked.ok("li", "access.list", **LIST | {"intent": None})
    assert stocked.row("accesses", "customers.c1.1")["action"] == "list"


def test_a_match_tells_only_who_may_read_the_field_and_is_recorded_as_theirs(stocked: Office) -> None:
    assert stocked.ok("node sales", "access.match", **MATCH)["records"] == ["c1"]
    row = stocked.row("accesses", "customers.c1.1")
    assert (row["by"], row["action"], row["purpose"], row["allowed"]) == (
        "person:li",
        "match",
        "registration",
        ["phone"],
    )
    assert stocked.view().get("accesses", "customers.c2.1") is None


@pytest.mark.parametrize(
    ("sender", "changes", "code"),
    [
        ("node finance", {}, "people.wrong_node"),
        ("li", {}, "keys.wrong_kind"),
        ("gateway g2", {}, "keys.wrong_kind"),
        ("node sales", {"person": "nobody"}, "people.unknown"),
        ("node sales", {"records": ["c9"]}, "record.unknown"),
        ("node sales", {"field": "salary"}, "record.field_unknown"),
        ("node sales", {"table": "things"}, "record.table_unknown"),
    ],
)
def test_a_match_is_refused_for(stocked: Office, sender: str, changes: dict[str, Any], code: str) -> None:
    assert stocked.code(sender, "access.match", **MATCH | changes) == code


def test_a_revoked_person_is_told_of_nothing(stocked: Office) -> None:
    stocked.ok("boss", "people.revoke", person="li")
    assert stocked.ok("node sales", "access.match", **MATCH)["records"] == []

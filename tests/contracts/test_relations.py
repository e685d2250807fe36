"""Relations between customers: who reports to, assists, influences, is at odds with whom."""

from __future__ import annotations

from typing import Any

import pytest

from chain.protocol import NEWEST
from chain.transaction import Call
from tests.contracts.client import Client, stocked_client
from tests.contracts.office import Office


def test_a_relation_joins_two_customers_with_a_weight(client: Client) -> None:
    row = client.office.row("relations", "l2")
    facts = {name: row[name] for name in ("from", "to", "kind", "weight", "status")}
    assert facts == {"from": "c3", "to": "c1", "kind": "reports_to", "weight": 60, "status": "active"}
    assert client.office.row("superiors", "c3") == {"relation": "l2", "to": "c1"}


@pytest.mark.parametrize(
    ("one", "kind", "other", "code"),
    [
        ("c1", "influences", "c1", "relation.self"),
        ("c1", "hates", "c2", "relation.kind_unknown"),
        ("c1", "reports_to", "c4", "relation.other_organisation"),
        ("c4", "assists", "c1", "relation.other_organisation"),
        ("c2", "reports_to", "c1", "relation.exists"),
        ("c2", "reports_to", "c3", "relation.second_superior"),
        ("c1", "reports_to", "c2", "relation.cycle"),
        ("c1", "influences", "c9", "record.unknown"),
    ],
)
def test_a_relation_is_refused_for(client: Client, one: str, kind: str, other: str, code: str) -> None:
    assert client.office.code("li", "relations.register", **client.relation_args("l9", one, kind, other)) == code


def test_a_customer_in_no_organisation_reports_to_nobody(client: Client) -> None:
    client.customer("c5", None)
    client.customer("c6", None)
    args = client.relation_args("l9", "c5", "reports_to", "c6")
    assert client.office.code("li", "relations.register", **args) == "relation.other_organisation"


def test_influence_and_quarrels_cross_organisations(client: Client) -> None:
    client.relation("l8", "c4", "influences", "c1")
    client.relation("l9", "c4", "at_odds_with", "c2")


def test_a_longer_circle_of_superiors_is_refused_too(client: Client) -> None:
    client.customer("c5")
    client.relation("l5", "c5", "reports_to", "c2")
    args = client.relation_args("l6", "c1", "reports_to", "c5")
    receipt = client.office.call("li", "relations.register", **args)
    assert (receipt.code, receipt.details["superior"]) == ("relation.cycle", "c5")


def test_a_person_gets_another_superior_by_one_transaction(client: Client) -> None:
    new = Call("relations.register", client.relation_args("l9", "c3", "reports_to", "c2"))
    assert client.office.send("li", Call("relations.close", {"relation": "l2", "version": 1}), new).is_ok
    assert client.office.row("superiors", "c3")["to"] == "c2"
    assert client.office.row("relations", "l2")["status"] == "closed"


def test_a_closed_relation_can_come_again_and_does_not_change(client: Client) -> None:
    client.office.ok("li", "relations.close", relation="l1", version=1)
    again = {"relation": "l1", "version": 2}
    assert client.office.code("li", "relations.close", **again) == "record.closed"
    assert client.office.code("li", "relations.update", **again, weight=1, fields={}) == "record.closed"
    client.relation("l9", "c2", "reports_to", "c1")


def test_weight_and_note_change_from_a_stated_version(client: Client) -> None:
    args: dict[str, Any] = {"relation": "l1", "version": 1, "weight": 90, "fields": {}}
    assert client.office.ok("li", "relations.update", **args)["version"] == 2
    assert client.office.row("relations", "l1")["weight"] == 90
    assert client.office.code("li", "relations.update", **args) == "record.version_conflict"
    assert client.office.code("rui", "relations.update", **args) == "permission.denied"


def test_a_customer_has_a_limit_of_relations(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("contracts.projects.relations.RELATIONS_MAX", 2)
    args = client.relation_args("l9", "c4", "influences", "c1")
    assert client.office.code("li", "relations.register", **args) == "record.limit"


def test_relations_are_for_who_has_to_do_with_one_of_the_customers(client: Client) -> None:
    client.customer("c7", "o2")
    args = client.relation_args("l9", "c4", "assists", "c7")
    assert client.office.code("wang", "relations.register", **args) == "permission.denied"
    assert client.office.code("sun", "relations.register", **args) == "permission.denied"
    client.office.ok("boss", "permissions.assign", table="customers", record="c7", subject="department:technical")
    assert client.office.code("sun", "relations.register", **args) == "ok"


def test_a_line_of_superiors_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many report to each other, a call walks up so far and no further."""
    monkeypatch.setattr("contracts.projects.membership.LEVELS_MAX", 2)
    for protocol, expected in ((NEWEST, "tree.too_deep"), (3, "ok")):
        client = stocked_client(Office(protocol=protocol))
        for customer in ("c5", "c6"):
            client.customer(customer)
        client.relation("l8", "c5", "reports_to", "c3")  # who reports to c1
        args = client.relation_args("l9", "c6", "reports_to", "c5")
        assert client.office.code("li", "relations.register", **args) == expected

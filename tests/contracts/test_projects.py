"""Projects travel from department to department; customers take part in them."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.deciding.policy import default_policy
from tests.contracts.client import Client, stocked_client
from tests.contracts.office import Office
from tests.contracts.test_organisations import close

WAY = [("li", "finance"), ("qian", "process"), ("zhao", "technical"), ("sun", "after_sales"), ("wu", "technical")]


def test_a_project_begins_with_sales_and_is_assigned_to_who_registers_it(client: Client) -> None:
    assert client.project("p2")["stage"] == "sales"
    row = client.office.row("projects", "p2")
    assert (row["organisation"], row["stage"], row["status"]) == ("o1", "sales", "active")
    assert list(client.office.row("assignments", "projects.p2")["subjects"]) == ["person:li"]


def test_a_project_is_registered_where_projects_begin_and_by_nobody_else(client: Client) -> None:
    args = {"project": "p2", "organisation": "o1", "fields": client.digests("projects", "p2", name="二期")}
    for sender in ("zhao", "qian", "sun", "rui"):
        assert client.office.code(sender, "projects.register", **args) == "permission.denied"
    assert client.office.code("li", "projects.register", **args | {"organisation": "o9"}) == "record.unknown"
    client.place("c4", None)
    assert close(client, "organisations", "o2") == "ok"
    assert client.office.code("li", "projects.register", **args | {"organisation": "o2"}) == "record.closed"
    assert client.office.code("boss", "projects.register", **args) == "ok"


def test_a_project_travels_to_neighbours_forward_and_back_with_a_note_each_time(client: Client) -> None:
    for number, (sender, to) in enumerate(WAY):
        result = client.hand_over(sender, f"h{number}", to)
        assert (result["stage"], result["kind"]) == (to, "back" if number == 4 else "forward")
    assert client.office.row("projects", "p1")["stage"] == "technical"
    handover = client.office.row("handovers", "h4")
    assert (handover["project"], handover["from"], handover["to"]) == ("p1", "after_sales", "technical")
    assert handover["fields"]["note"][0] == client.office.digest("h4", "note", "合同已签", "handovers")
    assert handover["registered"]["by"] == "person:wu"
    change = client.office.row("changes", "projects.p1.6")
    assert (change["facts"], change["department"]) == ({"stage": "technical"}, "after_sales")


@pytest.mark.parametrize(
    ("sender", "changes", "code"),
    [
        ("qian", {}, "project.not_owner"),
        ("boss", {}, "project.not_owner"),
        ("li", {"to": "process"}, "project.not_neighbour"),
        ("li", {"to": "sales"}, "project.not_neighbour"),
        ("li", {"to": "administration"}, "project.stage_unknown"),
        ("li", {"to": "marketing"}, "project.stage_unknown"),
        ("li", {"version": 9}, "record.version_conflict"),
        ("li", {"project": "p9"}, "record.unknown"),
        ("li", {"fields": {}}, "call.arguments"),
    ],
)
def test_a_hand_over_is_refused_for(client: Client, sender: str, changes: dict[str, Any], code: str) -> None:
    assert client.office.code(sender, "handovers.make", **client.handover_args("h1", "finance") | changes) == code


def test_a_hand_over_needs_its_note_and_a_new_id(client: Client) -> None:
    client.hand_over("li", "h1", "finance")
    args = client.handover_args("h1", "sales")
    assert client.office.code("qian", "handovers.make", **args) == "record.exists"
    text = client.digests("handovers", "h2", text="文")
    assert client.office.code("qian", "handovers.make", **args | {"handover": "h2", "fields": text}) == (
        "record.field_unknown"
    )


def test_an_auditor_of_the_owner_hands_nothing_over(client: Client) -> None:
    client.hand_over("li", "h1", "finance")
    assert client.office.code("rui", "handovers.make", **client.handover_args("h2", "sales")) == "permission.denied"


def test_a_correction_goes_anywhere_and_is_marked_as_one(client: Client) -> None:
    result = client.office.ok("boss", "handovers.correct", **client.handover_args("h1", "technical"))
    assert (result["kind"], result["stage"]) == ("correction", "technical")
    assert client.office.row("handovers", "h1")["kind"] == "correction"
    args = client.handover_args("h2", "technical")
    assert client.office.code("boss", "handovers.correct", **args) == "project.same_stage"
    args = client.handover_args("h2", "sales")
    for sender in ("clerk", "li", "sun"):
        assert client.office.code(sender, "handovers.correct", **args) == "permission.administrator_only"
    assert client.office.code("boss", "handovers.correct", **args | {"to": "nobody"}) == "project.stage_unknown"


def test_order_and_neighbours_come_from_the_policy(client: Client) -> None:
    policy = default_policy() | {"neighbours": ["technical", "sales", "process"]}
    client.office.ok("boss", "permissions.set_policy", policy=policy)
    args = client.handover_args("h1", "finance")
    assert client.office.code("li", "handovers.make", **args) == "project.stage_unknown"
    assert client.hand_over("li", "h1", "technical")["kind"] == "back"
    client.office.ok("boss", "permissions.set_policy", policy=policy | {"neighbours": []})
    register = {"project": "p2", "organisation": "o1", "fields": client.digests("projects", "p2", name="二期")}
    assert client.office.code("li", "projects.register", **register) == "project.stage_unknown"


def test_a_project_out_of_the_order_is_brought_back_by_a_correction(client: Client) -> None:
    policy = default_policy() | {"neighbours": ["finance", "process"]}
    client.office.ok("boss", "permissions.set_policy", policy=policy)
    args = client.handover_args("h1", "finance")
    assert client.office.code("li", "handovers.make", **args) == "project.not_neighbour"
    assert client.office.code("boss", "handovers.correct", **args) == "ok"


def test_a_project_is_closed_by_its_owner_once_nothing_is_open(client: Client) -> None:
    client.work("qian", "payments.register", "y1", project="p1", currency="CNY", due_ms=1)
    client.work("li", "demands.register", "n1", customer="c1", project="p1")
    assert close(client, "projects", "p1") == "record.in_use"
    client.office.ok("qian", "payments.cancel", payment="y1", version=1, fields={})
    assert close(client, "projects", "p1") == "record.in_use"
    client.office.ok("li", "demands.update", demand="n1", version=1, state="rejected", fields={})
    assert close(client, "projects", "p1", by="qian") == "permission.denied"
    client.office.ok("boss", "permissions.assign", table="projects", record="p1", subject="department:technical")
    assert close(client, "projects", "p1", by="sun") == "project.not_owner"
    assert close(client, "projects", "p1") == "ok"
    assert client.office.code("li", "handovers.make", **client.handover_args("h1", "finance")) == "record.closed"
    update = {"project": "p1", "version": 2, "fields": client.digests("projects", "p1", note="注")}
    assert client.office.code("li", "projects.update", **update) == "record.closed"
    reopen = {"demand": "n1", "version": 2, "state": "open", "fields": {}}
    assert client.office.code("li", "demands.update", **reopen) == "record.closed"


def test_an_administrator_closes_any_project(client: Client) -> None:
    assert close(client, "projects", "p1", by="boss") == "ok"
    args = {"customer": "c4", "version": 2, "organisation": "o1", "client_department": None}
    client.office.ok("li", "customers.place", **args)
    assert client.office.code("li", "participations.register", **client.part_args("t9", "c4")) == "record.closed"


def test_an_organisation_has_a_limit_of_projects(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("contracts.projects.projects.PROJECTS_MAX", 1)
    args = {"project": "p2", "organisation": "o1", "fields": client.digests("projects", "p2", name="二期")}
    assert client.office.code("li", "projects.register", **args) == "record.limit"


# Participations


def test_a_participation_says_role_right_weight_and_stance(client: Client) -> None:
    row = client.office.row("participations", "t1")
    part = {name: row[name] for name in ("project", "customer", "role", "right", "weight", "stance")}
    assert part == {
        "project": "p1",
        "customer": "c1",
        "role": "sponsor",
        "right": "decides",
        "weight": 80,
        "stance": "supports",
    }


@pytest.mark.parametrize(
    ("sender", "changes", "code"),
    [
        ("li", {"customer": "c4"}, "project.other_organisation"),
        ("li", {"customer": "c1"}, "participation.exists"),
        ("li", {"customer": "c9"}, "record.unknown"),
        ("li", {"project": "p9"}, "record.unknown"),
        ("wang", {}, "permission.denied"),
        ("zhao", {}, "permission.denied"),
    ],
)
def test_a_participation_is_refused_for(client: Client, sender: str, changes: dict[str, Any], code: str) -> None:
    args = client.part_args("t9", "c3") | changes
    assert client.office.code(sender, "participations.register", **args) == code


def test_nobody_brings_in_a_customer_whom_they_may_not_see(client: Client) -> None:
    """Else a department with a project could make every customer of the organisation its own."""
    client.office.ok("boss", "handovers.correct", **client.handover_args("h1", "technical"))
    args = client.part_args("t9", "c3")
    assert client.office.code("sun", "participations.register", **args) == "permission.denied"
    client.office.ok("boss", "permissions.assign", table="customers", record="c3", subject="department:technical")
    assert client.office.code("sun", "participations.register", **args) == "ok"


def test_nobody_makes_of_a_name_that_was_granted_the_whole_customer(client: Client) -> None:
    """Else whoever works on a project could read and change everybody of whom a single field was granted."""
    office = client.office
    office.ok("boss", "handovers.correct", **client.handover_args("h1", "technical"))
    office.grant("g1", "person:sun", scope="record:c3", fields=["name"])
    args = client.part_args("t9", "c3")
    assert office.code("sun", "participations.register", **args) == "permission.denied"
    assert not office.may("sun", "read", "c3", "phone").allowed
    office.grant("g2", "person:sun", scope="record:c3", fields=["phone", "position"])
    assert office.code("sun", "participations.register", **args) == "ok"


def test_what_no_project_opens_need_not_be_seen_by_who_brings_a_customer_in(client: Client) -> None:
    """The identifier, in the default policy, and here the position too."""
    office = client.office
    policy = office.row("policy", "current")["policy"]
    for rule in policy["rules"]:
        if rule["table"] == "customers" and rule["scope"] == "project":
            rule["fields"] = [field for field in rule["fields"] if field != "position"]
    office.ok("boss", "permissions.set_policy", policy=policy)
    office.ok("boss", "handovers.correct", **client.handover_args("h1", "technical"))
    office.grant("g1", "person:sun", scope="record:c3", fields=["name", "phone"])
    assert office.code("sun", "participations.register", **client.part_args("t9", "c3")) == "ok"


def test_a_number_that_a_project_opens_to_contact_is_one_that_is_opened(client: Client) -> None:
    office = client.office
    policy = office.row("policy", "current")["policy"]
    for rule in policy["rules"]:
        if rule["table"] == "customers" and rule["scope"] == "project" and rule["actions"] != ["contact"]:
            rule["fields"] = ["name"]
    office.ok("boss", "permissions.set_policy", policy=policy)
    office.ok("boss", "handovers.correct", **client.handover_args("h1", "technical"))
    office.grant("g1", "person:sun", scope="record:c3", fields=["name"])
    args = client.part_args("t9", "c3")
    assert office.code("sun", "participations.register", **args) == "permission.denied"
    office.grant("g2", "person:sun", scope="record:c3", fields=["phone"])
    assert office.code("sun", "participations.register", **args) == "ok"


def test_by_earlier_versions_of_the_rules_a_name_was_enough_to_bring_a_customer_in() -> None:
    client = stocked_client(Office(protocol=2))
    client.office.ok("boss", "handovers.correct", **client.handover_args("h1", "technical"))
    client.office.grant("g1", "person:sun", scope="record:c3", fields=["name"])
    assert client.office.code("sun", "participations.register", **client.part_args("t9", "c3")) == "ok"


def test_a_part_changes_and_ends_and_both_stay_in_the_history(client: Client) -> None:
    part = {"role": "gatekeeper", "right": "vetoes", "weight": 30, "stance": "opposes", "fields": {}}
    args = {"participation": "t1", "version": 1, **part}
    assert client.office.ok("li", "participations.update", **args)["version"] == 2
    change = client.office.row("changes", "participations.t1.2")
    assert change["facts"] == {"role": "gatekeeper", "right": "vetoes", "weight": 30, "stance": "opposes"}
    assert client.office.code("li", "participations.update", **args) == "record.version_conflict"
    client.office.ok("li", "participations.close", participation="t1", version=2)
    assert client.office.code("li", "participations.update", **args | {"version": 3}) == "record.closed"
    client.participate("t9", "c1")


def test_customers_and_projects_have_a_limit_of_participations(client: Client, monkeypatch: Any) -> None:
    args = client.part_args("t9", "c3")
    monkeypatch.setattr("contracts.projects.participations.PARTICIPANTS_MAX", 2)
    assert client.office.code("li", "participations.register", **args) == "record.limit"
    monkeypatch.setattr("contracts.projects.participations.PARTICIPANTS_MAX", 9)
    monkeypatch.setattr("contracts.projects.participations.PARTICIPATIONS_MAX", 0)
    assert client.office.code("li", "participations.register", **args) == "record.limit"

"""Customers and their projects: progress once it is granted, of the projects they take part in, and feedback."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.client import Client
from tests.contracts.office import Office
from tests.contracts.test_invitations import invitation, redeem

PURPOSE = {"purpose": "own"}


@pytest.fixture
def client(office: Office) -> Client:
    return enrolled_client(office)


def enrolled_client(office: Office) -> Client:
    """c1 takes part in p1 and has a key; p2 is a project of the same client without c1."""
    made = Client(office)
    made.organisation("o1")
    made.customer("c1")
    made.customer("c2")
    made.project("p1")
    made.project("p2")
    made.participate("d1", "c1")
    made.participate("d2", "c2", "p2")
    office.ok("boss", "customers.invite", **invitation(office))
    assert redeem(office) == "ok"
    return made


def grant(client: Client, name: str, table: str, scope: str = "all") -> None:
    client.office.grant(name, "person:c1", table=table, scope=scope)


def members(table: str = "progress", **changes: Any) -> dict[str, Any]:
    asked = {"of": "projects", "record": "p1", "table": table, "as_of": None, "after": 0, "limit": 9, "fields": ["*"]}
    return {**asked, **PURPOSE, **changes}


def test_a_customer_sees_own_projects_once_they_are_granted_and_no_others(client: Client) -> None:
    office = client.office
    assert office.ok("zhang", "access.own_projects", **PURPOSE)["projects"] == []
    grant(client, "g1", "projects")
    assert office.ok("zhang", "access.own_projects", **PURPOSE)["projects"] == ["p1"]
    read = {"table": "projects", "fields": ["*"], **PURPOSE}
    assert office.ok("zhang", "access.read", record="p1", **read)["fields"]["name"]["allowed"]
    assert not office.ok("zhang", "access.read", record="p2", **read)["fields"]["name"]["allowed"]
    assert office.row("accesses", "projects.p1.1")["action"] == "own"


def test_progress_of_own_projects_is_shown_once_it_is_granted(client: Client) -> None:
    office = client.office
    client.hand_over("li", "h1", "finance")
    client.work("qian", "progress.record", "e1", project="p1")
    assert office.ok("zhang", "access.members", **members())["allowed"] is False
    grant(client, "g1", "projects")
    (row,) = office.ok("zhang", "access.members", **members())["records"]
    assert (row["facts"]["stage"], row["fields"]["text"]["allowed"]) == ("finance", False)
    grant(client, "g2", "progress")
    (row,) = office.ok("zhang", "access.members", **members())["records"]
    assert row["fields"]["text"]["because"] == "grant:g2"
    assert office.ok("zhang", "access.members", **members(record="p2"))["allowed"] is False


def test_leaving_a_project_ends_it(client: Client) -> None:
    office = client.office
    grant(client, "g1", "projects")
    office.ok("li", "participations.close", participation="d1", version=1)
    assert office.ok("zhang", "access.own_projects", **PURPOSE)["projects"] == []


@pytest.mark.parametrize("table", ["participations", "payments", "demands", "handovers", "feedback"])
def test_what_departments_think_of_a_project_is_not_for_customers(client: Client, table: str) -> None:
    grant(client, "g1", "projects")
    grant(client, "g2", table)
    assert client.office.code("zhang", "access.members", **members(table)) == "permission.customer"
    if table in ("participations",):
        assert not client.office.may("c1", "read", "d1", None, table=table).allowed


FOREIGN = [
    ("participations", "d1"),
    ("participations", "d2"),
    ("customers", "c2"),
    ("projects", "p2"),
    ("payments", "y1"),
]


@pytest.mark.parametrize(("table", "record"), [*FOREIGN, ("projects", "p1"), ("handovers", "h1")])
def test_a_customer_is_told_no_facts_of_what_is_not_theirs_to_read(client: Client, table: str, record: str) -> None:
    """How they are thought to stand to a project, for one, or what somebody else's project costs when."""
    client.work("qian", "payments.register", "y1", project="p2", currency="CNY", due_ms=client.office.time_ms)
    client.hand_over("li", "h1", "finance")
    read = {"table": table, "record": record, "fields": ["*"], **PURPOSE}
    assert client.office.ok("zhang", "access.read", **read)["facts"] == {}
    if table in ("projects", "customers", "participations"):
        then = client.office.ledger.height
        assert client.office.ok("zhang", "access.read", **read, as_of=then)["facts"] == {}
    assert client.office.ok("boss", "access.read", **read)["facts"] != {}


def test_a_customer_is_told_the_facts_of_the_own_record_and_of_granted_projects(client: Client) -> None:
    own = {"table": "customers", "record": "c1", "fields": ["name"], **PURPOSE}
    assert client.office.ok("zhang", "access.read", **own)["facts"]["status"] == "valid"
    grant(client, "g1", "projects")
    project = {"table": "projects", "record": "p1", "fields": ["name"], **PURPOSE}
    assert client.office.ok("zhang", "access.read", **project)["facts"]["stage"] == "sales"


def test_by_earlier_versions_of_the_rules_facts_were_told_to_customers_too() -> None:
    earlier = enrolled_client(Office(protocol=2))
    read = {"table": "participations", "record": "d1", "fields": ["*"], **PURPOSE}
    assert earlier.office.ok("zhang", "access.read", **read)["facts"]["stance"] == "supports"


def test_a_customer_sends_feedback_and_reads_how_it_was_resolved_once_granted(client: Client) -> None:
    office = client.office
    client.work("zhang", "feedback.send", "f1", customer="c1", project="p1", correction=True)
    assert office.row("feedback", "f1")["own"] is True
    foreign = client.work_args("feedback.send", "f2", customer="c2", project=None, correction=False)
    assert office.code("zhang", "feedback.send", **foreign) == "feedback.author"
    resolution = client.digests("feedback", "f1", resolution="已更正")
    office.ok("boss", "feedback.resolve", feedback="f1", version=1, outcome="resolved", fields=resolution)
    read = {"table": "feedback", "record": "f1", "fields": ["resolution"], **PURPOSE}
    assert not office.ok("zhang", "access.read", **read)["fields"]["resolution"]["allowed"]
    grant(client, "g1", "feedback")
    assert office.ok("zhang", "access.read", **read)["fields"]["resolution"]["allowed"]


def test_colleagues_have_no_own_projects(client: Client) -> None:
    assert client.office.code("li", "access.own_projects", **PURPOSE) == "keys.wrong_kind"


def test_by_feedback_a_customer_hears_nothing_of_projects_and_customers_that_are_not_theirs(client: Client) -> None:
    office = client.office
    client.organisation("o7")
    client.project("p7", "o7")
    client.project("p8")
    office.ok("li", "projects.close", project="p8", version=1)
    for project in ("p2", "p7", "p8", "p9"):
        args = client.work_args("feedback.send", "f1", customer="c1", project=project, correction=False)
        receipt = office.call("zhang", "feedback.send", **args)
        assert (receipt.code, receipt.details) == ("record.unknown", {"table": "projects", "record": project})
    for customer in ("c2", "c99"):
        args = client.work_args("feedback.send", "f1", customer=customer, project=None, correction=False)
        assert office.code("zhang", "feedback.send", **args) == "feedback.author"
    client.work("clerk", "feedback.send", "f1", customer="c1", project="p2", correction=False)  # colleagues know


def test_by_earlier_versions_of_the_rules_feedback_told_which_organisation_a_project_is_of() -> None:
    client = enrolled_client(Office(protocol=3))
    client.organisation("o7")
    client.project("p7", "o7")
    args = client.work_args("feedback.send", "f1", customer="c1", project="p7", correction=False)
    assert client.office.call("zhang", "feedback.send", **args).details["expected"] == "o7"


def test_by_earlier_versions_of_the_rules_feedback_told_which_customers_there_are() -> None:
    client = enrolled_client(Office(protocol=3))
    for customer, expected in (("c2", "feedback.author"), ("c99", "record.unknown")):
        args = client.work_args("feedback.send", "f1", customer=customer, project=None, correction=False)
        assert client.office.code("zhang", "feedback.send", **args) == expected


def history(client: Client, table: str, record: str) -> Any:
    args = {"table": table, "record": record, "after": 0, "limit": 9, **PURPOSE}
    return client.office.ok("zhang", "access.history", **args)


def test_how_far_a_project_is_no_history_tells_a_customer_before_it_is_granted(client: Client) -> None:
    client.hand_over("li", "h1", "finance")
    client.work("qian", "progress.record", "r1", project="p1")
    for table, record in (("projects", "p1"), ("progress", "r1")):
        refused = history(client, table, record)
        assert (refused["allowed"], refused["code"], refused["rows"]) == (False, "permission.denied", [])
        grant(client, f"g-{record}", table)
        told = history(client, table, record)
        assert told["because"] == f"grant:g-{record}"
        assert told["rows"][-1]["facts"].items() >= {"stage": "finance"}.items()
        assert all("by" not in row for row in told["rows"])
    assert history(client, "projects", "p2")["rows"] == []
    assert history(client, "customers", "c1")["because"] == "own"


def test_by_earlier_versions_of_the_rules_the_history_told_it_to_whoever_took_part() -> None:
    client = enrolled_client(Office(protocol=3))
    client.hand_over("li", "h1", "finance")
    assert history(client, "projects", "p1")["rows"][-1]["facts"] == {"stage": "finance"}

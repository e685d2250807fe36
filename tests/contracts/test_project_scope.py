"""The scope "project": who gets to see what through projects and customers, and whose vault holds it."""

from __future__ import annotations

import pytest

from contracts.deciding.holders import holders
from contracts.deciding.reach import dependants
from tests.contracts.client import Client
from tests.contracts.office import Office

PEOPLE = ("li", "wang", "qian", "zhao", "sun", "wu")


def readers(client: Client, table: str, record: str, field: str) -> list[str]:
    return [person for person in PEOPLE if client.office.may(person, "read", record, field, table=table).allowed]


def test_each_department_sees_a_project_while_it_is_in_its_hands(client: Client) -> None:
    seen = []
    for number, (sender, to) in enumerate((("li", "finance"), ("qian", "process"), ("zhao", "technical"))):
        seen.append(readers(client, "projects", "p1", "name"))
        client.hand_over(sender, f"h{number}", to)
    seen.append(readers(client, "projects", "p1", "name"))
    # li registered it and stays assigned; finance read every project.
    assert seen == [["li", "wang", "qian"], ["li", "qian"], ["li", "qian", "zhao"], ["li", "qian", "sun"]]


@pytest.mark.parametrize(
    ("table", "record", "field"),
    [
        ("customers", "c1", "name"),
        ("organisations", "o1", "name"),
        ("client_departments", "d2", "name"),
        ("relations", "l2", "note"),
        ("participations", "t2", "note"),
        ("demands", "n1", "text"),
        ("demands", "n2", "text"),
        ("progress", "r1", "text"),
        ("handovers", "h0", "note"),
    ],
)
def test_what_belongs_to_a_project_goes_with_it_from_department_to_department(
    client: Client, table: str, record: str, field: str
) -> None:
    client.work("li", "demands.register", "n1", customer="c1", project="p1")
    client.work("li", "demands.register", "n2", customer="c1", project=None)
    client.work("qian", "progress.record", "r1", project="p1")
    client.hand_over("li", "h0", "finance")
    client.hand_over("qian", "h1", "process")
    for department, person, other in (("process", "zhao", "technical"), ("technical", "sun", "process")):
        view = client.office.view()
        assert client.office.may(person, "read", record, field, table=table).allowed
        assert department in holders(view, table, record, field)
        assert other not in holders(view, table, record, field)
        if department == "process":
            client.hand_over("zhao", "h2", "technical")


def test_the_rule_that_allowed_is_named(client: Client) -> None:
    client.office.ok("boss", "handovers.correct", **client.handover_args("h1", "technical"))
    decision = client.office.may("sun", "read", "c1", "name")
    assert decision.because == "rule:technical.customers.project"


def test_customers_who_take_no_part_are_not_reached_and_who_leaves_is_reached_no_more(client: Client) -> None:
    client.office.ok("boss", "handovers.correct", **client.handover_args("h1", "technical"))
    assert readers(client, "customers", "c3", "name") == ["li", "qian"]
    assert "sun" in readers(client, "customers", "c2", "name")
    client.office.ok("boss", "participations.close", participation="t2", version=1)
    assert "sun" not in readers(client, "customers", "c2", "name")
    assert "technical" not in holders(client.office.view(), "customers", "c2", "name")


@pytest.mark.parametrize("subject", ["department:technical", "person:sun"])
def test_an_assignment_of_a_project_or_customer_reaches_what_belongs_to_it(client: Client, subject: str) -> None:
    client.work("li", "demands.register", "n1", customer="c3", project=None)
    client.office.ok("boss", "permissions.assign", table="projects", record="p1", subject=subject)
    assert "sun" in readers(client, "customers", "c1", "name")
    assert "sun" in readers(client, "participations", "t1", "note")
    assert "sun" not in readers(client, "demands", "n1", "text")
    client.office.ok("boss", "permissions.assign", table="customers", record="c3", subject=subject)
    assert "sun" in readers(client, "demands", "n1", "text")
    assert "technical" in holders(client.office.view(), "demands", "n1", "text")
    client.office.ok("boss", "permissions.unassign", table="customers", record="c3", subject=subject)
    assert "technical" not in holders(client.office.view(), "demands", "n1", "text")


def test_sales_see_their_own_customers_only_also_in_a_project(client: Client) -> None:
    assert readers(client, "customers", "c1", "name") == ["li", "qian"]


def test_payments_stay_with_finance_wherever_the_project_is(client: Client) -> None:
    client.work("qian", "payments.register", "y1", project="p1", currency="CNY", due_ms=1)
    client.office.ok("boss", "handovers.correct", **client.handover_args("h1", "technical"))
    assert readers(client, "payments", "y1", "amount") == ["qian"]
    assert holders(client.office.view(), "payments", "y1", "amount") == ("administration", "finance")


def test_feedback_stays_with_the_administration(client: Client) -> None:
    client.work("boss", "feedback.send", "f1", customer="c1", project="p1", correction=False)
    assert holders(client.office.view(), "feedback", "f1", "text") == ("administration",)


def test_what_is_not_there_is_reached_by_nobody(office: Office) -> None:
    assert holders(office.view(), "payments", "y9", "amount") == ("administration", "finance")
    assert holders(office.view(), "demands", "n9", "text") == ("administration", "finance")
    for table in ("projects", "participations", "customers", "people"):
        assert list(dependants(office.view(), table, "x")) == []

"""What ends with a customer: relations, participations, demands, feedback; and what stays in nobody's way."""

from __future__ import annotations

import pytest

from chain.protocol import NEWEST
from contracts.erasing.endings import erased_together
from contracts.erasing.retention import is_due
from contracts.projects.membership import ties_of
from tests.contracts.client import Client, stocked_client
from tests.contracts.office import DAY_MS, Office

C1 = {"table": "customers", "record": "c1"}
TOGETHER = [
    ("customers", "c1"),
    ("relations", "l1"),
    ("relations", "l2"),
    ("participations", "t1"),
    ("demands", "m1"),
    ("feedback", "f1"),
]


def busy(client: Client) -> Client:
    """c1 with a demand and a feedback beside two relations and a participation."""
    client.work("li", "demands.register", "m1", customer="c1", project="p1")
    client.work("clerk", "feedback.send", "f1", customer="c1", project=None, correction=False)
    return client


def order(client: Client, **changes: str) -> dict[str, object]:
    result: dict[str, object] = client.office.ok("boss", "erasure.order", **(C1 | {"reason": "withdrawn"} | changes))
    return result


def test_what_says_something_about_the_person_is_erased_with_the_customer(client: Client) -> None:
    busy(client)
    assert list(erased_together(client.office.view(), "customers", "c1")) == TOGETHER
    assert order(client)["records"] == 6
    for number, (table, record) in enumerate(TOGETHER, 1):
        row = client.office.row(table, record)
        assert (row["fields"], row["erased"]["reason"]) == ({}, "withdrawn")
        assert row.get("status", row.get("state")) == "erased"
        erasure = client.office.row("erasures", f"{table}.{record}")
        assert (erasure["number"], len(erasure["waiting"])) == (number, 6)
    for table, record in (("customers", "c2"), ("projects", "p1"), ("participations", "t2"), ("organisations", "o1")):
        assert client.office.row(table, record)["fields"] != {}


def test_what_was_erased_names_ids_and_facts_as_before(client: Client) -> None:
    order(client)
    relation, part = client.office.row("relations", "l2"), client.office.row("participations", "t1")
    assert (relation["from"], relation["to"], relation["kind"], relation["weight"]) == ("c3", "c1", "reports_to", 60)
    assert (part["project"], part["customer"], part["right"]) == ("p1", "c1", "decides")


def test_an_erasure_leaves_nothing_in_the_way_of_others(client: Client) -> None:
    busy(client)
    order(client)
    view = client.office.view()
    assert ties_of(view, "customers", "c3")["relations"] == {}
    assert not view.has("superiors", "c3")
    client.place("c3", "o2")  # moves, though it reported to the erased customer
    client.relation("l9", "c3", "reports_to", "c4")
    version = client.office.row("projects", "p1")["version"]
    client.office.ok("boss", "projects.close", project="p1", version=version)  # the demand is not open any more


def test_members_of_a_project_are_listed_with_an_erased_participation_among_them(client: Client) -> None:
    order(client)
    args = {"of": "projects", "record": "p1", "table": "participations", "as_of": None, "after": 0, "limit": 10}
    listed = client.office.ok("boss", "access.members", **args, fields=["*"], purpose="check")["records"]
    assert [(record["record"], record["fields"] == {}) for record in listed] == [("t1", True), ("t2", False)]


def test_a_hold_on_what_would_go_along_stops_the_erasure_of_the_customer(client: Client) -> None:
    busy(client)
    client.office.ok("boss", "erasure.hold", table="demands", record="m1", reason="lawsuit")
    assert client.office.code("boss", "erasure.order", **C1, reason="withdrawn") == "erasure.held"
    client.office.ok("boss", "erasure.release", table="demands", record="m1", reason="settled")
    order(client)


def test_what_was_erased_by_itself_is_not_erased_again(client: Client) -> None:
    assert order(client, table="relations", record="l1")["records"] == 1
    assert client.office.row("customers", "c2")["fields"] != {}
    assert order(client)["records"] == 3


def test_a_change_of_what_goes_along_begins_the_customers_retention_period_anew() -> None:
    client = busy(stocked_client(Office(policy={"retention": {"customers": 30 * DAY_MS}})))
    office = client.office
    office.time_ms += 20 * DAY_MS
    office.ok("li", "demands.update", demand="m1", version=1, state="accepted", fields={})
    office.time_ms += 20 * DAY_MS
    assert not is_due(office.view(), "customers", "c1", office.time_ms)
    assert is_due(office.view(), "customers", "c2", office.time_ms)
    office.time_ms += 10 * DAY_MS
    assert is_due(office.view(), "customers", "c1", office.time_ms)
    office.ok("boss", "erasure.hold", table="demands", record="m1", reason="lawsuit")
    assert not is_due(office.view(), "customers", "c1", office.time_ms)


def version_of(client: Client, table: str, record: str) -> int:
    return int(client.office.row(table, record)["version"])


def test_an_open_payment_that_is_erased_does_not_keep_its_project_open_for_ever(client: Client) -> None:
    client.work("qian", "payments.register", "y1", project="p1", currency="CNY", due_ms=client.office.time_ms)
    order(client, table="payments", record="y1")
    client.office.ok("boss", "projects.close", project="p1", version=version_of(client, "projects", "p1"))


def test_a_payment_that_was_settled_is_counted_once_only_when_it_is_erased(client: Client) -> None:
    due_ms = client.office.time_ms
    for payment in ("y1", "y2"):
        client.work("qian", "payments.register", payment, project="p1", currency="CNY", due_ms=due_ms)
    client.office.ok("qian", "payments.settle", payment="y1", version=1, paid_ms=due_ms, fields={})
    order(client, table="payments", record="y1")
    close = {"project": "p1", "version": version_of(client, "projects", "p1")}
    assert client.office.code("boss", "projects.close", **close) == "record.in_use"


def test_a_project_that_is_erased_is_in_nobodys_hands_and_in_nobodys_way(client: Client) -> None:
    office = client.office
    client.hand_over("li", "h1", "finance")
    client.hand_over("qian", "h2", "process")
    reached = [("customers", "c1"), ("organisations", "o1"), ("client_departments", "d1"), ("relations", "l1")]
    assert all(office.may("zhao", "read", record, None, table=table).allowed for table, record in reached)
    order(client, table="projects", record="p1")
    assert not any(office.may("zhao", "read", record, None, table=table).allowed for table, record in reached)
    office.ok("li", "relations.close", relation="l1", version=1)
    client.place("c2", "o2")
    assert [ties_of(office.view(), "customers", customer)["projects"] for customer in ("c1", "c2")] == [{}, {}]
    for customer in ("c1", "c3"):
        order(client, record=customer)
    for department in ("d2", "d1"):
        office.ok("li", "client_departments.close", client_department=department, version=1)
    office.ok("li", "organisations.close", organisation="o1", version=1)


def test_a_closed_project_that_is_erased_leaves_the_hands_it_was_in_and_counts_no_second_time(client: Client) -> None:
    office = client.office
    client.project("p2")
    office.ok("li", "projects.close", project="p1", version=1)
    order(client, table="projects", record="p1")
    assert ties_of(office.view(), "customers", "c1")["projects"] == {}
    assert office.row("uses", "organisations.o1")["counts"]["projects"] == 1


def test_a_client_department_that_is_erased_keeps_nothing_above_it_open(client: Client) -> None:
    order(client, table="client_departments", record="d2")
    assert client.office.row("uses", "organisations.o1")["counts"]["client_departments"] == 1
    assert "client_departments" not in client.office.row("uses", "client_departments.d1")["counts"]


def test_by_earlier_versions_of_the_rules_they_stayed_in_the_way() -> None:
    client = stocked_client(Office(protocol=2))
    client.work("qian", "payments.register", "y1", project="p1", currency="CNY", due_ms=client.office.time_ms)
    order(client, table="payments", record="y1")
    close = {"project": "p1", "version": version_of(client, "projects", "p1")}
    assert client.office.code("boss", "projects.close", **close) == "record.in_use"
    order(client, table="projects", record="p1")
    assert list(ties_of(client.office.view(), "customers", "c1")["projects"]) == ["p1"]


def held(client: Client) -> Office:
    """c1 is held, with a demand, a feedback, a participation and relations."""
    office = busy(client).office
    office.ok("boss", "erasure.hold", **C1, reason="lawsuit")
    return office


@pytest.mark.parametrize(("table", "record"), [("demands", "m1"), ("feedback", "f1"), ("participations", "t1")])
def test_a_hold_on_a_customer_lies_on_what_is_the_customers_alone(client: Client, table: str, record: str) -> None:
    office, what = held(client), {"table": table, "record": record}
    refused = office.call("boss", "erasure.order", **what, reason="withdrawn")
    assert (refused.code, refused.details) == ("erasure.held", C1)  # what has to be released
    office.ok("boss", "erasure.hold", **what, reason="other_lawsuit")  # and may have one of its own
    office.ok("boss", "erasure.release", **C1, reason="settled")
    assert office.code("boss", "erasure.order", **what, reason="withdrawn") == "erasure.held"
    office.ok("boss", "erasure.release", **what, reason="settled")
    order(client, table=table, record=record)


def test_a_relation_is_two_customers_and_waits_for_no_hold_on_one_of_them(client: Client) -> None:
    held(client)
    order(client, table="relations", record="l1")
    order(client, record="c2")


def test_no_retention_period_erases_what_a_held_customer_asked_for() -> None:
    client = stocked_client(Office(policy={"retention": {"demands": DAY_MS}}))
    office = held(client)
    client.work("li", "demands.register", "m2", customer="c2", project=None)
    office.time_ms += 2 * DAY_MS
    view = office.view()
    assert [is_due(view, "demands", record, office.time_ms) for record in ("m1", "m2")] == [False, True]
    expire = {"table": "demands", "record": "m1"}
    assert office.code("node sales", "erasure.expire", **expire) == "erasure.held"
    office.ok("boss", "erasure.release", **C1, reason="settled")
    assert office.ok("node sales", "erasure.expire", **expire)["erased"]


def test_by_earlier_versions_of_the_rules_a_hold_lay_on_the_customers_record_alone() -> None:
    client = stocked_client(Office(protocol=3, policy={"retention": {"demands": DAY_MS}}))
    office = held(client)
    office.time_ms += 2 * DAY_MS
    assert is_due(office.view(), "demands", "m1", office.time_ms)
    order(client, table="demands", record="m1")


def test_a_customer_has_so_much_of_each_kind_as_is_erased_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contracts.projects.membership.MEMBERS_MAX", 2)
    for protocol, expected in ((NEWEST, "record.limit"), (3, "ok")):
        client = stocked_client(Office(protocol=protocol))
        client.customer("c5")
        for number in (1, 2):
            client.work("li", "demands.register", f"m{number}", customer="c5", project=None)
            client.work("clerk", "feedback.send", f"f{number}", customer="c5", project=None, correction=False)
            client.project(f"p{number + 4}")
            client.participate(f"t{number + 4}", "c5", project=f"p{number + 4}")
            client.relation(f"l{number + 4}", "c5", "influences", ("c2", "c4")[number - 1])
        order(client, table="demands", record="m1")  # counts still
        more = {"customer": "c5", "project": None}
        calls = [
            ("li", "demands.register", client.work_args("demands.register", "m3", **more)),
            ("clerk", "feedback.send", client.work_args("feedback.send", "f3", **more, correction=False)),
            ("li", "participations.register", client.part_args("t9", "c5")),
            ("li", "relations.register", client.relation_args("l9", "c3", "influences", "c5")),
        ]
        for sender, name, args in calls:
            assert client.office.code(sender, name, **args) == expected

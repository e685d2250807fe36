"""The scope of a grant: all records, the assigned ones, one project's, or one; and never any beyond it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.errors import KehuError
from contracts.deciding.entitlements import GRANTED_PROJECTS_MAX, add_grant
from contracts.deciding.holders import holders
from contracts.deciding.permissions import Case
from contracts.deciding.policy import default_policy
from contracts.deciding.subjects import subject_of_person
from tests.contracts.client import Client, stocked_client
from tests.contracts.office import Office
from tests.contracts.test_invitations import invitation, redeem

BELONGS = {
    "p1": {
        *(("customers", one) for one in ("c1", "c2")),
        ("organisations", "o1"),
        *(("client_departments", one) for one in ("d1", "d2")),
        *(("relations", one) for one in ("l1", "l2")),
        ("projects", "p1"),
        *(("participations", one) for one in ("t1", "t2")),
        *(("demands", one) for one in ("n1", "n2")),
        ("payments", "y1"),
        ("progress", "r1"),
        ("feedback", "f1"),
    },
    "p2": {
        ("customers", "c4"),
        ("organisations", "o2"),
        ("projects", "p2"),
        ("participations", "t4"),
        ("demands", "n4"),
    },
}
"""What is whose in `worked`, told by hand: two projects of two clients, and c3 with a demand and no project."""
ALONE = {("customers", "c3"), ("demands", "n3")}
EVERYTHING = sorted(BELONGS["p1"] | BELONGS["p2"] | ALONE)
GRANT = {"grant": "g", "subject": "person:wu", "actions": ["read"], "table": "customers", "scope": "project:p1"}
GRANT |= {"fields": ["*"], "purpose": "*", "expires_ms": None}


@pytest.fixture
def worked(office: Office) -> Client:
    return work(office)


def work(office: Office) -> Client:
    client = stocked_client(office)
    client.project("p2", "o2")
    client.participate("t4", "c4", "p2")
    for demand, customer, project in (("n1", "c1", "p1"), ("n2", "c2", None), ("n3", "c3", None), ("n4", "c4", "p2")):
        client.work("li", "demands.register", demand, customer=customer, project=project)
    client.work("qian", "payments.register", "y1", project="p1", currency="CNY", due_ms=1)
    client.work("qian", "progress.record", "r1", project="p1")
    client.work("boss", "feedback.send", "f1", customer="c1", project="p1", correction=False)
    return client


def seen(office: Office, person: str, action: str = "read", **more: Any) -> set[tuple[str, str]]:
    """The records of which this person may do something with any field."""
    return {one for one in EVERYTHING if office.may(person, action, one[1], None, table=one[0], **more).allowed}


def why(office: Office, person: str, record: str, **more: Any) -> Any:
    return office.ok("boss", "access.why", person=person, action="read", table="customers", record=record, **more)


def grounds(answer: Any) -> dict[str, tuple[list[str], list[str]]]:
    return {one["name"]: (one["misses"], one["ties"]) for one in answer["grounds"]}


# Scopes


def test_a_grant_on_a_project_is_for_everything_that_belongs_to_it_and_nothing_else(worked: Client) -> None:
    assert seen(worked.office, "wu") == set()
    worked.office.grant("g", "department:after_sales", table="*", scope="project:p1")
    assert seen(worked.office, "wu") == BELONGS["p1"]
    assert seen(worked.office, "wu", "change") == seen(worked.office, "sun") == set()
    assert worked.office.may("wu", "read", "y1", "amount", table="payments").because == "grant:g"
    worked.office.ok("boss", "permissions.revoke", grant="g")
    assert seen(worked.office, "wu") == set()


def test_a_grant_on_a_project_may_be_for_one_table_action_field_and_purpose(worked: Client) -> None:
    terms: dict[str, Any] = {"actions": ["contact"], "fields": ["phone"], "purpose": "installation"}
    worked.office.grant("g", "person:wu", table="customers", scope="project:p1", **terms)
    assert seen(worked.office, "wu", "contact", purpose="installation") == {("customers", "c1"), ("customers", "c2")}
    assert seen(worked.office, "wu", "contact", purpose="survey") == set()
    assert not worked.office.may("wu", "contact", "c1", "name", purpose="installation").allowed
    assert worked.office.may("wu", "contact", "c1", "phone", purpose="installation").because == "grant:g"


def test_who_joins_a_project_comes_under_its_grants_and_who_leaves_goes(worked: Client) -> None:
    office = worked.office
    office.grant("g", "person:wu", scope="project:p1")
    worked.participate("t3", "c3")
    assert office.may("wu", "read", "c3", "name").because == "grant:g"
    assert "after_sales" in holders(office.view(), "customers", "c3", "name")
    office.ok("boss", "participations.close", participation="t3", version=1)
    assert not office.may("wu", "read", "c3", "name").allowed
    assert "after_sales" not in holders(office.view(), "customers", "c3", "name")


def test_a_grant_on_what_is_assigned_goes_with_the_assignments_of_its_subject(worked: Client) -> None:
    office = worked.office
    office.grant("g1", "person:wu", actions=["export"], scope="assigned")
    office.grant("g2", "department:after_sales", table="*", actions=["export"], scope="assigned")
    assert seen(office, "wu", "export") == set()
    for table, record, subject in (("customers", "c3", "person:wu"), ("demands", "n4", "department:after_sales")):
        office.ok("boss", "permissions.assign", table=table, record=record, subject=subject)
    assert seen(office, "wu", "export") == {("customers", "c3"), ("demands", "n4")}
    assert office.may("wu", "export", "c3", "name").because == "grant:g1"
    office.ok("boss", "permissions.unassign", table="customers", record="c3", subject="person:wu")
    assert seen(office, "wu", "export") == {("demands", "n4")}
    office.ok("boss", "permissions.assign", table="customers", record="c1", subject="department:after_sales")
    assert office.may("wu", "export", "c1", "name").because == "grant:g2"


def test_a_grant_to_change_what_is_assigned_lets_its_subject_register_and_no_colleague(worked: Client) -> None:
    office = worked.office
    office.grant("g", "person:zhao", actions=["read", "change"], scope="assigned")
    assert office.may("zhao", "change", None, "name").because == "grant:g"
    office.grant("g2", "department:process", actions=["export"], scope="assigned")
    assert not office.may("zhao", "export", None, "name").allowed


def test_a_grant_to_change_within_a_project_covers_new_records_of_it_only(worked: Client) -> None:
    office, demand = worked.office, "demands.register"
    assert office.code("sun", demand, **worked.work_args(demand, "n5", customer="c1", project="p1")) != "ok"
    office.grant("g", "person:sun", table="demands", actions=["read", "change"], scope="project:p1")
    worked.work("sun", demand, "n5", customer="c1", project="p1")
    args = worked.work_args(demand, "n6", customer="c4", project="p2")
    assert office.code("sun", demand, **args) == "permission.denied"


def test_a_customers_grant_on_a_project_shows_no_more_than_their_own(office: Office) -> None:
    client = work(office)
    office.ok("boss", "customers.invite", **invitation(office))
    assert redeem(office) == "ok"
    client.office.grant("g", "person:c1", table="*", scope="project:p1")
    own = {("customers", "c1"), ("projects", "p1"), ("progress", "r1"), ("feedback", "f1")}
    assert seen(office, "c1") == own


# Refusals


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"scope": "project:p9"}, "record.unknown"),
        ({"scope": "record:c9"}, "record.unknown"),
        ({"table": "people"}, "grant.scope"),
        ({"table": "accesses"}, "grant.scope"),
        ({"table": "logins", "scope": "assigned"}, "grant.scope"),
        ({"table": "logins", "scope": "record:c1"}, "record.table_unknown"),
        ({"table": "*", "scope": "record:c1"}, "grant.table"),
        ({"table": "*", "fields": ["name"]}, "grant.table"),
        ({"scope": "department"}, "call.arguments"),
        ({"scope": "*"}, "call.arguments"),
    ],
)
def test_a_grant_whose_scope_can_not_be_is_refused(worked: Client, changes: dict[str, Any], code: str) -> None:
    assert worked.office.code("boss", "permissions.grant", **GRANT | changes) == code


def test_one_subject_has_grants_on_so_many_projects(worked: Client) -> None:
    office = worked.office
    office.grant("g1", "person:wu", scope="project:p2")
    assert office.row("granted_projects", "person:wu.customers") == {"projects": ["p2"]}
    view = office.view()
    full = [f"p2{number:04}" for number in range(GRANTED_PROJECTS_MAX)]
    view.put("granted_projects", "person:wu.customers", {"projects": full})
    with pytest.raises(KehuError) as caught:
        add_grant(view, "g2", GRANT, office.time_ms)
    assert (caught.value.code, caught.value.details["limit"]) == ("grant.limit", GRANTED_PROJECTS_MAX)


def test_the_end_of_a_project_ends_the_grants_on_it(worked: Client) -> None:
    office = worked.office
    for name, table in (("g1", "customers"), ("g2", "*"), ("g3", "projects")):
        office.grant(name, "person:wu", table=table, scope="project:p2")
    office.grant("g4", "person:wu", table="projects", scope="record:p2")
    office.ok("boss", "erasure.order", table="projects", record="p2", reason="mistake")
    assert [office.row("grants", f"g{number}")["status"] for number in range(1, 5)] == ["revoked"] * 4
    assert seen(office, "wu") == set()
    left = [
        table
        for table in ("subject_grants", "scope_grants", "granted_projects")
        for _ in office.ledger.state.scan(table)
    ]
    assert left == []
    assert office.code("boss", "permissions.grant", **GRANT | {"scope": "project:p2"}) == "record.erased"


# Explanations


def test_why_names_the_tie_that_is_missing(worked: Client) -> None:
    office = worked.office
    office.grant("g1", "person:wu", scope="project:p2")
    office.grant("g2", "department:after_sales", scope="assigned")
    office.grant("g3", "person:wu", scope="record:c4")
    answer = why(office, "wu", "c1", field="name")
    assert (answer["verdict"]["allowed"], answer["projects"], answer["assigned"]) == (False, ["p1"], ["person:li"])
    of_projects = [ground["ties"] for ground in answer["grounds"] if ground["name"].endswith("customers.project")]
    assert of_projects[0] == ["assignment:person:wu", "assignment:department:after_sales", "stage:after_sales"]
    assert {name: told for name, told in grounds(answer).items() if name.startswith("grant:")} == {
        "grant:g1": (["scope"], ["project:p2"]),
        "grant:g2": (["scope"], ["assignment:department:after_sales"]),
        "grant:g3": (["scope"], ["record:c4"]),
    }
    worked.participate("t5", "c3")
    office.grant("g4", "person:wu", scope="project:p1")
    answer = why(office, "wu", "c3", field="name")
    assert (answer["verdict"]["because"], grounds(answer)["grant:g4"]) == ("grant:g4", ([], []))


def test_why_names_revoked_and_expired_grants_that_would_have_allowed_it_first(worked: Client) -> None:
    office = worked.office
    office.grant("g1", "person:wu", scope="project:p1", fields=["name"])
    office.grant("g2", "department:after_sales", scope="record:c1", expires_ms=office.time_ms + 60_000)
    office.grant("g3", "person:wu", scope="project:p2", purpose="survey", actions=["export"])
    office.ok("boss", "permissions.revoke", grant="g1")
    revoked_ms, office.time_ms = office.time_ms, office.time_ms + 60_000
    office.grant("g4", "department:after_sales", scope="record:c1", fields=["note"])  # drops g2 from the indexes
    answer = why(office, "wu", "c1", field="name")
    assert grounds(answer)["grant:g1"] == (["revoked"], [])
    assert grounds(answer)["grant:g2"] == (["expired"], [])
    assert grounds(answer)["grant:g3"] == (["action", "purpose", "scope"], ["project:p2"])
    assert answer["grounds"][-1]["name"] == "grant:g3"
    (terms,) = (one["terms"] for one in answer["grounds"] if one["name"] == "grant:g1")
    assert (terms["revoked_ms"], terms["scope"]) == (revoked_ms, "project:p1")


# Properties

SUBJECTS = ("person:wu", "department:after_sales", "person:sun")
scopes = st.sampled_from(["all", "assigned", "project:p1", "project:p2"])
tables = st.sampled_from(["*", "customers", "demands", "projects"])
ends = st.sampled_from(["stays", "revoked", "expires"])
given_grants = st.lists(st.tuples(st.sampled_from(SUBJECTS), tables, scopes, ends), max_size=4)
ties = st.lists(st.tuples(st.sampled_from(EVERYTHING), st.sampled_from(SUBJECTS)), max_size=3, unique=True)


@pytest.fixture(scope="module")
def stocked_once() -> Client:
    """Shared by the examples of a property, each of which takes back what it grants and assigns."""
    client = work(Office())
    policy = default_policy()
    bare = [rule for rule in policy["rules"] if rule["department"] not in ("after_sales", "technical")]
    client.office.ok("boss", "permissions.set_policy", policy=policy | {"rules": bare})
    return client


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(given_grants, ties)
def test_a_scope_reaches_its_records_while_the_grant_lives_and_none_beyond(
    stocked_once: Client, granted: list[tuple[str, str, str, str]], tied: list[tuple[tuple[str, str], str]]
) -> None:
    office = stocked_once.office
    live, names, expires_ms = [], [], office.time_ms + 1_000_000
    for (table, record), subject in tied:
        office.ok("boss", "permissions.assign", table=table, record=record, subject=subject)
    for subject, table, scope, end in granted:
        names.append(f"g{office.time_ms}")
        office.grant(names[-1], subject, table=table, scope=scope, expires_ms=expires_ms if end == "expires" else None)
        if end == "revoked":
            office.ok("boss", "permissions.revoke", grant=names[-1])
        if end == "stays":
            live.append((subject, table, scope))
    office.time_ms = expires_ms
    view = office.view()
    for person, mine in (("wu", SUBJECTS[:2]), ("sun", SUBJECTS[2:])):
        expected = {one for of in live if of[0] in mine for one in reached_by(*of, tied)}
        assert seen(office, person) == expected
        department = {"wu": "after_sales", "sun": "technical"}[person]
        for table, record in EVERYTHING:
            field = default_policy()["tables"][table][0]
            is_held = department in holders(view, table, record, field, office.time_ms)
            assert is_held == ((table, record) in expected)
            horizon = Case(view, subject_of_person(view, person), "read", table, None, office.time_ms).horizon()
            if (table, record) in expected and not horizon.is_open:
                assigned = {to for one, to in tied if one == (table, record)} & set(horizon.assigned)
                assert assigned or any((table, record) in BELONGS[project] for project in horizon.projects)
    for name in names:
        office.call("boss", "permissions.revoke", grant=name)
    for (table, record), subject in tied:
        office.ok("boss", "permissions.unassign", table=table, record=record, subject=subject)


def reached_by(subject: str, table: str, scope: str, tied: list[tuple[tuple[str, str], str]]) -> set[tuple[str, str]]:
    """The records that a grant is for, told by hand."""
    if scope == "all":
        among = set(EVERYTHING)
    elif scope == "assigned":
        among = {record for record, to in tied if to == subject}
    else:
        among = BELONGS[scope.partition(":")[2]]
    return {one for one in among if table in ("*", one[0])}

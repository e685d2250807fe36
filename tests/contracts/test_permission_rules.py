"""The default policy, department by department, and what assignments and grants add to it."""

from __future__ import annotations

import pytest

from contracts.deciding.holders import holders
from contracts.deciding.permissions import Resource, may
from contracts.deciding.policy import default_policy
from contracts.deciding.subjects import Subject
from tests.contracts.office import Office

# person -> actions on c1, which is assigned to li of sales only
UNASSIGNED = {
    "boss": {"read", "change", "contact", "export"},
    "clerk": {"read", "change", "contact", "export"},
    "li": {"read", "change", "contact"},
    "wang": set(),
    "qian": {"read", "change", "contact"},
    "zhao": set(),
    "sun": set(),
    "wu": set(),
    "rui": set(),
}
# person -> what an assignment of c1 to the person's department adds
ASSIGNED_TO_DEPARTMENT = {
    "wang": set(),
    "zhao": {"read", "contact"},
    "sun": {"read", "change", "contact"},
    "wu": {"read", "change", "contact"},
}
ACTIONS = ("read", "change", "contact", "export")


def allowed(office: Office, person: str, field: str) -> set[str]:
    return {action for action in ACTIONS if office.may(person, action, "c1", field).allowed}


@pytest.mark.parametrize("person", sorted(UNASSIGNED))
def test_the_default_policy_gives_each_department_what_the_product_says(stocked: Office, person: str) -> None:
    assert allowed(stocked, person, "phone") == UNASSIGNED[person]
    assert allowed(stocked, person, "note") == UNASSIGNED[person] - ({"contact"} if person in ("li", "qian") else set())


@pytest.mark.parametrize("person", sorted(ASSIGNED_TO_DEPARTMENT))
def test_an_assignment_to_a_department_reaches_the_departments_that_work_by_it(stocked: Office, person: str) -> None:
    department = stocked.row("people", person)["department"]
    stocked.ok("boss", "permissions.assign", table="customers", record="c1", subject=f"department:{department}")
    assert allowed(stocked, person, "phone") == ASSIGNED_TO_DEPARTMENT[person]


@pytest.mark.parametrize("person", ["wang", "zhao", "sun", "wu"])
def test_an_assignment_to_a_person_reaches_that_person_until_it_ends(stocked: Office, person: str) -> None:
    assignment = {"table": "customers", "record": "c1", "subject": f"person:{person}"}
    stocked.ok("boss", "permissions.assign", **assignment)
    assert stocked.may(person, "read", "c1", "name").allowed
    stocked.ok("boss", "permissions.unassign", **assignment)
    assert not stocked.may(person, "read", "c1", "name").allowed


def test_the_identifier_is_read_by_the_administration_only(stocked: Office) -> None:
    reading = [person for person in UNASSIGNED if stocked.may(person, "read", "c1", "identifier").allowed]
    assert reading == ["boss", "clerk"]


def test_a_decision_names_the_rule_or_the_code(stocked: Office) -> None:
    assert stocked.may("li", "read", "c1", "name").because == "rule:sales.customers.assigned"
    assert stocked.may("boss", "export", "c1", "name").because == "rule:administration.*.all"
    denied = stocked.may("wang", "read", "c1", "name")
    assert (denied.allowed, denied.because, denied.code) == (False, None, "permission.denied")


def test_unknown_tables_fields_and_subjects_are_denied_with_their_own_codes(stocked: Office) -> None:
    assert stocked.may("boss", "read", "c1", "salary").code == "record.field_unknown"
    assert stocked.may("boss", "read", "x", "name", table="wishes").code == "record.table_unknown"
    resource, view = Resource("customers", "c1", "name"), stocked.view()
    for subject, code in (
        (Subject("node", "sales", "sales"), "keys.wrong_kind"),
        (Subject("gateway", "g1", "administration"), "keys.wrong_kind"),
        (Subject("person", "nobody", "administration", "administrator"), "people.unknown"),
    ):
        assert may(view, subject, "read", resource, stocked.time_ms).code == code


def test_what_a_subject_claims_about_itself_counts_for_nothing(stocked: Office) -> None:
    impostor = Subject("person", "wang", "administration", "administrator")
    decision = may(stocked.view(), impostor, "read", Resource("customers", "c1", "name"), stocked.time_ms)
    assert not decision.allowed


def test_a_revoked_person_or_one_without_a_key_may_nothing(stocked: Office) -> None:
    key = stocked.row("people", "qian")["keys"][0]
    stocked.ok("boss", "people.revoke_key", key=key)
    assert stocked.may("qian", "read", "c1", "name").code == "keys.revoked"
    stocked.ok("boss", "people.revoke", person="li")
    assert stocked.may("li", "read", "c1", "name").code == "people.revoked"


def test_an_auditor_has_only_what_is_granted(stocked: Office) -> None:
    assert not stocked.may("rui", "read", "c1", None).allowed
    stocked.grant("g", "person:rui", fields=["name"])
    assert stocked.may("rui", "read", "c1", "name").allowed
    assert not stocked.may("rui", "read", "c1", "phone").allowed


def test_registering_needs_a_rule_or_general_grant_to_change(office: Office) -> None:
    assert office.may("wang", "change", None, "name").allowed
    assert not office.may("zhao", "change", None, "name").allowed


# Holders


def test_holders_are_the_departments_whose_people_may_do_something(stocked: Office) -> None:
    view = stocked.view()
    assert holders(view, "customers", "c1", "name") == ("administration", "finance", "sales")
    assert holders(view, "people", "li", "name") == ("administration",)
    assert holders(view, "customers", "c1", "salary") == ()
    assert holders(view, "wishes", "w1", "name") == ()


def test_the_identifier_is_held_where_the_number_is_checked_before_contact(stocked: Office) -> None:
    assert holders(stocked.view(), "customers", "c1", "identifier") == ("administration", "finance", "sales")


def test_assignments_make_holders_where_a_rule_goes_by_them(stocked: Office) -> None:
    for subject in ("department:process", "person:sun", "department:sales"):
        stocked.ok("boss", "permissions.assign", table="customers", record="c1", subject=subject)
    view = stocked.view()
    assert holders(view, "customers", "c1", "name") == ("administration", "finance", "process", "sales", "technical")


def test_a_grant_makes_its_department_a_holder_of_its_fields_until_it_ends(stocked: Office) -> None:
    expires_ms = stocked.time_ms + 60_000
    stocked.grant("g1", "person:wu", fields=["name"], expires_ms=expires_ms)
    stocked.grant("g2", "department:process", scope="all", fields=["note"])
    view = stocked.view()
    assert "after_sales" in holders(view, "customers", "c1", "name")
    assert "after_sales" in holders(view, "customers", "c1", "name", expires_ms - 1)
    assert "after_sales" not in holders(view, "customers", "c1", "name", expires_ms)
    assert "after_sales" not in holders(view, "customers", "c1", "phone")
    assert "process" in holders(view, "customers", "c1", "note")
    stocked.ok("boss", "permissions.revoke", grant="g2")
    assert "process" not in holders(stocked.view(), "customers", "c1", "note")


def test_a_revoked_person_makes_no_holder(stocked: Office) -> None:
    stocked.grant("g1", "person:wu")
    stocked.ok("boss", "people.revoke", person="wu")
    stocked.ok("boss", "people.revoke", person="li")
    assert holders(stocked.view(), "customers", "c1", "name") == ("administration", "finance")


def test_the_default_policy_leaves_out_departments_that_are_not_there() -> None:
    policy = default_policy(("administration", "sales", "finance", "legal"))
    assert {rule["department"] for rule in policy["rules"]} == {"administration", "sales", "finance"}
    assert policy["neighbours"] == ["sales", "finance"]

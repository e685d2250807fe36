"""What a change of permissions changes: counted without going through every record, and the same as if one did."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.state import View
from contracts.base import ACTIONS
from contracts.deciding.differences import differences
from contracts.deciding.permissions import Resource, may
from contracts.deciding.policy import default_policy
from contracts.deciding.subjects import subject_of_person
from tests.contracts.office import PEOPLE, Office
from tests.contracts.test_contract_properties import FIELDS, SUBJECTS, grants, rules

RECORDS = [f"c{number}" for number in range(1, 6)]


def office_with(policy_rules: list[Any], given_grants: list[Any], assigned: list[tuple[str, str]]) -> Office:
    office = Office()
    for record in RECORDS:
        office.register(record)
    for record, subject in assigned:
        office.call("boss", "permissions.assign", table="customers", record=record, subject=subject)
    for number, grant in enumerate(given_grants):
        purpose = "*" if "change" in grant["actions"] else grant["purpose"]
        office.grant(f"g{number}", **grant | {"purpose": purpose})
    office.ok("boss", "permissions.set_policy", policy=default_policy() | {"rules": policy_rules})
    return office


def by_hand(before: View, after: View, person: str, purpose: str | None, time_ms: int) -> Counter[Any]:
    """(action, field, gained or lost) -> records, record by record."""
    found: Counter[Any] = Counter()
    for record in RECORDS:
        for action in ACTIONS:
            for field in default_policy()["tables"]["customers"]:
                resource = Resource("customers", record, field, purpose)
                was, will = (
                    may(view, subject_of_person(before, person), action, resource, time_ms).allowed
                    for view in (before, after)
                )
                found[action, field, "gained"] += will and not was
                found[action, field, "lost"] += was and not will
    return +found


def tied_to(views: tuple[View, View], person: str) -> list[str]:
    mine = {f"person:{person}", f"department:{PEOPLE[person][0]}"}
    return [
        record
        for record in RECORDS
        if any(
            mine & set((view.get(table, f"customers.{key}") or {"subjects": []})["subjects"])
            for view in views
            for table, key in (("assignments", record), ("scope_grants", f"record:{record}"))
        )
    ]


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(
    st.lists(rules, max_size=4),
    st.lists(grants, max_size=4),
    st.lists(st.tuples(st.sampled_from(RECORDS), st.sampled_from(SUBJECTS)), max_size=4),
    grants,
    st.sampled_from(sorted(PEOPLE)),
    st.sampled_from([None, "sale"]),
)
def test_counting_by_ties_is_counting_record_by_record(
    policy_rules: list[Any],
    given_grants: list[Any],
    assigned: list[tuple[str, str]],
    change: dict[str, Any],
    person: str,
    purpose: str | None,
) -> None:
    office = office_with(policy_rules, given_grants, assigned)
    before = View(dict(office.ledger.state.items()).get)
    office.grant("new", **change | {"purpose": "*" if "change" in change["actions"] else change["purpose"]})
    if given_grants:
        office.ok("boss", "permissions.revoke", grant="g0")
    after = office.view()
    tied = tied_to((before, after), person)
    subject = subject_of_person(before, person)
    found = differences(before, after, subject, "customers", tied, len(RECORDS) - len(tied), purpose, office.time_ms)
    counted: Counter[Any] = Counter()
    for one in found:
        counted[one.action, one.field, "gained"] += one.gained
        counted[one.action, one.field, "lost"] += one.lost
    assert +counted == by_hand(before, after, person, purpose, office.time_ms)
    assert {one.field for one in found} <= {*FIELDS, *default_policy()["tables"]["customers"]}

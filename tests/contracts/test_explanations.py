"""Why: an explanation has the decision's verdict and names what makes or misses it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.receipt import RECEIPT_BYTES_MAX
from contracts.deciding.explanations import GROUNDS_MAX, explain
from contracts.deciding.permissions import Case, Resource, may
from contracts.deciding.subjects import subject_of_person
from tests.contracts.office import PEOPLE, Office
from tests.contracts.test_contract_properties import RECORDS, SUBJECTS, grants, questions, rules, stock


def why(office: Office, sender: str, person: str, **changes: Any) -> Any:
    args = {"person": person, "action": "read", "table": "customers", "record": "c1"} | changes
    return office.ok(sender, "access.why", **args)


def misses(answer: Any) -> dict[str, list[str]]:
    return {ground["name"]: ground["misses"] for ground in answer["grounds"]}


def test_what_is_allowed_names_the_rule_that_fits_and_what_the_others_miss(stocked: Office) -> None:
    answer = why(stocked, "boss", "li", field="name")
    assert answer["verdict"] == {"allowed": True, "because": "rule:sales.customers.assigned", "code": "ok"}
    assert [(ground["name"], ground["misses"]) for ground in answer["grounds"]] == [
        ("rule:sales.customers.assigned", []),
        ("rule:sales.customers.assigned", ["action", "field"]),
    ]
    assert answer["assigned"] == ["person:li"]


def test_what_is_refused_says_what_each_rule_and_grant_misses(stocked: Office) -> None:
    stocked.grant("g1", "person:wang", fields=["note"], purpose="survey")
    stocked.grant("g2", "department:sales", actions=["contact"], scope="all", expires_ms=stocked.time_ms + 5_000)
    stocked.time_ms += 5_000
    answer = why(stocked, "boss", "wang", field="phone", purpose="sale")
    assert answer["verdict"] == {"allowed": False, "because": None, "code": "permission.denied"}
    assert misses(answer)["rule:sales.customers.assigned"] in (["scope"], ["action", "scope"])
    assert misses(answer)["grant:g1"] == ["purpose", "field"]
    assert misses(answer)["grant:g2"] == ["action", "expired"]
    (terms,) = (ground["terms"] for ground in answer["grounds"] if ground["name"] == "grant:g1")
    assert (terms["fields"], terms["scope"], terms["revoked_ms"]) == (["note"], "record:c1", None)


def test_an_auditor_misses_the_role_and_a_revoked_person_has_no_say(stocked: Office) -> None:
    assert all("role" in found for found in misses(why(stocked, "boss", "rui")).values())
    stocked.ok("boss", "people.revoke", person="wang")
    answer = why(stocked, "boss", "wang")
    assert (answer["verdict"]["code"], answer["grounds"]) == ("people.revoked", [])


def test_every_record_is_asked_about_by_a_star(stocked: Office) -> None:
    assert why(stocked, "boss", "qian", record="*")["verdict"]["allowed"] is True
    assert why(stocked, "boss", "li", record="*")["verdict"]["allowed"] is False
    assert why(stocked, "boss", "boss", table="logins", record="*")["verdict"]["allowed"] is True


def test_people_ask_about_themselves_and_administrators_about_anybody(stocked: Office) -> None:
    assert why(stocked, "li", "li")["allowed"] is True
    for sender in ("wang", "clerk", "rui"):
        refused = why(stocked, sender, "li")
        assert (refused["allowed"], refused["code"]) == (False, "permission.administrator_only")
        assert (refused["verdict"], refused["grounds"], refused["assigned"]) == (None, [], [])


def test_asking_why_is_an_access_refused_or_not(stocked: Office) -> None:
    why(stocked, "boss", "li", field="name")
    why(stocked, "wang", "li")
    first, second = (stocked.row("accesses", f"people.li.{number}") for number in (1, 2))
    assert (first["by"], first["action"], first["code"]) == ("person:boss", "why", "ok")
    assert first["about"] == {"action": "read", "table": "customers", "record": "c1", "field": "name", "purpose": None}
    assert (second["by"], second["code"]) == ("person:wang", "permission.administrator_only")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"person": "nobody"}, "people.unknown"),
        ({"record": "c9"}, "record.unknown"),
        ({"table": "nothing"}, "record.table_unknown"),
    ],
)
def test_a_question_about_what_is_not_there_fails(stocked: Office, changes: dict[str, Any], code: str) -> None:
    args = {"person": "li", "action": "read", "table": "customers", "record": "c1"} | changes
    assert stocked.code("boss", "access.why", **args) == code


def test_of_many_grounds_the_deciding_one_is_told_and_the_rest_counted(stocked: Office) -> None:
    every = [f"f{number:0>31}" for number in range(23)]
    policy = stocked.row("policy", "current")["policy"]
    policy["tables"]["customers"] = [*policy["tables"]["customers"], *every]
    stocked.ok("boss", "permissions.set_policy", policy=policy)
    for number in range(60):
        for subject in ("person:wang", "department:sales"):
            stocked.grant(f"{subject.partition(':')[2]}{number:0>50}", subject, fields=every)
    stocked.grant("zz", "department:sales", fields=["name"])
    args = {"person": "wang", "action": "read", "table": "customers", "record": "c1", "field": "name"}
    receipt = stocked.call("boss", "access.why", **args)
    answer = receipt.results[0]
    assert (answer["grounds"][0]["name"], len(answer["grounds"])) == ("grant:zz", GROUNDS_MAX)
    assert answer["left_out"] == 2 + 121 - GROUNDS_MAX
    assert len(receipt.to_bytes()) < RECEIPT_BYTES_MAX / 2


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    st.lists(rules, max_size=4),
    st.lists(grants, max_size=6),
    st.lists(st.tuples(st.sampled_from(RECORDS), st.sampled_from(SUBJECTS)), max_size=4),
    st.sampled_from(sorted(PEOPLE)),
    st.lists(questions, min_size=20, max_size=20),
    st.sampled_from([0, 600_000]),
)
def test_an_explanation_never_differs_from_the_decision_and_the_horizon_includes_what_is_allowed(
    policy_rules: list[Any],
    given_grants: list[Any],
    assigned: list[tuple[str, str]],
    revoked: str,
    asked: list[Any],
    later_ms: int,
) -> None:
    office = stock(policy_rules, given_grants, assigned, revoked)
    view, time_ms = office.view(), office.time_ms + later_ms
    for person, action, record, field, purpose in asked:
        subject = subject_of_person(view, person)
        resource = Resource("customers", record, field, purpose)
        decision = may(view, subject, action, resource, time_ms)
        explanation = explain(view, subject, action, resource, time_ms)
        assert explanation.decision == decision
        fitting = [ground.name for ground in explanation.grounds if not ground.misses]
        assert decision.because == (fitting[0] if fitting else None)
        assert decision.allowed == bool(fitting)
        horizon = Case(view, subject, action, "customers", purpose, time_ms).horizon()
        if decision.allowed and not horizon.is_open:
            tied = (view.get("assignments", f"customers.{record}") or {"subjects": {}})["subjects"]
            granted = (view.get("scope_grants", f"customers.record:{record}") or {"subjects": []})["subjects"]
            assert set(tied) & set(horizon.assigned) or set(granted) & set(horizon.granted)

"""However many rules and grants a subject has: the first that covers a field decides, and it takes no longer."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from contracts.deciding.entitlements import covers
from contracts.deciding.permissions import Case
from contracts.deciding.policy import rule_name
from contracts.deciding.subjects import subject_of_person
from tests.contracts.client import Client
from tests.contracts.office import Office

FIELDS = ["name", "phone", "position", "email", "note"]
ASKED = {"table": "customers", "after": 0, "limit": 100, "fields": FIELDS, "purpose": "x"}


def grant(office: Office, name: str, **terms: Any) -> None:
    terms = {"actions": ["read"], "table": "customers", "purpose": "*", "expires_ms": None, **terms}
    office.ok("boss", "permissions.grant", grant=name, **terms)


def calls_made(work: Callable[[], object]) -> int:
    """How many calls of functions it takes."""
    count = 0

    def note(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("scope", ["all", "assigned"])
def test_a_list_takes_no_longer_for_grants_of_which_none_covers_what_is_asked(scope: str) -> None:
    office = Office()
    client = Client(office)
    for number in range(40):
        client.customer(f"c{number}", None)
        office.ok("boss", "permissions.assign", table="customers", record=f"c{number}", subject="department:sales")
    grant(office, "g0", subject="department:sales", scope=scope, fields=["identifier"])
    before = calls_made(lambda: office.call("wang", "access.list", **ASKED))
    for number in range(1, 60):
        grant(office, f"g{number}", subject="department:sales", scope=scope, fields=["identifier"])
    assert calls_made(lambda: office.call("wang", "access.list", **ASKED)) < 1.2 * before


def test_a_list_looks_at_the_grants_of_a_project_once_however_many_customers_take_part_in_it() -> None:
    office = Office()
    client = Client(office)
    client.organisation("o1")
    client.project("p1", by="boss")
    for number in range(30):
        client.customer(f"c{number}")
        client.participate(f"t{number}", f"c{number}")
    ask = {**ASKED, "fields": ["name"]}
    before = calls_made(lambda: office.call("sun", "access.list", **ask))
    for number in range(60):
        grant(office, f"g{number}", subject="person:sun", scope="project:p1", fields=["identifier"])
    assert calls_made(lambda: office.call("sun", "access.list", **ask)) < 1.4 * before


@pytest.mark.parametrize("seed", range(20))
def test_the_first_rule_or_grant_that_covers_the_field_and_has_the_record_in_its_scope_decides(seed: int) -> None:
    chosen = random.Random(seed)
    office = Office()
    client = Client(office)
    customers = [f"c{number}" for number in range(4)]
    client.organisation("o1")
    client.project("p1")
    for customer in customers:
        client.customer(customer)
    client.participate("t1", "c3")
    for customer in customers[:2]:
        office.ok("boss", "permissions.assign", table="customers", record=customer, subject="person:sun")
    office.ok("boss", "permissions.assign", table="customers", record="c2", subject="department:technical")
    for number in range(12):
        fields = chosen.choice([["*"], *[chosen.sample(FIELDS, chosen.randint(1, 3))] * 4])
        scope = chosen.choice(["all", "assigned", "assigned", "project:p1", f"record:{chosen.choice(customers)}"])
        subject = chosen.choice(["person:sun", "department:technical"])
        grant(office, f"g{number}", subject=subject, scope=scope, fields=fields)
    case = Case(office.view(), subject_of_person(office.view(), "sun"), "read", "customers", "x", office.time_ms)
    for customer in customers:
        for field in (*FIELDS, None):
            found = [
                rule_name(rule)
                for rule, misses in case.say.my_rules
                if not misses and covers(rule["fields"], field) and case.is_in_scope(rule["scope"], customer)
            ]
            found += [one.name for one in case.grants_about(customer) if covers(one.terms["fields"], field)]
            assert case.decide(customer, field).because == (found[0] if found else None)

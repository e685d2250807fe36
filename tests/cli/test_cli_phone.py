"""`kehu phone`: sweeps and the history of answers, over real HTTP, contracts and carrier simulator."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from tests.cli.conftest import Kehu
from tests.cli.office import Office

NUMBERS = count(13_500_000_000)


def number() -> str:
    return str(next(NUMBERS))


def add(kehu: Kehu, phone: str, *more: str, as_: str = "li") -> str:
    kehu.json("carrier", "set", "activate", phone)
    return str(kehu.json("customer", "add", "name=司马光", f"phone={phone}", *more, as_=as_)["customer"])


def age_all(office: Office, days: int) -> None:
    """Time passes: every answer is so much older."""
    office.chain.ahead_ms += days * 86_400_000


def test_a_sweep_checks_who_is_due_and_then_nobody_is(kehu: Kehu, office: Office) -> None:
    phones = [number() for _ in range(6)]
    customers = [add(kehu, phone) for phone in phones]
    assert kehu.json("phone", "sweep", as_="li") | {"sweep_age_ms": 0} == {
        "is_dry_run": False, "due": 0, "asked": 0, "valid": 0, "temporary": 0, "invalid": 0, "no_answer": 0,
        "recent": 0, "failed": [], "left": 0, "customers": [], "sweep_age_ms": 0,
    }  # fmt: skip
    kehu.json("carrier", "set", "reassign", phones[0])
    kehu.json("carrier", "set", "suspend", phones[1])
    age_all(office, 8)
    planned = kehu.json("phone", "sweep", "--dry-run", as_="li")
    assert (planned["due"], planned["asked"], planned["left"]) == (6, 0, 6)
    assert [item["customer"] for item in planned["customers"]] == customers
    first = kehu.json("phone", "sweep", "--limit", "4", as_="li")
    assert (first["due"], first["asked"], first["left"]) == (6, 4, 2)
    assert (first["valid"], first["invalid"]) == (2, 2)
    assert {item["customer"]: item["reason"] for item in first["customers"] if item["status"] == "invalid"} == {
        customers[0]: "reassigned",
        customers[1]: "unavailable",
    }
    rest = kehu.json("phone", "sweep", as_="li")
    assert (rest["due"], rest["valid"], rest["left"]) == (2, 2, 0)
    assert kehu.json("phone", "sweep", as_="li")["due"] == 0


def test_a_sweep_covers_what_its_person_may_have_checked(kehu: Kehu, office: Office) -> None:
    add(kehu, number(), as_="wang")
    age_all(office, 8)
    assert "司马光" not in kehu("phone", "sweep", "--dry-run", as_="zhao").out
    assert kehu.json("phone", "sweep", "--dry-run", as_="zhao")["due"] == 0
    assert kehu.json("phone", "sweep", "--dry-run", as_="wang")["due"] == 1
    assert kehu.problem("phone", "sweep", as_="shen", exit=1)["code"] == "auth.role"


def test_without_an_answer_a_sweep_is_partial_and_everybody_stays_due(kehu: Kehu, office: Office) -> None:
    from node.carrier.simulator.faults import FaultOrder

    customer = add(kehu, number())
    age_all(office, 8)
    office.simulator.faults.add(FaultOrder(kind="fail"))
    try:
        swept = kehu.json("phone", "sweep", as_="li", exit=9)
        shown = kehu("phone", "sweep", as_="li")
    finally:
        office.simulator.faults.clear()
    mine = next(item for item in swept["customers"] if item["customer"] == customer)
    assert (mine["status"], mine["no_answer_reason"]) == ("valid", "server_error")
    assert (shown.exit, "server_error" in shown.out) == (9, True)
    again = kehu.json("phone", "sweep", as_="li")
    assert again["valid"] + again["invalid"] == again["due"] >= 1
    assert again["no_answer"] == 0


def test_a_sweep_of_some_does_not_stay_with_those_who_get_no_answer(kehu: Kehu, office: Office) -> None:
    """A number that went to another operator never gets an answer, and stays due."""
    phones = [number() for _ in range(3)]
    customers = [add(kehu, phone) for phone in phones]
    kehu.json("carrier", "set", "port-out", phones[0])
    kehu.json("carrier", "set", "port-out", phones[1])
    age_all(office, 8)
    others = kehu.json("phone", "sweep", "--dry-run", as_="li")["due"] - 3
    asked: set[str] = set()
    for _ in range(others + 3):
        swept = kehu("phone", "sweep", "--limit", "1", "--json", as_="li")
        asked.update(item["customer"] for item in json.loads(swept.out)["customers"])
    assert asked >= set(customers)
    for phone in phones[:2]:
        kehu.json("carrier", "set", "port-in", phone)
    assert kehu.json("phone", "sweep", as_="li")["no_answer"] == 0


def test_a_sweep_waits_for_as_long_as_the_carrier_asks(
    kehu: Kehu, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The carrier answers a few and then wants to be left alone for seconds; nobody is lost by that."""
    from node.carrier.simulator.faults import RateLimit

    customers = [add(kehu, number()) for _ in range(3)]
    age_all(office, 8)
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        office.simulator.limit = RateLimit()
        office.platform._held_until = 0.0

    office.simulator.limit = RateLimit(0.05, 1)
    monkeypatch.setattr("cli.sweeping.asyncio.sleep", sleep)
    swept = kehu.json("phone", "sweep", as_="li")
    assert swept["no_answer"] == 0
    assert {item["customer"] for item in swept["customers"] if item["status"] == "valid"} >= set(customers)
    assert waited
    assert 1 <= min(waited) <= max(waited) <= 20


def test_the_history_shows_every_answer_and_who_asked(kehu: Kehu, office: Office) -> None:
    phone = number()
    customer = add(kehu, phone)
    kehu.json("phone", "check", customer, as_="li")
    kehu.json("carrier", "set", "reassign", phone)
    kehu.json("phone", "check", customer, as_="admin")
    shown = kehu.json("phone", "history", customer, as_="li")
    rows = [(row["outcome"], row["status"], row["asked_by"], row["agreed"]) for row in shown["answers"]]
    assert rows == [
        ("found", "valid", "person:li", True),
        ("found", "valid", "person:li", True),
        ("found", "invalid", "person:admin", True),
    ]
    assert {row["carrier"] for row in shown["answers"]} == {"simulator"}
    page = kehu.json("phone", "history", customer, "--after", "1", "--limit", "1", as_="li")
    assert ([row["number"] for row in page["answers"]], page["next"]) == ([2], 2)
    printed = kehu("phone", "history", customer, as_="li")
    assert (printed.exit, "reassigned" in printed.out, phone in printed.out) == (0, True, False)


def test_reading_the_history_is_permitted_and_recorded(kehu: Kehu) -> None:
    customer = add(kehu, number())
    refused = kehu.json("phone", "history", customer, as_="wang", exit=1)
    assert (refused["allowed"], refused["code"], refused["answers"]) == (False, "permission.denied", [])
    assert kehu.json("phone", "history", customer, as_="shen", exit=0)["allowed"] is True
    accesses: list[dict[str, Any]] = kehu.json("customer", "history", customer, "--kind", "accesses", as_="admin")[
        "rows"
    ]
    assert [(row["by"], row["kind"], row["code"]) for row in accesses] == [
        ("person:wang", "answers", "permission.denied"),
        ("person:shen", "answers", "ok"),
    ]


def test_a_field_that_the_policy_does_not_know_is_said_before_the_carrier_is_asked(kehu: Kehu, office: Office) -> None:
    from node.carrier.simulator.faults import FaultOrder

    customer, phone = add(kehu, number()), number()
    office.simulator.faults.add(FaultOrder(kind="fail"))  # whoever is asked now gives no answer
    try:
        added = kehu.problem("customer", "add", "name=司马光", f"phone={phone}", "wechat=sima", as_="li", exit=1)
        changed = kehu.problem("customer", "update", customer, f"phone={phone}", "wechat=sima", as_="li", exit=1)
    finally:
        office.simulator.faults.clear()
    assert (added["code"], changed["code"]) == ("record.field_unknown",) * 2

"""The phone rule in the dialect that names no identifier, its days, several gateways at once, and who asked."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.deciding.policy import default_policy
from contracts.people.phone_status import Standing, judge
from tests.contracts.office import DAY_MS, MINUTE_MS, Office

SAME, OTHER = b"i" * 32, b"o" * 32
VALID, UNAVAILABLE = Standing("valid", None, SAME), Standing("invalid", "unavailable", SAME)
REASSIGNED, TEMPORARY = Standing("invalid", "reassigned", SAME), Standing("temporary", None, None)
NAMELESS, NAMELESS_GONE = Standing("valid", None, None), Standing("invalid", "reassigned", None)
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("now", "outcome", "then"),
    [
        (VALID, "same", VALID),
        (VALID, "changed", REASSIGNED),
        (NAMELESS, "same", NAMELESS),
        (NAMELESS, "changed", NAMELESS_GONE),
        (NAMELESS, "none", Standing("invalid", "unavailable", None)),
        (NAMELESS, "no_answer", NAMELESS),
        (TEMPORARY, "same", NAMELESS),
        (TEMPORARY, "changed", TEMPORARY),
        (UNAVAILABLE, "same", VALID),
        (UNAVAILABLE, "changed", REASSIGNED),
        (REASSIGNED, "same", REASSIGNED),
        (REASSIGNED, "changed", REASSIGNED),
    ],
)
def test_a_dated_answer_changes_the_status_as_the_table_says(now: Standing, outcome: str, then: Standing) -> None:
    assert judge(now, outcome, None) == then


def test_a_first_identifier_makes_a_nameless_customer_an_identified_one() -> None:
    assert judge(NAMELESS, "found", OTHER) == Standing("valid", None, OTHER)


def register(office: Office, *attestations: Any, temporary: bool = False) -> Any:
    args: dict[str, Any] = {"customer": "c1", "fields": office.fields("c1", name="欧阳娜娜", phone="+8613800000001")}
    value = [one.to_value() for one in attestations] or None
    return office.call("li", "customers.register", **args, attestation=value, temporary=temporary)


def hear(office: Office, sender: str = "gateway g1", **answer: Any) -> dict[str, Any]:
    attestation = office.attest("c1", **answer).to_value()
    result: dict[str, Any] = office.ok(sender, "phone.record", attestation=attestation)
    return result


@pytest.fixture
def nameless(office: Office) -> Office:
    """With c1, whom Number Recycling confirmed on the day of registration."""
    assert register(office, office.attest("c1", outcome="same")).results[0]["status"] == "valid"
    return office


def day_of(office: Office) -> int:
    return int(office.row("customers", "c1")["trusted_ms"] // DAY_MS)


def test_a_number_in_service_on_the_day_of_registration_is_valid_without_an_identifier(nameless: Office) -> None:
    record = nameless.row("customers", "c1")
    assert "identifier" not in record["fields"]
    assert record["checked_ms"] == record["trusted_ms"] == nameless.time_ms
    answer = nameless.row("answers", "c1.1")
    assert (answer["outcome"], answer["since_day"], answer["status"]) == ("same", day_of(nameless), "valid")
    assert nameless.ok("li", "access.contact", customer="c1", purpose="x")["outcome"] == "released"


def test_a_number_nobody_had_on_that_day_is_refused_or_temporary_as_chosen(office: Office) -> None:
    assert register(office, office.attest("c1", outcome="changed")).code == "phone.no_identifier"
    receipt = register(office, office.attest("c1", outcome="changed"), temporary=True)
    assert receipt.results[0]["status"] == "temporary"
    assert hear(office, outcome="changed")["status"] == "temporary"
    assert hear(office, outcome="same")["status"] == "valid"


def test_a_change_since_the_last_confirmation_is_a_reassignment(nameless: Office) -> None:
    registered = day_of(nameless)
    nameless.time_ms += 30 * DAY_MS
    assert hear(nameless, outcome="same", since_day=registered)["status"] == "valid"
    confirmed = day_of(nameless)
    assert confirmed == registered + 30
    nameless.time_ms += 30 * DAY_MS
    assert hear(nameless, outcome="changed", since_day=confirmed)["reason"] == "reassigned"
    assert hear(nameless, outcome="same", since_day=confirmed)["reason"] == "reassigned"


@pytest.mark.parametrize("outcome", ["same", "changed"])
@pytest.mark.parametrize("days", [-1, 1, 30])
def test_an_answer_about_another_day_than_that_of_the_last_confirmation_does_not_count(
    nameless: Office, outcome: Any, days: int
) -> None:
    confirmed_ms = nameless.row("customers", "c1")["trusted_ms"]
    # 22:13 UTC: it is already the next day in China, and no day before this one anywhere.
    assert confirmed_ms % DAY_MS // HOUR_MS == 22
    nameless.time_ms += 30 * DAY_MS
    attestation = nameless.attest("c1", outcome=outcome, since_day=confirmed_ms // DAY_MS + days).to_value()
    expected = "ok" if days == 1 else "attestation.other_day"
    assert nameless.code("gateway g1", "phone.record", attestation=attestation) == expected


def test_a_new_number_is_asked_about_for_today_only(office: Office) -> None:
    yesterday = office.time_ms // DAY_MS - 1
    assert register(office, office.attest("c1", outcome="same", since_day=yesterday)).code == "attestation.other_day"


def test_no_answer_leaves_the_day_as_it_was(nameless: Office) -> None:
    trusted_ms = nameless.row("customers", "c1")["trusted_ms"]
    nameless.time_ms += DAY_MS
    assert hear(nameless, outcome="no_answer")["status"] == "valid"
    assert nameless.row("customers", "c1")["trusted_ms"] == trusted_ms


def test_a_confirmation_by_identifier_moves_the_day_too(stocked: Office) -> None:
    stocked.time_ms += 3 * DAY_MS
    hear(stocked)
    trusted_ms = stocked.row("customers", "c1")["trusted_ms"]
    assert trusted_ms == stocked.time_ms
    stocked.time_ms += 3 * DAY_MS
    assert hear(stocked, outcome="same", since_day=trusted_ms // DAY_MS)["status"] == "valid"
    assert stocked.row("customers", "c1")["fields"]["identifier"] == [stocked.identifier("c1", "subscriber-1"), 1]


def test_a_first_identifier_is_taken_only_while_the_confirmation_is_fresh(nameless: Office) -> None:
    nameless.time_ms += 2 * DAY_MS
    checked_ms = nameless.row("customers", "c1")["checked_ms"]
    late = hear(nameless, identifier="somebody")
    assert (late["status"], late["version"]) == ("valid", 1)
    assert nameless.row("customers", "c1")["checked_ms"] == checked_ms
    assert nameless.row("answers", "c1.2")["agreed"] is False
    hear(nameless, outcome="same", since_day=checked_ms // DAY_MS)
    assert hear(nameless, identifier="subscriber-1") | {"answer": 0} == {
        "customer": "c1",
        "status": "valid",
        "reason": None,
        "version": 2,
        "answer": 0,
    }
    nameless.time_ms += MINUTE_MS  # until then it could be the first one under another salt
    assert hear(nameless, identifier="somebody")["reason"] == "reassigned"


# Several gateways in one call


def require_two(office: Office) -> None:
    policy = default_policy()
    policy["phone"]["gateways_required"] = 2
    office.ok("boss", "permissions.set_policy", policy=policy)


def test_where_two_gateways_are_required_a_customer_comes_with_two_that_agree(office: Office) -> None:
    require_two(office)
    first, second = office.attest("c1"), office.attest("c1", gateway="g2")
    assert register(office, first).code == "phone.no_identifier"
    other = office.attest("c1", gateway="g2", identifier="somebody else")
    assert register(office, first, other).code == "phone.no_identifier"
    assert register(office, first, second).results[0]["status"] == "valid"
    assert [office.row("answers", f"c1.{number}")["agreed"] for number in (1, 2)] == [False, True]


def test_the_same_gateway_twice_is_one_gateway(office: Office) -> None:
    require_two(office)
    assert register(office, office.attest("c1", age_ms=1), office.attest("c1")).code == "phone.no_identifier"


def test_two_answers_in_one_record_count_together(stocked: Office) -> None:
    require_two(stocked)
    both = [stocked.attest("c1", outcome="none", gateway=gateway).to_value() for gateway in ("g1", "g2")]
    result = stocked.ok("gateway g1", "phone.record", attestation=both)
    assert (result["reason"], result["answer"]) == ("unavailable", 3)


def test_a_list_is_about_one_customer_and_bounded(stocked: Office) -> None:
    stocked.register("c2", phone="+8613800000002")
    mixed = [stocked.attest("c1").to_value(), stocked.attest("c2", "+8613800000002").to_value()]
    assert stocked.code("gateway g1", "phone.record", attestation=mixed) == "attestation.other_customer"
    many = [stocked.attest("c1").to_value()] * 17
    assert stocked.code("gateway g1", "phone.record", attestation=many) == "call.arguments"
    assert stocked.code("gateway g1", "phone.record", attestation=[[], []]) == "codec.shape"


# Who asked


def test_every_answer_names_who_brought_it_and_who_asked(stocked: Office) -> None:
    assert stocked.row("answers", "c1.1")["asked_by"] == "person:li"
    attestation = stocked.attest("c1").to_value()
    stocked.ok("gateway g1", "phone.record", attestation=attestation, asked_by="boss")
    hear(stocked)
    hear(stocked, sender="li")
    rows = [stocked.row("answers", f"c1.{number}") for number in (2, 3, 4)]
    assert [(row["by"], row["asked_by"]) for row in rows] == [
        ("gateway:g1", "person:boss"),
        ("gateway:g1", None),
        ("person:li", "person:li"),
    ]


def test_a_gateway_speaks_for_people_of_its_own_department_only(stocked: Office) -> None:
    attestation = stocked.attest("c1").to_value()
    for person, code in (("li", "people.wrong_node"), ("nobody", "people.unknown")):
        args = {"attestation": attestation, "asked_by": person}
        assert stocked.code("gateway g1", "phone.record", **args) == code


def test_a_number_out_of_service_does_not_come_back_by_an_identifier_that_nobody_knew(nameless: Office) -> None:
    day = day_of(nameless)
    assert hear(nameless, outcome="none")["reason"] == "unavailable"
    checked_ms = nameless.row("customers", "c1")["checked_ms"]
    strangers = hear(nameless, identifier="somebody")
    assert (strangers["status"], strangers["reason"], strangers["version"]) == ("invalid", "unavailable", 1)
    assert nameless.row("answers", "c1.3")["agreed"] is False
    assert nameless.row("customers", "c1")["checked_ms"] == checked_ms
    assert hear(nameless, outcome="same", since_day=day)["status"] == "valid"
    assert hear(nameless, identifier="subscriber-1")["version"] == 2


def test_by_earlier_versions_of_the_rules_it_was_believed_to_be_the_customers() -> None:
    office = Office(protocol=3)
    assert register(office, office.attest("c1", outcome="same")).is_ok
    hear(office, outcome="none")
    assert hear(office, identifier="somebody")["status"] == "valid"

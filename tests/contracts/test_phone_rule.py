"""The phone-identity rule, line by line, and how contact depends on it."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.deciding.policy import default_policy
from contracts.departments.features import ANSWERS_IN_ORDER
from contracts.people.phone_status import Standing, judge
from tests.contracts.office import DAY_MS, Office

SAME, OTHER, FIRST = b"i" * 32, b"o" * 32, None
VALID, UNAVAILABLE = Standing("valid", None, SAME), Standing("invalid", "unavailable", SAME)
REASSIGNED, TEMPORARY = Standing("invalid", "reassigned", SAME), Standing("temporary", None, FIRST)


@pytest.mark.parametrize(
    ("now", "outcome", "identifier", "then"),
    [
        (VALID, "found", SAME, VALID),
        (VALID, "found", OTHER, REASSIGNED),
        (VALID, "none", None, UNAVAILABLE),
        (VALID, "no_answer", None, VALID),
        (TEMPORARY, "found", SAME, VALID),
        (TEMPORARY, "none", None, TEMPORARY),
        (TEMPORARY, "no_answer", None, TEMPORARY),
        (UNAVAILABLE, "found", SAME, VALID),
        (UNAVAILABLE, "found", OTHER, REASSIGNED),
        (UNAVAILABLE, "none", None, UNAVAILABLE),
        (UNAVAILABLE, "no_answer", None, UNAVAILABLE),
        (REASSIGNED, "found", SAME, REASSIGNED),
        (REASSIGNED, "found", OTHER, REASSIGNED),
        (REASSIGNED, "none", None, REASSIGNED),
        (REASSIGNED, "no_answer", None, REASSIGNED),
    ],
)
def test_an_answer_changes_the_status_as_the_table_says(
    now: Standing, outcome: str, identifier: bytes | None, then: Standing
) -> None:
    assert judge(now, outcome, identifier) == then


def hear(office: Office, customer: str = "c1", sender: str = "gateway g1", **answer: Any) -> dict[str, Any]:
    attestation = office.attest(customer, **answer)
    result: dict[str, Any] = office.ok(sender, "phone.record", attestation=attestation.to_value())
    return result


def register(office: Office, attestation: Any, temporary: bool) -> Any:
    fields = office.fields("c1", name="张三", phone="+8613800000001")
    args = {"customer": "c1", "fields": fields, "attestation": attestation, "temporary": temporary}
    return office.call("li", "customers.register", **args)


@pytest.mark.parametrize("outcome", ["none", "no_answer", None])
def test_without_an_identifier_a_customer_is_refused_or_temporary_as_chosen(office: Office, outcome: Any) -> None:
    attestation = None if outcome is None else office.attest("c1", outcome=outcome).to_value()
    assert register(office, attestation, temporary=False).code == "phone.no_identifier"
    attestation = None if outcome is None else office.attest("c1", outcome=outcome).to_value()
    assert register(office, attestation, temporary=True).results[0]["status"] == "temporary"
    record = office.row("customers", "c1")
    assert record["answers"] == (0 if outcome is None else 1)
    assert (record["checked_ms"] is None) == (outcome != "none")


def test_an_identifier_makes_a_customer_valid_even_if_temporary_was_allowed(office: Office) -> None:
    receipt = register(office, office.attest("c1").to_value(), temporary=True)
    assert receipt.results[0]["status"] == "valid"


def test_a_temporary_customer_becomes_valid_at_the_first_identifier_which_is_a_change(office: Office) -> None:
    register(office, None, temporary=True)
    result = hear(office)
    assert result == {"customer": "c1", "status": "valid", "reason": None, "version": 2, "answer": 1}
    assert office.row("customers", "c1")["fields"]["identifier"] == [office.identifier("c1", "subscriber-1"), 2]
    change = office.row("changes", "customers.c1.2")
    assert (change["by"], change["fields"]) == ("gateway:g1", ["identifier"])


def test_a_number_that_fell_silent_is_valid_again_when_the_same_subscriber_is_back(stocked: Office) -> None:
    assert hear(stocked, outcome="none")["reason"] == "unavailable"
    assert hear(stocked) | {"answer": 0} == {
        "customer": "c1",
        "status": "valid",
        "reason": None,
        "version": 1,
        "answer": 0,
    }


def test_a_reassigned_number_ends_only_with_the_new_number_and_its_own_answer(stocked: Office) -> None:
    assert hear(stocked, identifier="somebody else")["reason"] == "reassigned"
    assert hear(stocked)["reason"] == "reassigned"
    new = "+8613900000002"
    args = {"customer": "c1", "version": 1, "fields": stocked.fields("c1", phone=new), "temporary": True}
    for attestation in (None, stocked.attest("c1", new, outcome="no_answer").to_value()):
        assert stocked.code("li", "customers.change_phone", **args, attestation=attestation) == "phone.answer_needed"
    attestation = stocked.attest("c1", new, "subscriber-2").to_value()
    assert stocked.ok("li", "customers.change_phone", **args, attestation=attestation)["status"] == "valid"
    assert hear(stocked, phone=new, identifier="subscriber-2")["status"] == "valid"


def test_no_answer_changes_nothing_but_is_recorded(stocked: Office) -> None:
    checked_ms = stocked.row("customers", "c1")["checked_ms"]
    assert hear(stocked, outcome="no_answer")["status"] == "valid"
    record, answer = stocked.row("customers", "c1"), stocked.row("answers", "c1.2")
    assert (record["checked_ms"], record["answers"]) == (checked_ms, 2)
    assert (answer["outcome"], answer["agreed"], answer["carrier"]) == ("no_answer", False, "carrier-1")


def test_answers_are_brought_by_gateways_nodes_and_who_may_change_the_number(stocked: Office) -> None:
    for sender in ("gateway g2", "node finance", "li", "boss"):
        assert hear(stocked, sender=sender)["status"] == "valid"
    attestation = stocked.attest("c1").to_value()
    assert stocked.code("wang", "phone.record", attestation=attestation) == "permission.denied"


def test_where_two_gateways_must_agree_one_alone_decides_nothing(stocked: Office) -> None:
    policy = default_policy()
    policy["phone"]["gateways_required"] = 2
    stocked.ok("boss", "permissions.set_policy", policy=policy)
    assert hear(stocked, outcome="none")["status"] == "valid"
    assert hear(stocked, outcome="none")["status"] == "valid"
    assert hear(stocked, sender="gateway g2", gateway="g2", identifier="new")["status"] == "valid"
    assert hear(stocked, sender="gateway g2", gateway="g2", outcome="none")["reason"] == "unavailable"
    stocked.time_ms += policy["phone"]["attestation_age_ms_max"] + 1
    assert hear(stocked)["status"] == "invalid"
    stocked.ok("boss", "gateways.revoke", gateway="g1")
    assert hear(stocked, sender="gateway g2", gateway="g2")["status"] == "invalid"


def test_what_gateways_said_about_the_old_number_does_not_count_for_the_new(stocked: Office) -> None:
    policy = default_policy()
    policy["phone"]["gateways_required"] = 2
    stocked.ok("boss", "permissions.set_policy", policy=policy)
    new = "+8613900000002"
    args = {"customer": "c1", "version": 1, "fields": stocked.fields("c1", phone=new), "temporary": True}
    assert stocked.ok("li", "customers.change_phone", **args, attestation=None)["status"] == "temporary"
    assert hear(stocked, sender="gateway g2", gateway="g2", phone=new)["status"] == "temporary"
    assert hear(stocked, phone=new)["status"] == "valid"


def test_an_answer_that_comes_late_does_not_undo_a_later_one_of_another_gateway(stocked: Office) -> None:
    assert late_after_none(stocked) == {"status": "invalid", "reason": "unavailable"}
    row = stocked.row("answers", "c1.3")
    assert (row["outcome"], row["agreed"], row["status"]) == ("found", False, "invalid")
    assert stocked.row("customers", "c1")["checked_ms"] == stocked.row("answers", "c1.2")["asked_ms"]
    assert hear(stocked, gateway="g2")["status"] == "valid"


def test_before_version_3_the_last_answer_that_came_counted() -> None:
    office = Office(protocol=ANSWERS_IN_ORDER - 1)
    office.register("c1")
    assert late_after_none(office) == {"status": "valid", "reason": None}


def late_after_none(office: Office) -> dict[str, Any]:
    """What g2 heard before g1 heard that the number is out of use, and brings after it."""
    office.time_ms += DAY_MS
    assert hear(office, outcome="none")["reason"] == "unavailable"
    late = hear(office, sender="gateway g2", gateway="g2", age_ms=5_000)
    return {name: late[name] for name in ("status", "reason")}


# A first identifier


def test_two_first_answers_under_salts_of_their_own_are_no_reassignment(office: Office) -> None:
    """Two departments' nodes ask about a temporary customer at once, and each draws a salt for the identifier."""
    assert two_first_answers(office) == ("valid", None)
    assert office.row("answers", "c1.2")["agreed"] is False
    office.time_ms += 60_000
    assert hear(office, gateway="g2")["status"] == "valid"
    assert hear(office, gateway="g2", identifier="subscriber-2")["reason"] == "reassigned"


def test_before_version_3_the_later_of_two_first_answers_was_a_reassignment() -> None:
    assert two_first_answers(Office(protocol=ANSWERS_IN_ORDER - 1)) == ("invalid", "reassigned")


def two_first_answers(office: Office) -> tuple[str, str | None]:
    register(office, None, temporary=True)
    under_another_salt = office.attest("c1", gateway="g2", identifier="subscriber-1, another salt", age_ms=-1_500)
    assert hear(office)["status"] == "valid"
    result = office.ok("gateway g2", "phone.record", attestation=under_another_salt.to_value())
    return result["status"], result["reason"]


# Contact


def contact(office: Office, sender: str = "li") -> Any:
    return office.ok(sender, "access.contact", customer="c1", purpose="follow-up")


def test_a_valid_number_is_released_and_nothing_else(stocked: Office) -> None:
    result = contact(stocked)
    assert (result["outcome"], result["code"], list(result["fields"])) == ("released", "ok", ["phone"])
    phone = result["fields"]["phone"]
    assert (phone["allowed"], phone["digest"]) == (True, stocked.digest("c1", "phone", "+8613800000001"))
    row = stocked.row("accesses", "customers.c1.1")
    assert (row["action"], row["outcome"], row["purpose"], row["allowed"]) == (
        "contact",
        "released",
        "follow-up",
        ["phone"],
    )


def refusal(office: Office, sender: str = "li") -> str:
    result = contact(office, sender)
    assert result["outcome"] == "refused"
    assert result["fields"] == {"phone": {"allowed": False, "code": result["code"]}}
    number = office.row("counters", "accesses.customers.c1")["value"]
    row = office.row("accesses", f"customers.c1.{number}")
    assert (row["outcome"], row["code"], row["refused"]) == ("refused", result["code"], ["phone"])
    return str(result["code"])


def test_contact_is_refused_on_the_record_for_each_reason(stocked: Office) -> None:
    assert refusal(stocked, "wang") == "permission.denied"
    hear(stocked, outcome="none")
    assert refusal(stocked) == "phone.invalid"
    hear(stocked)
    stocked.time_ms += DAY_MS
    assert refusal(stocked) == "phone.recheck_needed"
    hear(stocked, outcome="no_answer")
    assert refusal(stocked) == "phone.recheck_needed"
    hear(stocked)
    assert contact(stocked)["outcome"] == "released"
    hear(stocked, identifier="somebody else")
    assert refusal(stocked) == "phone.invalid"
    stocked.time_ms += DAY_MS
    assert refusal(stocked) == "phone.invalid"


def test_a_temporary_customer_is_checked_and_then_not_contacted(office: Office) -> None:
    register(office, None, temporary=True)
    assert refusal(office) == "phone.recheck_needed"
    hear(office, outcome="none")
    assert refusal(office) == "phone.temporary"


def test_contact_with_nobody_is_an_error(office: Office) -> None:
    assert office.code("li", "access.contact", customer="c1", purpose="x") == "record.unknown"

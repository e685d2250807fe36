"""Customers: invited by the administration, enrolled by a one-time code, and limited to what is their own."""

from __future__ import annotations

from typing import Any

import pytest

from chain.transaction import Call, sign_transaction
from contracts.deciding.policy import default_policy
from contracts.people.invitations import (
    INVITATION_PURPOSE,
    PERIOD_MS_MAX,
    invitation_digest,
    invitation_key,
    invitation_payload,
)
from tests.contracts.office import DAY_MS, Office, hex_of, key_of

CODE = b"twenty secret bytes!"
READ = {"table": "customers", "record": "c1", "fields": ["*"], "purpose": "own"}
ACCESSES = {"table": "customers", "record": "c1", "after": 0, "limit": 50, "purpose": "own", "kind": "accesses"}


def invitation(office: Office, code: bytes = CODE, customer: str = "c1", **changes: Any) -> dict[str, Any]:
    digest = invitation_digest(customer, invitation_key(customer, code).public)
    return {"customer": customer, "digest": digest, "expires_ms": office.time_ms + DAY_MS} | changes


def redemption(office: Office, new_key: str, code: bytes = CODE, customer: str = "c1") -> dict[str, Any]:
    key = invitation_key(customer, code)
    proof = key.sign(INVITATION_PURPOSE, office.chain_id, invitation_payload(customer, key_of(new_key).public))
    return {"customer": customer, "invitation": key.public.hex(), "proof": proof}


def redeem(office: Office, new_key: str = "zhang", **more: Any) -> str:
    args = redemption(office, new_key, **more)
    return office.code(new_key, "customers.redeem_invitation", via="administration", **args)


@pytest.fixture
def invited(office: Office) -> Office:
    office.register("c1", note="老客户")
    office.register("c2", phone="+8613800000002")
    office.ok("boss", "customers.invite", **invitation(office))
    return office


@pytest.fixture
def enrolled(invited: Office) -> Office:
    assert redeem(invited) == "ok"
    return invited


def test_a_customer_with_the_code_enrols_a_key_of_their_own_and_logs_in_at_the_administration(invited: Office) -> None:
    assert redeem(invited) == "ok"
    record = invited.row("people", "c1")
    assert (record["role"], record["department"], record["customer"]) == ("customer", "administration", "c1")
    assert (record["keys"], record["fields"]) == ([hex_of("zhang")], {})
    assert invited.row("invitations", "c1")["status"] == "redeemed"
    assert invited.ok("zhang", "access.login")["role"] == "customer"
    assert invited.code("zhang", "access.login", via="sales") == "transaction.elsewhere"


def test_a_customer_with_a_key_has_no_values_in_a_second_place_where_an_erasure_would_not_find_them(
    enrolled: Office,
) -> None:
    fields = {"name": bytes(32)}
    assert enrolled.code("boss", "people.update", person="c1", version=1, fields=fields) == "people.customer"
    assert enrolled.row("people", "c1")["fields"] == {}


def test_by_earlier_versions_of_the_rules_a_customer_with_a_key_could_have_values_there() -> None:
    office = Office(protocol=2)
    office.register("c1", note="老客户")
    office.ok("boss", "customers.invite", **invitation(office))
    assert redeem(office) == "ok"
    office.ok("boss", "people.update", person="c1", version=1, fields={"name": bytes(32)})
    assert "name" in office.row("people", "c1")["fields"]


def test_the_chain_has_neither_code_nor_key_of_an_open_invitation(invited: Office) -> None:
    stored = str(invited.row("invitations", "c1"))
    assert CODE.hex() not in stored
    assert invitation_key("c1", CODE).public.hex() not in stored


def test_only_administrators_invite_and_withdraw(invited: Office) -> None:
    for sender in ("li", "clerk", "rui"):
        assert invited.code(sender, "customers.invite", **invitation(invited)) == "permission.administrator_only"
        assert invited.code(sender, "customers.withdraw_invitation", customer="c1") == "permission.administrator_only"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"customer": "nobody"}, "record.unknown"),
        ({"expires_ms": 1}, "invitation.period"),
        ({"expires_ms": 1 << 60}, "invitation.period"),
        ({"digest": b"short"}, "call.arguments"),
    ],
)
def test_an_invitation_is_refused_for(invited: Office, changes: dict[str, Any], code: str) -> None:
    assert invited.code("boss", "customers.invite", **invitation(invited) | changes) == code


def test_an_invitation_may_last_ninety_days_and_no_longer(invited: Office) -> None:
    latest = invited.time_ms + 1_000 + PERIOD_MS_MAX
    assert invited.code("boss", "customers.invite", **invitation(invited, expires_ms=latest)) == "ok"
    latest = invited.time_ms + 1_001 + PERIOD_MS_MAX
    assert invited.code("boss", "customers.invite", **invitation(invited, expires_ms=latest)) == "invitation.period"


def test_a_customer_with_the_work_id_of_a_colleague_can_not_be_invited(office: Office) -> None:
    office.register("wang")
    assert office.code("boss", "customers.invite", **invitation(office, customer="wang")) == "people.exists"


@pytest.mark.parametrize(
    ("version", "first", "then"), [(2, "people.wrong_node", "block.idle_batch"), (3, "transaction.elsewhere", "ok")]
)
def test_no_other_department_uses_up_what_somebody_signed_who_comes_in(version: int, first: str, then: str) -> None:
    """Their key is not known yet, so it does not say where they belong; the call does."""
    office = Office(protocol=version)
    office.register("c1")
    office.ok("boss", "customers.invite", **invitation(office))
    call = Call("customers.redeem_invitation", redemption(office, "zhang"))
    came_in = sign_transaction(key_of("zhang"), office.chain_id, bytes(16), office.ledger.height + 10, [call])
    assert office.code_of(came_in, via="sales") == first
    assert office.code_of(came_in, via="administration") == then


def test_a_code_counts_once_for_one_key_one_customer_and_until_it_expires(invited: Office) -> None:
    assert redeem(invited, code=b"another twenty byte!") == "invitation.wrong"
    assert redeem(invited, customer="c2") == "invitation.unknown"
    stolen = redemption(invited, "zhang")  # seen on its way, tried with a thief's key
    assert invited.code("thief", "customers.redeem_invitation", via="administration", **stolen) == "invitation.wrong"
    assert redeem(invited, "boss") == "keys.taken"
    assert redeem(invited) == "ok"
    assert redeem(invited, "thief") == "invitation.over"


def test_an_expired_a_withdrawn_and_a_replaced_invitation_are_void(invited: Office) -> None:
    invited.ok("boss", "customers.invite", **invitation(invited, b"the newer secret co."))
    assert redeem(invited) == "invitation.wrong"
    invited.time_ms += DAY_MS + 60_000
    assert redeem(invited, code=b"the newer secret co.") == "invitation.expired"
    invited.ok("boss", "customers.invite", **invitation(invited))
    invited.ok("boss", "customers.withdraw_invitation", customer="c1")
    assert redeem(invited) == "invitation.over"
    assert invited.code("boss", "customers.withdraw_invitation", customer="c1") == "invitation.over"
    assert invited.code("boss", "customers.withdraw_invitation", customer="c2") == "invitation.unknown"


def test_a_customer_who_lost_the_key_or_was_revoked_comes_back_by_another_invitation(enrolled: Office) -> None:
    enrolled.ok("boss", "customers.invite", **invitation(enrolled))
    assert redeem(enrolled, "zhang 2") == "ok"
    assert enrolled.code("zhang", "access.login") == "keys.revoked"
    enrolled.ok("boss", "people.revoke", person="c1")
    assert enrolled.code("zhang 2", "access.login") == "people.revoked"
    enrolled.ok("boss", "customers.invite", **invitation(enrolled))
    assert redeem(enrolled, "zhang 3") == "ok"
    assert enrolled.code("zhang 2", "access.login") == "keys.revoked"
    enrolled.ok("zhang 3", "access.login")


def test_a_customer_changes_over_to_a_new_key_themselves(enrolled: Office) -> None:
    enrolled.ok("zhang", "people.rotate_key", person="c1", **enrolled.possession("c1", "zhang 2"))
    enrolled.ok("zhang 2", "people.revoke_key", key=hex_of("zhang 2"))


@pytest.mark.parametrize(("version", "code", "status"), [(2, "ok", "redeemed"), (3, "invitation.over", "withdrawn")])
def test_who_is_revoked_does_not_come_back_by_an_invitation_from_before(version: int, code: str, status: str) -> None:
    office = Office(protocol=version)
    office.register("c1")
    office.ok("boss", "customers.invite", **invitation(office))
    assert redeem(office) == "ok"
    later = b"another code, 20 B.."
    office.ok("boss", "customers.invite", **invitation(office, later))
    office.ok("boss", "people.revoke", person="c1")
    assert redeem(office, "zhang 2", code=later) == code
    assert office.row("invitations", "c1")["status"] == status


def test_nobody_is_enrolled_as_a_customer_by_hand(office: Office) -> None:
    args = {"person": "x", "department": "administration", "role": "customer", "fields": {}}
    assert office.code("boss", "people.enrol", **args, **office.possession("x", "x")) == "call.arguments"


def test_customers_read_nothing_unless_it_is_granted_and_then_only_what_is_their_own(enrolled: Office) -> None:
    own, other = dict(READ), READ | {"record": "c2"}
    assert not any(field["allowed"] for field in enrolled.ok("zhang", "access.read", **own)["fields"].values())
    enrolled.grant("g1", "person:c1", scope="all", fields=["name", "note"])
    enrolled.grant("g2", "person:c1", scope="record:c2")
    enrolled.grant("g3", "department:administration", fields=["phone"])
    allowed = [name for name, field in enrolled.ok("zhang", "access.read", **own)["fields"].items() if field["allowed"]]
    assert allowed == ["name", "note"]
    assert not any(field["allowed"] for field in enrolled.ok("zhang", "access.read", **other)["fields"].values())


def test_no_rule_of_the_policy_reaches_a_customer_and_no_grant_lets_one_change(enrolled: Office) -> None:
    policy = default_policy()
    assert policy["rules"][0]["department"] == "administration"
    enrolled.ok("boss", "permissions.assign", table="customers", record="c1", subject="person:c1")
    enrolled.grant("g1", "person:c1", actions=["read", "change", "contact", "export"])
    decisions = {action: enrolled.may("c1", action, "c1", "name").allowed for action in ("change", "contact", "export")}
    assert not any(decisions.values())
    assert enrolled.may("c1", "read", "c1", "name").because == "grant:g1"
    assert not enrolled.may("c1", "read", None, "name").allowed


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("access.list", {"table": "customers", "after": 0, "limit": 9, "fields": ["*"], "purpose": "x"}),
        ("access.contact", {"customer": "c1", "purpose": "x"}),
        ("customers.update", {"customer": "c1", "version": 1, "fields": {"name": bytes(32)}}),
        ("people.update", {"person": "c1", "version": 1, "fields": {"name": bytes(32)}}),
        ("people.revoke", {"person": "li"}),
        ("permissions.unassign", {"table": "customers", "record": "c1", "subject": "person:li"}),
        ("customers.invite", {"customer": "c2", "digest": bytes(32), "expires_ms": 1}),
    ],
)
def test_what_people_who_work_here_do_is_refused_to_customers(
    enrolled: Office, name: str, args: dict[str, Any]
) -> None:
    assert enrolled.code("zhang", name, **args) == "permission.customer"


def test_customers_see_who_read_their_data_by_department_purpose_and_time_and_that_is_recorded(
    enrolled: Office,
) -> None:
    enrolled.ok("li", "access.read", **READ | {"purpose": "follow-up", "fields": ["name", "phone"]})
    enrolled.ok("qian", "access.contact", customer="c1", purpose="renewal")
    enrolled.ok("zhang", "access.read", **READ)
    result = enrolled.ok("zhang", "access.history", **ACCESSES)
    assert (result["allowed"], result["because"], result["next"]) == (True, "own", None)
    shown = [(row["department"], row["action"], row["purpose"], row["allowed"], row["own"]) for row in result["rows"]]
    assert shown == [
        ("sales", "read", "follow-up", ["name", "phone"], False),
        ("finance", "contact", "renewal", ["phone"], False),
        ("administration", "read", "own", [], True),
    ]
    assert not any("by" in row for row in result["rows"])
    assert all(row["time_ms"] > 0 for row in result["rows"])
    assert enrolled.row("accesses", "customers.c1.4")["by"] == "person:c1"
    refused = enrolled.ok("zhang", "access.history", **ACCESSES | {"record": "c2"})
    assert (refused["allowed"], refused["rows"], refused["code"]) == (False, [], "permission.denied")


@pytest.mark.parametrize(("version", "is_named"), [(2, True), (3, False)])
def test_no_row_that_a_customer_sees_names_somebody_who_works_here(version: int, is_named: bool) -> None:
    """Whom a check of the number was for, and whose doings a colleague looked at, by earlier versions of the rules."""
    office = Office(protocol=version)
    office.register("c1")
    office.ok("boss", "customers.invite", **invitation(office))
    assert redeem(office) == "ok"
    answer = office.attest("c1").to_value()
    office.ok("node sales", "phone.record", attestation=answer, asked_by="wang")
    log = {"log": "accesses", "table": "customers", "record": "c1", "person": "wang", "after": 0, "limit": 9}
    office.ok("boss", "access.log", **log, purpose="check")
    rows = [
        row
        for kind in ("accesses", "answers", "changes")
        for row in office.ok("zhang", "access.history", **ACCESSES | {"kind": kind})["rows"]
    ]
    assert ("wang" in str(rows)) is is_named
    assert "person:" not in str(rows) or is_named

"""Erasure: what an order leaves and takes, who confirms, what holds stop, what retention periods do by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from chain.errors import KehuError
from chain.transaction import Call
from contracts.deciding.policy import default_policy
from contracts.erasing.erasure import overdue
from contracts.erasing.retention import is_due
from contracts.people.invitations import INVITATION_PURPOSE, invitation_digest, invitation_key, invitation_payload
from tests.contracts.office import DAY_MS, Office, key_of

C1 = {"table": "customers", "record": "c1"}


def order(office: Office, reason: str = "withdrawn", **changes: Any) -> Any:
    return office.ok("boss", "erasure.order", **(C1 | {"reason": reason} | changes))


def kept_for(**periods_ms: int) -> Office:
    office = Office(policy={"retention": periods_ms})
    office.register("c1", position="经理")
    return office


def test_an_order_leaves_a_tombstone_without_fields_and_without_what_carriers_said(stocked: Office) -> None:
    before = stocked.row("customers", "c1")
    result = order(stocked)
    assert (result["number"], result["due_ms"]) == (1, stocked.time_ms + 7 * DAY_MS)
    after = stocked.row("customers", "c1")
    assert (after["fields"], after["gateways"], after["status"]) == ({}, {}, "erased")
    assert after["version"] == before["version"] + 1
    assert (after["sequence"], after["registered"]) == (before["sequence"], before["registered"])
    assert after["erased"] == {
        "reason": "withdrawn",
        "by": "person:boss",
        "height": stocked.ledger.height,
        "time_ms": stocked.time_ms,
        "transaction": after["erased"]["transaction"],
    }
    digests = [digest for digest, _ in before["fields"].values()]
    assert len(digests) == 5
    current = [raw for key, raw in stocked.ledger.state.items() if not key.startswith(b"versions/")]
    assert not any(digest in raw for digest in digests for raw in current)


def test_only_administrators_order_erasures_and_holds(stocked: Office) -> None:
    args = C1 | {"reason": "withdrawn"}
    for sender in ("li", "clerk", "rui"):
        for name in ("erasure.order", "erasure.hold", "erasure.release"):
            assert stocked.code(sender, name, **args) == "permission.administrator_only"
    assert stocked.code("node sales", "erasure.order", **args) == "keys.wrong_kind"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"record": "c2"}, "record.unknown"),
        ({"table": "nothing"}, "record.table_unknown"),
        ({"reason": "he asked for it"}, "call.arguments"),
        ({"reason": "张三要求"}, "call.arguments"),
    ],
)
def test_an_order_needs_a_record_and_a_word_for_the_reason(stocked: Office, change: Any, code: str) -> None:
    assert stocked.code("boss", "erasure.order", **(C1 | {"reason": "withdrawn"} | change)) == code


def test_an_erased_record_is_refused_to_everybody_by_its_own_code(stocked: Office) -> None:
    order(stocked)
    purpose = {"purpose": "sale"}
    calls = [
        Call("erasure.order", C1 | {"reason": "again"}),
        Call("erasure.hold", C1 | {"reason": "late"}),
        Call("access.read", C1 | {"fields": ["*"]} | purpose),
        Call("access.contact", {"customer": "c1"} | purpose),
        Call("customers.update", {"customer": "c1", "version": 2, "fields": stocked.fields("c1", note="新")}),
        Call("permissions.assign", C1 | {"subject": "person:li"}),
        Call("phone.record", {"attestation": stocked.attest("c1").to_value()}),
    ]
    assert [stocked.send("boss", call).code for call in calls] == ["record.erased"] * len(calls)
    again = {"customer": "c1", "fields": stocked.fields("c1", name="李四", phone="+8613800000009")}
    assert stocked.code("li", "customers.register", **again, attestation=None, temporary=True) == "record.exists"


def test_lists_go_on_without_an_erased_record(stocked: Office) -> None:
    stocked.register("c2", phone="+8613800000002")
    order(stocked)
    listed = stocked.ok("boss", "access.list", table="customers", after=0, limit=10, fields=["*"], purpose="check")
    assert [record["record"] for record in listed["records"]] == ["c2"]


def test_the_history_of_an_erased_record_stays_for_those_who_may_see_it(stocked: Office) -> None:
    stocked.ok("li", "access.read", **C1, fields=["name"], purpose="sale")
    order(stocked)
    args = C1 | {"after": 0, "limit": 100, "purpose": "check"}
    changes = stocked.ok("boss", "access.history", **args)["rows"]
    assert changes[-1]["fields"] == ["identifier", "name", "note", "phone", "position"]
    accesses = stocked.ok("rui", "access.history", **args, kind="accesses")
    assert (accesses["allowed"], accesses["rows"][0]["by"]) == (True, "person:li")


def test_grants_on_the_record_and_its_assignments_end_with_it(stocked: Office) -> None:
    stocked.grant("g1", "department:technical")
    stocked.grant("g2", "person:sun")
    stocked.grant("g3", "person:sun", scope="all")
    order(stocked)
    assert [stocked.row("grants", name)["status"] for name in ("g1", "g2", "g3")] == ["revoked", "revoked", "active"]
    view = stocked.view()
    assert not view.has("scope_grants", "customers.record:c1")
    assert not view.has("subject_grants", "department:technical.customers.record:c1")
    assert not view.has("assignments", "customers.c1")


def test_every_department_confirms_once_under_its_own_nodes_key(stocked: Office) -> None:
    result = order(stocked)
    departments = stocked.genesis.validators.departments
    assert result["waiting"] == list(departments)
    for place, department in enumerate(departments):
        said = stocked.ok(f"node {department}", "erasure.confirm", **C1, values=5 if department == "sales" else 0)
        assert said["waiting"] == list(departments[place + 1 :])
    row = stocked.row("erasures", "customers.c1")
    assert row["waiting"] == []
    assert row["confirmed"]["sales"]["values"] == 5
    assert not row["confirmed"]["sales"]["late"]
    assert stocked.code("node sales", "erasure.confirm", **C1, values=0) == "erasure.not_awaited"
    assert stocked.code("boss", "erasure.confirm", **C1, values=0) == "keys.wrong_kind"
    assert stocked.code("node sales", "erasure.confirm", via="finance", **C1, values=0) == "transaction.elsewhere"
    other = C1 | {"record": "c2"}
    assert stocked.code("node sales", "erasure.confirm", **other, values=0) == "erasure.unknown"


def test_who_has_not_confirmed_by_the_policys_time_is_overdue_and_a_late_receipt_says_so() -> None:
    office = Office(policy={"erasure_due_ms": DAY_MS})
    office.register("c1")
    order(office)
    office.ok("node sales", "erasure.confirm", **C1, values=3)
    row = office.row("erasures", "customers.c1")
    assert overdue(row, row["due_ms"]) == []
    assert overdue(row, row["due_ms"] + 1) == sorted(set(office.genesis.validators.departments) - {"sales"})
    office.time_ms += 2 * DAY_MS
    assert office.ok("node finance", "erasure.confirm", **C1, values=2)["late"] is True
    assert office.row("erasures", "customers.c1")["confirmed"]["finance"]["late"] is True


def test_a_legal_hold_stops_an_order_until_it_is_released(stocked: Office) -> None:
    stocked.ok("boss", "erasure.hold", **C1, reason="lawsuit")
    assert stocked.code("boss", "erasure.hold", **C1, reason="lawsuit") == "erasure.hold_exists"
    assert stocked.code("boss", "erasure.order", **C1, reason="withdrawn") == "erasure.held"
    stocked.ok("boss", "erasure.release", **C1, reason="settled")
    assert stocked.code("boss", "erasure.release", **C1, reason="settled") == "erasure.not_held"
    row = stocked.row("holds", "customers.c1")
    assert (row["reason"], row["released"]["reason"], row["released"]["by"]) == ("lawsuit", "settled", "person:boss")
    order(stocked)


def test_a_retention_period_erases_at_any_nodes_word_once_it_is_over() -> None:
    office = kept_for(customers=30 * DAY_MS)
    assert office.code("node finance", "erasure.expire", **C1) == "erasure.not_due"
    office.time_ms += 29 * DAY_MS
    assert not is_due(office.view(), "customers", "c1", office.time_ms)
    assert office.code("node finance", "erasure.expire", **C1) == "erasure.not_due"
    office.time_ms += DAY_MS
    assert is_due(office.view(), "customers", "c1", office.time_ms)
    assert office.ok("node finance", "erasure.expire", **C1)["erased"] is True
    row = office.row("erasures", "customers.c1")
    assert (row["cause"], row["by"], row["reason"]) == ("retention", "node:finance", "retention")
    assert not is_due(office.view(), "customers", "c1", office.time_ms)
    assert office.ok("node sales", "erasure.expire", **C1)["erased"] is False
    assert office.code("boss", "erasure.expire", **C1) == "keys.wrong_kind"


def test_a_change_or_a_released_contact_begins_the_period_anew_and_a_read_does_not() -> None:
    office = kept_for(customers=30 * DAY_MS)
    office.time_ms += 20 * DAY_MS
    office.ok("li", "customers.update", customer="c1", version=1, fields=office.fields("c1", note="回访"))
    office.time_ms += 15 * DAY_MS
    assert office.code("node sales", "erasure.expire", **C1) == "erasure.not_due"
    office.ok("node sales", "phone.record", attestation=office.attest("c1").to_value())
    assert office.ok("li", "access.contact", customer="c1", purpose="sale")["outcome"] == "released"
    office.time_ms += 29 * DAY_MS
    assert office.code("node sales", "erasure.expire", **C1) == "erasure.not_due"
    office.ok("li", "access.read", **C1, fields=["name"], purpose="sale")
    office.time_ms += DAY_MS
    assert office.ok("node sales", "erasure.expire", **C1)["erased"] is True


def test_a_hold_stops_a_retention_period_too() -> None:
    office = kept_for(customers=DAY_MS)
    office.ok("boss", "erasure.hold", **C1, reason="lawsuit")
    office.time_ms += 2 * DAY_MS
    assert not is_due(office.view(), "customers", "c1", office.time_ms)
    assert office.code("node sales", "erasure.expire", **C1) == "erasure.held"
    office.ok("boss", "erasure.release", **C1, reason="settled")
    assert office.ok("node sales", "erasure.expire", **C1)["erased"] is True


def test_tables_without_a_period_keep_their_records(stocked: Office) -> None:
    stocked.time_ms += 10_000 * DAY_MS
    assert not is_due(stocked.view(), "customers", "c1", stocked.time_ms)
    assert stocked.code("node sales", "erasure.expire", **C1) == "erasure.not_due"


@pytest.mark.parametrize("retention", [{"customers": 1}, {"nothing": DAY_MS}, {"customers": "1d"}, []])
def test_a_policy_with_senseless_periods_is_refused(office: Office, retention: Any) -> None:
    policy = default_policy() | {"retention": retention}
    assert office.code("boss", "permissions.set_policy", policy=policy) == "policy.invalid"


@pytest.mark.parametrize("log", ["logins", "accesses", "changes"])
def test_logs_have_no_retention_period_since_nobody_could_erase_their_rows(office: Office, log: str) -> None:
    policy = default_policy() | {"retention": {log: DAY_MS}}
    assert office.code("boss", "permissions.set_policy", policy=policy) == "policy.invalid"
    with pytest.raises(KehuError, match="policy"):
        Office(policy={"retention": {log: DAY_MS}})


def test_by_earlier_versions_of_the_rules_a_log_could_have_a_period_and_nothing_of_it_is_ever_due() -> None:
    office = Office(policy={"retention": {"logins": DAY_MS}}, protocol=2)
    office.ok("li", "access.login")
    later_ms = office.time_ms + 2 * DAY_MS
    assert not is_due(office.view(), "logins", "li.1", later_ms)
    assert office.code("node sales", "erasure.expire", table="logins", record="li") == "record.table_unknown"


def test_an_erased_customers_own_key_is_revoked_and_the_invitation_withdrawn(stocked: Office) -> None:
    code = b"0123456789abcdefghij"
    public = invitation_key("c1", code).public
    invitation = {"customer": "c1", "digest": invitation_digest("c1", public)}
    stocked.ok("boss", "customers.invite", **invitation, expires_ms=stocked.time_ms + DAY_MS)
    order(stocked)
    assert stocked.row("invitations", "c1")["status"] == "withdrawn"
    other = Office()
    other.register("c1")
    other.ok("boss", "customers.invite", **invitation, expires_ms=other.time_ms + DAY_MS)
    payload = invitation_payload("c1", key_of("customer c1").public)
    proof = invitation_key("c1", code).sign(INVITATION_PURPOSE, other.chain_id, payload)
    args = {"customer": "c1", "invitation": public.hex(), "proof": proof}
    assert other.call("customer c1", "customers.redeem_invitation", via="administration", **args).is_ok
    order(other)
    assert (other.row("people", "c1")["status"], other.row("people", "c1")["keys"]) == ("revoked", [])
    login = other.send("customer c1", Call("access.login", {}), via="administration")
    assert login.code == "people.revoked"


def test_people_are_erased_once_they_are_revoked_and_keep_id_role_and_past_keys(office: Office) -> None:
    fields = {"name": office.digest("wang", "name", "王五", "people")}
    office.ok("boss", "people.update", person="wang", version=1, fields=fields)
    args = {"table": "people", "record": "wang", "reason": "left"}
    assert office.code("boss", "erasure.order", **args) == "erasure.person_active"
    office.ok("boss", "people.revoke", person="wang")
    office.ok("boss", "erasure.order", **args)
    row = office.row("people", "wang")
    assert (row["fields"], row["department"], row["role"], row["status"]) == ({}, "sales", "operator", "revoked")
    assert office.code("boss", "people.update", person="wang", version=3, fields=fields) == "record.erased"

"""Customers: registering, changing from a stated version, changing the number."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.office import Office

NEW = "+8613900000002"


def registration(office: Office, customer: str = "c1", **changes: Any) -> dict[str, Any]:
    return {
        "customer": customer,
        "fields": office.fields(customer, name="张三", phone="+8613800000001"),
        "attestation": None,
        "temporary": True,
    } | changes


def new_number(office: Office, version: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "customer": "c1",
        "version": version,
        "fields": office.fields("c1", phone=NEW),
        "attestation": office.attest("c1", NEW, "subscriber-2").to_value(),
        "temporary": False,
    } | changes


def test_a_registered_customer_is_numbered_assigned_and_has_its_first_change(office: Office) -> None:
    assert office.register("c1", note="急") == {
        "customer": "c1",
        "version": 1,
        "status": "valid",
        "reason": None,
        "sequence": 1,
    }
    assert office.register("c2", by="qian")["sequence"] == 2
    assert office.row("customer_sequence", "2") == {"record": "c2"}
    assert list(office.row("assignments", "customers.c1")["subjects"]) == ["person:li"]
    change = office.row("changes", "customers.c1.1")
    assert change["fields"] == ["identifier", "name", "note", "phone"]
    assert (change["by"], change["department"], change["from"], change["to"]) == ("person:li", "sales", 0, 1)


def test_an_identifier_given_along_is_the_attestations_or_refused(office: Office) -> None:
    attestation = office.attest("c1").to_value()
    fields = registration(office)["fields"] | {"identifier": office.identifier("c1", "subscriber-1")}
    args = registration(office, fields=fields, attestation=attestation)
    office.ok("li", "customers.register", **args)
    other = {"identifier": office.identifier("c2", "subscriber-9")}
    args = registration(office, "c2", attestation=office.attest("c2").to_value())
    assert office.code("li", "customers.register", **args | {"fields": args["fields"] | other}) == (
        "phone.identifier_unattested"
    )
    args = registration(office, "c2")
    assert office.code("li", "customers.register", **args | {"fields": args["fields"] | other}) == (
        "phone.identifier_unattested"
    )


def test_a_registration_is_refused_for_a_used_id_unknown_or_missing_fields(stocked: Office) -> None:
    assert stocked.code("li", "customers.register", **registration(stocked)) == "record.exists"
    for fields, code in (
        ({"name": bytes(32)}, "record.field_missing"),
        ({"phone": bytes(32)}, "record.field_missing"),
        ({"name": bytes(32), "phone": bytes(32), "salary": bytes(32)}, "record.field_unknown"),
    ):
        assert stocked.code("li", "customers.register", **registration(stocked, "c2", fields=fields)) == code


@pytest.mark.parametrize("sender", ["zhao", "rui"])
def test_departments_and_roles_that_do_not_change_customers_do_not_register(office: Office, sender: str) -> None:
    assert office.code(sender, "customers.register", **registration(office)) == "permission.denied"


def test_an_update_makes_the_next_version_and_touches_its_fields_only(stocked: Office) -> None:
    before = stocked.row("customers", "c1")["fields"]
    address = stocked.fields("c1", address="北京", note="改")
    result = stocked.ok("li", "customers.update", customer="c1", version=1, fields=address)
    assert result == {"customer": "c1", "version": 2, "status": "valid", "reason": None}
    after = stocked.row("customers", "c1")["fields"]
    assert after == before | {field: [digest, 2] for field, digest in address.items()}
    assert stocked.row("changes", "customers.c1.2")["fields"] == ["address", "note"]


def test_the_second_of_two_changes_from_one_version_is_a_conflict_that_says_both(stocked: Office) -> None:
    change = {"customer": "c1", "version": 1, "fields": stocked.fields("c1", note="甲")}
    stocked.ok("li", "customers.update", **change)
    receipt = stocked.call("qian", "customers.update", **change)
    assert receipt.code == "record.version_conflict"
    assert receipt.details == {"table": "customers", "record": "c1", "expected": 1, "actual": 2}


def test_an_update_is_refused_without_permission_or_record_and_for_the_number(stocked: Office) -> None:
    change = {"customer": "c1", "version": 1, "fields": stocked.fields("c1", note="甲")}
    assert stocked.code("wang", "customers.update", **change) == "permission.denied"
    assert stocked.code("li", "customers.update", **change | {"customer": "c9"}) == "record.unknown"
    assert (
        stocked.code("li", "customers.update", **change | {"fields": {"salary": bytes(32)}}) == "record.field_unknown"
    )
    for field in ("phone", "identifier"):
        fields = {"fields": {field: bytes(32)}}
        assert stocked.code("boss", "customers.update", **change | fields) == "phone.only_by_change_phone"


def test_a_new_number_starts_from_its_own_answer(stocked: Office) -> None:
    result = stocked.ok("li", "customers.change_phone", **new_number(stocked))
    assert result == {"customer": "c1", "version": 2, "status": "valid", "reason": None}
    fields = stocked.row("customers", "c1")["fields"]
    assert fields["identifier"] == [stocked.identifier("c1", "subscriber-2"), 2]
    assert stocked.row("changes", "customers.c1.2")["fields"] == ["identifier", "phone"]


def test_a_new_number_without_identifier_makes_the_customer_temporary_if_chosen(stocked: Office) -> None:
    none = stocked.attest("c1", NEW, outcome="none").to_value()
    for attestation in (None, none):
        refused = new_number(stocked, attestation=attestation)
        assert stocked.code("li", "customers.change_phone", **refused) == "phone.no_identifier"
    stocked.ok("li", "customers.change_phone", **new_number(stocked, attestation=None, temporary=True))
    record = stocked.row("customers", "c1")
    assert (record["status"], record["reason"], record["checked_ms"]) == ("temporary", None, None)
    assert "identifier" not in record["fields"]
    assert stocked.row("changes", "customers.c1.2")["fields"] == ["identifier", "phone"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"customer": "c9"}, "record.unknown"),
        ({"version": 2}, "record.version_conflict"),
        ({"fields": {"identifier": bytes(32)}}, "record.field_missing"),
        ({"fields": {"phone": bytes(32), "name": bytes(32)}}, "record.field_unknown"),
    ],
)
def test_a_change_of_number_is_refused_for(stocked: Office, changes: dict[str, Any], code: str) -> None:
    assert stocked.code("li", "customers.change_phone", **new_number(stocked) | changes) == code


def test_a_change_of_number_is_refused_without_permission_or_to_the_same_number(stocked: Office) -> None:
    assert stocked.code("wang", "customers.change_phone", **new_number(stocked)) == "permission.denied"
    same = {"fields": stocked.fields("c1", phone="+8613800000001"), "attestation": stocked.attest("c1").to_value()}
    assert stocked.code("li", "customers.change_phone", **new_number(stocked) | same) == "phone.unchanged"


def test_several_calls_of_a_transaction_build_on_each_other_and_fall_together(stocked: Office) -> None:
    from chain.transaction import Call

    first = Call("customers.update", {"customer": "c1", "version": 1, "fields": stocked.fields("c1", note="甲")})
    second = Call("customers.update", {"customer": "c1", "version": 2, "fields": stocked.fields("c1", note="乙")})
    assert stocked.send("li", first, second).is_ok
    root = stocked.ledger.state.root
    receipt = stocked.send("li", Call("access.login", {}), first)
    assert (receipt.code, receipt.failed_call) == ("record.version_conflict", 1)
    assert stocked.ledger.state.root == root

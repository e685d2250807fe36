"""Attestations that must not count, each refused with its own code, in all three calls that take one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.office import DAY_MS, MINUTE_MS, Office

NEW = "+8613900000002"


def attest(office: Office, call: str, **changes: Any) -> Any:
    phone = changes.pop("phone", NEW if call == "customers.change_phone" else "+8613800000001")
    return office.attest(changes.pop("customer", "c2" if call == "customers.register" else "c1"), phone, **changes)


def code(office: Office, call: str, attestation: Any) -> str:
    args: dict[str, Any] = {"attestation": attestation}
    if call == "customers.register":
        fields = office.fields("c2", name="李四", phone="+8613800000001")
        args |= {"customer": "c2", "fields": fields, "temporary": True}
    elif call == "customers.change_phone":
        args |= {"customer": "c1", "version": 1, "fields": office.fields("c1", phone=NEW), "temporary": True}
    return office.code("li", call, **args)


CALLS = ["customers.register", "customers.change_phone", "phone.record"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "ok"),
        ({"signer": "li"}, "attestation.unsigned"),
        ({"signer": "gateway g2"}, "attestation.unsigned"),
        ({"gateway": "g9"}, "attestation.unknown_gateway"),
        ({"gateway": "g2"}, "attestation.revoked_gateway"),
        ({"age_ms": 10 * MINUTE_MS}, "ok"),
        ({"age_ms": 10 * MINUTE_MS + 1}, "attestation.old"),
        ({"age_ms": -MINUTE_MS}, "ok"),
        ({"age_ms": -MINUTE_MS - 1}, "attestation.future"),
        ({"phone": "+8613700000003"}, "attestation.other_number"),
    ],
)
def test_an_attestation_is_refused_for(stocked: Office, call: str, changes: dict[str, Any], expected: str) -> None:
    stocked.ok("boss", "gateways.revoke", gateway="g2")
    # Later than what was heard at registration, however old the attestation of the test is.
    stocked.time_ms += DAY_MS
    assert code(stocked, call, attest(stocked, call, **changes).to_value()) == expected


@pytest.mark.parametrize("call", CALLS[:2])
def test_an_attestation_about_another_customer_is_refused(stocked: Office, call: str) -> None:
    attestation = attest(stocked, call, customer="c7").to_value()
    assert code(stocked, call, attestation) == "attestation.other_customer"


def test_an_answer_about_a_customer_that_is_not_there_is_refused(stocked: Office) -> None:
    assert stocked.code("gateway g1", "phone.record", attestation=stocked.attest("c7").to_value()) == "record.unknown"
    odd = stocked.attest("张三").to_value()
    assert stocked.code("gateway g1", "phone.record", attestation=odd) == "call.arguments"


def test_an_altered_attestation_is_unsigned(stocked: Office) -> None:
    altered = replace(stocked.attest("c1", outcome="none"), carrier="carrier-2")
    assert code(stocked, "phone.record", altered.to_value()) == "attestation.unsigned"


def test_an_attestation_for_another_chain_is_unsigned(stocked: Office) -> None:
    elsewhere = Office(network="another")
    foreign = replace(
        elsewhere.attest("c1"), phone_digest=stocked.digest("c1", "phone", "+8613800000001"),
        time_ms=stocked.time_ms + 1_000,
    )  # fmt: skip
    assert code(stocked, "phone.record", foreign.to_value()) == "attestation.unsigned"


def test_an_attestation_counts_once_and_later_ones_bar_earlier_ones(stocked: Office) -> None:
    first, second = stocked.attest("c1", age_ms=-1), stocked.attest("c1", age_ms=-2)
    assert code(stocked, "phone.record", first.to_value()) == "ok"
    assert code(stocked, "phone.record", first.to_value()) == "attestation.reused"
    assert code(stocked, "phone.record", second.to_value()) == "ok"
    assert code(stocked, "phone.record", first.to_value()) == "attestation.reused"


def test_each_gateway_has_its_own_order_of_time(stocked: Office) -> None:
    assert code(stocked, "phone.record", stocked.attest("c1", gateway="g1").to_value()) == "ok"
    assert code(stocked, "phone.record", stocked.attest("c1", gateway="g2", age_ms=5_000).to_value()) == "ok"


def test_what_was_used_before_the_number_changed_does_not_come_back_with_it(stocked: Office) -> None:
    to_new, used = attest(stocked, "customers.change_phone"), stocked.attest("c1", age_ms=1)
    assert code(stocked, "phone.record", used.to_value()) == "ok"
    assert code(stocked, "customers.change_phone", to_new.to_value()) == "ok"
    back = {"customer": "c1", "version": 2, "fields": stocked.fields("c1", phone="+8613800000001"), "temporary": True}
    assert stocked.code("li", "customers.change_phone", **back, attestation=used.to_value()) == "attestation.reused"


@pytest.mark.parametrize("value", [[], [1, 2, 3], [1] + [None] * 9, [2] + [None] * 10])
def test_what_has_not_the_shape_of_an_attestation_is_refused(stocked: Office, value: list[Any]) -> None:
    assert code(stocked, "phone.record", value) == "codec.shape"
    assert code(stocked, "customers.register", value) == "codec.shape"


def test_an_attestation_used_in_a_failed_transaction_is_not_used_up(office: Office) -> None:
    attestation = office.attest("c1").to_value()
    fields = office.fields("c1", name="张三", phone="+8613800000001")
    args = {"customer": "c1", "attestation": attestation, "temporary": False}
    bad = fields | {"identifier": bytes(32)}
    assert office.code("li", "customers.register", **args, fields=bad) == "phone.identifier_unattested"
    assert office.code("li", "customers.register", **args, fields=fields) == "ok"

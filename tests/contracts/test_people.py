"""People and keys: enrol, rotate, revoke, update, and that somebody can always administer."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.deciding.subjects import POSSESSION_PURPOSE, possession_payload
from tests.contracts.office import Office, hex_of, key_of


def enrolment(office: Office, person: str = "ma", key: str = "ma", **changes: Any) -> dict[str, Any]:
    args = {"person": person, "department": "sales", "role": "operator", "fields": {}}
    return args | office.possession(person, key) | changes


def test_an_enrolled_person_can_act_at_once(office: Office) -> None:
    fields = {"name": office.digest("ma", "name", "马六", table="people")}
    assert office.ok("boss", "people.enrol", **enrolment(office, fields=fields)) == {"person": "ma", "version": 1}
    assert office.ok("ma", "access.login") | {"time_ms": 0} == {
        "person": "ma",
        "department": "sales",
        "role": "operator",
        "login": 1,
        "time_ms": 0,
    }
    assert office.row("people", "ma")["fields"]["name"] == [fields["name"], 1]
    assert office.row("changes", "people.ma.1")["fields"] == ["name"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"person": "li"}, "people.exists"),
        ({"department": "marketing"}, "department.unknown"),
        ({"role": "administrator"}, "people.role"),
        ({"fields": {"salary": bytes(32)}}, "record.field_unknown"),
    ],
)
def test_an_enrolment_is_refused_for(office: Office, changes: dict[str, Any], code: str) -> None:
    person = changes.get("person", "ma")
    assert office.code("boss", "people.enrol", **enrolment(office, person=person) | changes) == code


def test_a_key_is_enrolled_once_even_after_it_was_revoked(office: Office) -> None:
    assert office.code("boss", "people.enrol", **enrolment(office, key="li")) == "keys.taken"
    assert office.code("boss", "people.enrol", **enrolment(office, key="node sales")) == "keys.taken"
    office.ok("boss", "people.revoke", person="li")
    assert office.code("boss", "people.enrol", **enrolment(office, key="li")) == "keys.taken"


def test_a_proof_of_possession_is_for_this_person_key_and_chain(office: Office) -> None:
    for person, key in (("ma", "other"), ("other", "ma")):
        stolen = office.possession(person, key)["possession"]
        assert office.code("boss", "people.enrol", **enrolment(office, possession=stolen)) == "keys.possession"
    payload = possession_payload("ma", hex_of("ma"))
    elsewhere = key_of("ma").sign(POSSESSION_PURPOSE, bytes(32), payload)
    assert office.code("boss", "people.enrol", **enrolment(office, possession=elsewhere)) == "keys.possession"


def test_a_key_of_small_order_is_not_enrolled(office: Office) -> None:
    assert office.code("boss", "people.enrol", **enrolment(office, key="ma") | {"key": "00" * 32}) == "key.invalid"


@pytest.mark.parametrize("sender", ["li", "clerk", "rui"])
def test_only_administrators_enrol_and_revoke(office: Office, sender: str) -> None:
    assert office.code(sender, "people.enrol", **enrolment(office)) == "permission.administrator_only"
    assert office.code(sender, "people.revoke", person="wu") == "permission.administrator_only"


def test_a_person_rotates_the_own_key_and_the_old_one_ends(office: Office) -> None:
    office.ok("li", "people.rotate_key", person="li", **office.possession("li", "li 2"))
    assert office.code("li", "access.login") == "keys.revoked"
    assert office.ok("li 2", "access.login")["person"] == "li"
    assert office.row("people", "li")["keys"] == [hex_of("li 2")]


def test_an_administrator_gives_a_person_who_lost_the_key_a_new_one(office: Office) -> None:
    office.ok("boss", "people.revoke_key", key=hex_of("li"))
    office.ok("boss", "people.rotate_key", person="li", **office.possession("li", "li 2"))
    assert office.ok("li 2", "access.login")["person"] == "li"


def test_nobody_else_rotates_or_revokes_a_persons_key(office: Office) -> None:
    rotation = {"person": "li", **office.possession("li", "li 2")}
    assert office.code("wang", "people.rotate_key", **rotation) == "permission.administrator_only"
    assert office.code("wang", "people.revoke_key", key=hex_of("li")) == "permission.administrator_only"


def test_revoking_what_is_not_an_active_persons_key_is_refused(office: Office) -> None:
    assert office.code("boss", "people.revoke_key", key=hex_of("nobody")) == "keys.unknown"
    assert office.code("boss", "people.revoke_key", key=hex_of("node sales")) == "keys.wrong_kind"
    office.ok("boss", "people.revoke_key", key=hex_of("li"))
    assert office.code("boss", "people.revoke_key", key=hex_of("li")) == "keys.revoked"


def test_a_revoked_person_stays_revoked(office: Office) -> None:
    office.ok("boss", "people.revoke", person="li")
    assert office.code("boss", "people.revoke", person="li") == "people.revoked"
    rotation = {"person": "li", **office.possession("li", "li 2")}
    assert office.code("boss", "people.rotate_key", **rotation) == "people.revoked"
    assert office.code("boss", "people.revoke", person="nobody") == "people.unknown"


def test_the_last_administrator_cannot_be_removed_in_any_way(office: Office) -> None:
    assert office.code("boss", "people.revoke", person="boss") == "people.last_administrator"
    assert office.code("boss", "people.revoke_key", key=hex_of("boss")) == "people.last_administrator"
    second = enrolment(office, "chen", "chen", department="administration", role="administrator")
    office.ok("boss", "people.enrol", **second)
    office.ok("chen", "people.revoke_key", key=hex_of("boss"))
    # boss is an administrator still, but one who can't act, so chen is the last.
    assert office.code("chen", "people.revoke", person="chen") == "people.last_administrator"
    office.ok("chen", "people.rotate_key", person="boss", **office.possession("boss", "boss 2"))
    office.ok("chen", "people.revoke", person="chen")
    assert office.code("boss 2", "people.revoke", person="boss") == "people.last_administrator"


def test_the_last_administrator_may_change_the_own_key(office: Office) -> None:
    office.ok("boss", "people.rotate_key", person="boss", **office.possession("boss", "boss 2"))
    assert office.ok("boss 2", "access.login")["role"] == "administrator"


def test_a_persons_fields_change_from_a_stated_version(office: Office) -> None:
    name = {"name": office.digest("li", "name", "李四", table="people")}
    assert office.ok("boss", "people.update", person="li", version=1, fields=name)["version"] == 2
    receipt = office.call("boss", "people.update", person="li", version=1, fields=name)
    assert receipt.code == "record.version_conflict"
    assert (receipt.details["expected"], receipt.details["actual"]) == (1, 2)
    assert office.code("li", "people.update", person="li", version=2, fields=name) == "permission.denied"
    assert office.code("boss", "people.update", person="xx", version=2, fields=name) == "record.unknown"
    salary = {"salary": bytes(32)}
    assert office.code("boss", "people.update", person="li", version=2, fields=salary) == "record.field_unknown"


def test_gateways_are_enrolled_and_revoked_by_administrators(office: Office) -> None:
    enrolment = {"gateway": "g3", "department": "finance", **office.possession("g3", "gateway g3")}
    assert office.code("li", "gateways.enrol", **enrolment) == "permission.administrator_only"
    assert office.code("boss", "gateways.enrol", **enrolment | {"department": "x"}) == "department.unknown"
    assert office.code("boss", "gateways.enrol", **enrolment | {"possession": bytes(64)}) == "keys.possession"
    office.ok("boss", "gateways.enrol", **enrolment)
    again = {**enrolment, **office.possession("g3", "gateway g4")}
    assert office.code("boss", "gateways.enrol", **again) == "gateway.exists"
    assert office.code("li", "gateways.revoke", gateway="g3") == "permission.administrator_only"
    assert office.code("boss", "gateways.revoke", gateway="g9") == "gateway.unknown"
    office.ok("boss", "gateways.revoke", gateway="g3")
    assert office.code("boss", "gateways.revoke", gateway="g3") == "gateway.revoked"
    assert office.row("keys", hex_of("gateway g3"))["status"] == "revoked"

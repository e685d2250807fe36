"""The state before the first block, and what a genesis must not be."""

from __future__ import annotations

from typing import Any

import pytest

from chain.errors import KehuError
from contracts.deciding.policy import default_policy
from tests.contracts.office import Office, genesis_value, hex_of


def test_genesis_enters_departments_nodes_people_gateways_and_policy(office: Office) -> None:
    assert office.row("departments", "sales") == {
        "name": "部门 sales",
        "status": "active",
        "address": "127.0.0.1:7001",
        "key": hex_of("node sales"),
        "key_height": 0,
    }
    assert office.row("keys", hex_of("node sales")) == {
        "kind": "node",
        "id": "sales",
        "department": "sales",
        "status": "active",
    }
    assert office.row("people", "li")["version"] == 1
    assert office.row("gateways", "g1")["key"] == hex_of("gateway g1")
    assert office.row("counters", "administrators") == {"value": 1}
    assert office.row("policy", "current") == {"version": 1, "height": 0, "policy": default_policy()}


def test_a_genesis_policy_gives_parts_and_the_defaults_give_the_rest() -> None:
    policy = {"vault_holders_min": 3, "phone": {"contact_age_ms_max": 5_000}, "tables": {"wishes": ["title"]}}
    stored = Office(policy=policy).row("policy", "current")["policy"]
    assert (stored["vault_holders_min"], stored["phone"]["contact_age_ms_max"]) == (3, 5_000)
    assert stored["phone"]["gateways_required"] == 1
    assert sorted(stored["tables"]) == sorted([*default_policy()["tables"], "wishes"])
    assert stored["rules"] == default_policy()["rules"]


def test_four_departments_are_a_network_too() -> None:
    departments = [item for item in genesis_value()["departments"] if item["id"] not in ("process", "technical")]
    people = [{"id": "boss", "department": "administration", "role": "administrator", "key": hex_of("boss")}]
    office = Office(departments=departments, people=people)
    assert office.row("policy", "current")["policy"]["neighbours"] == ["sales", "finance", "after_sales"]
    assert office.ok("boss", "access.login")["role"] == "administrator"


BOSS = {"id": "boss", "department": "administration", "role": "administrator", "key": hex_of("boss")}


def _departments_without_administration() -> list[dict[str, Any]]:
    return [item for item in genesis_value()["departments"] if item["id"] != "administration"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"people": []}, "genesis.invalid"),
        ({"people": [BOSS | {"role": "operator"}]}, "genesis.invalid"),
        ({"people": [BOSS | {"department": "sales"}]}, "people.role"),
        ({"people": [BOSS | {"department": "marketing"}]}, "department.unknown"),
        ({"people": [BOSS | {"name": "王"}]}, "genesis.invalid"),
        ({"people": [BOSS | {"id": "Boss"}]}, "genesis.invalid"),
        ({"people": [BOSS | {"key": "00" * 32}]}, "key.invalid"),
        ({"people": [BOSS, BOSS]}, "people.exists"),
        ({"people": [BOSS, BOSS | {"id": "twin"}]}, "keys.taken"),
        ({"gateways": [{"id": "g1", "department": "sales"}]}, "genesis.invalid"),
        ({"gateways": [{"id": "g1", "department": "sales", "key": hex_of("node sales")}]}, "keys.taken"),
        ({"policy": {"vault_holders_min": 9}}, "policy.invalid"),
        ({"policy": {"phone": 1}}, "policy.invalid"),
        ({"departments": _departments_without_administration()}, "genesis.invalid"),
    ],
)
def test_a_genesis_is_refused_for(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(KehuError) as caught:
        Office(**changes)
    assert caught.value.code == code

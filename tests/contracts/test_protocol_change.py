"""The next version of the rules: agreed on like a change of membership, counting from its height on, old rules kept."""

from __future__ import annotations

from typing import Any

import pytest

from chain import protocol
from chain.errors import KehuError
from chain.protocol import SCHEDULE, TABLE
from tests.contracts.office import DAY_MS, Office
from tests.contracts.test_governance import agree, approve, effect, four, propose

UPGRADE = {"kind": "protocol", "version": 2}


@pytest.fixture
def network() -> Office:
    return four(protocol=1)


def grant(office: Office, name: str, expires_in_ms: int | None) -> Any:
    expires_ms = None if expires_in_ms is None else office.time_ms + expires_in_ms
    terms = {"grant": name, "subject": "department:finance", "actions": ["read"], "table": "customers", "scope": "all"}
    return {**terms, "fields": ["name"], "purpose": "*", "expires_ms": expires_ms}


def test_a_version_counts_from_the_height_that_the_departments_agreed_on(network: Office) -> None:
    said = propose(network, UPGRADE)["effect"]
    assert said["protocol"] == [1, 2]
    assert (said["n"], said["quorum"]) == ([4, 4], [3, 3])
    before = network.ledger.validators(network.ledger.height + 1).digest
    accepted = approve(network, UPGRADE, "clerk", "qian", "li")
    height = accepted["activation_height"]
    assert height == network.ledger.height + 8
    assert network.row(TABLE, SCHEDULE) == {"versions": [[0, 1], [height, 2]]}
    seen = {}
    while network.ledger.height < height:
        network.ok("boss", "access.login")
        seen[network.ledger.height] = network.ledger.head.header.version
    assert [at for at, version in seen.items() if version == 2] == [height]
    assert network.row("proposals", "p1")["status"] == "active"
    assert network.ledger.validators(height + 1).digest == before
    assert network.ledger.newest_validators()[0] == 0


def test_a_call_that_a_version_brings_does_not_exist_below_its_height(network: Office) -> None:
    limit = {"duration_ms_max": DAY_MS}
    assert network.code("boss", "permissions.limit_grants", **limit) == "call.unknown"
    network.ok("boss", "permissions.grant", **grant(network, "g-endless", None))
    agree(network, UPGRADE)
    network.ok("boss", "permissions.grant", **grant(network, "g-still-endless", None))
    assert network.code("li", "permissions.limit_grants", **limit) == "permission.administrator_only"
    assert network.ok("boss", "permissions.limit_grants", **limit) == limit
    assert network.code("boss", "permissions.grant", **grant(network, "g1", None)) == "grant.too_long"
    assert network.code("boss", "permissions.grant", **grant(network, "g1", 2 * DAY_MS)) == "grant.too_long"
    network.ok("boss", "permissions.grant", **grant(network, "g1", DAY_MS // 2))
    assert network.row("grants", "g-endless")["status"] == "active"
    network.ok("boss", "permissions.limit_grants", duration_ms_max=None)
    network.ok("boss", "permissions.grant", **grant(network, "g2", None))


@pytest.mark.parametrize("version", [0, 1, 3])
def test_versions_follow_each_other_one_by_one(network: Office, version: int) -> None:
    args = {"change": {"kind": "protocol", "version": version}, "effect": effect(network, UPGRADE)}
    assert network.code("boss", "governance.propose", proposal="p1", **args) == "governance.protocol"


@pytest.mark.parametrize("change", [{"kind": "protocol"}, {"kind": "protocol", "version": "2"}, {**UPGRADE, "more": 1}])
def test_a_change_of_the_protocol_has_exactly_its_parts(network: Office, change: dict[str, Any]) -> None:
    signed = effect(network, UPGRADE)
    assert (
        network.code("boss", "governance.propose", proposal="p1", change=change, effect=signed) == "governance.change"
    )


def test_what_is_signed_is_the_step_from_version_to_version(network: Office) -> None:
    args = {"change": UPGRADE, "effect": {**effect(network, UPGRADE), "protocol": [1, 3]}}
    assert network.code("boss", "governance.propose", proposal="p1", **args) == "governance.effect"


def test_a_release_that_speaks_less_agrees_to_the_change_and_goes_no_further(
    network: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "NEWEST", 1)
    propose(network, UPGRADE)
    height = approve(network, UPGRADE, "clerk", "qian", "li")["activation_height"]
    while network.ledger.height < height - 1:
        network.ok("boss", "access.login")
    with pytest.raises(KehuError) as caught:
        network.ok("boss", "access.login")
    assert caught.value.details == {"height": height, "needs": 2, "speaks": 1}
    monkeypatch.setattr(protocol, "NEWEST", 2)
    network.ok("boss", "access.login")
    assert network.ledger.head.header.version == 2


def test_a_new_network_begins_at_the_version_that_its_genesis_names() -> None:
    office = Office(protocol=2)
    office.ok("boss", "permissions.limit_grants", duration_ms_max=DAY_MS)
    assert office.ledger.head.header.version == 2

"""What one department can do alone: how often its node changes its key, and what its gateway said counts for."""

from __future__ import annotations

import pytest

from chain.protocol import NEWEST
from tests.contracts.test_governance import addition, agree, approve, four, node, pass_until, propose


def test_a_node_changes_its_own_key_so_often_and_then_only_by_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contracts.departments.governance.OWN_ROTATIONS_MAX", 1)
    monkeypatch.setattr("contracts.departments.governance.OWN_ROTATION_PACE", 0)
    for protocol, expected in ((NEWEST, "governance.too_many"), (3, "ok")):
        network = four(protocol)
        first = network.ok("node sales", "governance.rotate", proposal="r1", **node(network, "sales", "node sales 2"))
        pass_until(network, first["activation_height"])
        again = node(network, "sales", "node sales 3")
        other = network.ok(
            "node finance", "governance.rotate", proposal="r2", **node(network, "finance", "node finance 2")
        )
        pass_until(network, other["activation_height"])
        assert network.code("node sales 2", "governance.rotate", proposal="r3", **again) == expected
    network = four()
    change = {"kind": "rotate", "department": "sales", **node(network, "sales", "node sales 2")}
    monkeypatch.setattr("contracts.departments.governance.OWN_ROTATIONS_MAX", 0)
    propose(network, change)
    assert approve(network, change, "clerk", "qian", "sun")["status"] == "accepted"


def test_what_a_gateway_said_does_not_count_once_its_department_was_removed() -> None:
    for protocol, expected in ((NEWEST, "valid"), (3, "invalid")):
        network = four(protocol)
        agree(network, addition(network))
        network.ok(
            "boss", "gateways.enrol", gateway="g3", department="finance", **network.possession("g3", "gateway g3")
        )
        network.register("c1")
        policy = network.row("policy", "current")["policy"]
        policy["phone"]["gateways_required"] = 2
        network.ok("boss", "permissions.set_policy", policy=policy)
        for gateway in ("g2", "g3"):
            if gateway == "g3":
                agree(network, {"kind": "remove", "department": "sales"}, "p2")
            answer = network.attest("c1", outcome="none", gateway=gateway).to_value()
            status = network.ok(f"gateway {gateway}", "phone.record", attestation=answer)["status"]
        assert status == expected

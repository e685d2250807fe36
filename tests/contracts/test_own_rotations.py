"""How often a node changes its own key without the others."""

from __future__ import annotations

import pytest

from chain.protocol import NEWEST
from tests.contracts.test_governance import approve, four, node, pass_until, propose


def test_a_node_changes_its_own_key_so_often_and_then_only_by_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contracts.governance.OWN_ROTATIONS_MAX", 1)
    monkeypatch.setattr("contracts.governance.OWN_ROTATION_PACE", 0)
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
    monkeypatch.setattr("contracts.governance.OWN_ROTATIONS_MAX", 0)
    propose(network, change)
    assert approve(network, change, "clerk", "qian", "sun")["status"] == "accepted"

"""Who would hold a transaction's values: without trying it where the state as it is says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.attestation import sign_attestation
from chain.errors import KehuError
from chain.transaction import Call, Transaction
from node.vault import planning
from node.vault.planning import Plan
from node.vault.values import FieldId
from tests.contracts.office import key_of
from tests.node.vault_network import Network, network


def update(net: Network, version: int, customer: str = "c1", **texts: str) -> Transaction:
    values = [net.value(customer, field, text) for field, text in texts.items()]
    fields = net.digests(*values)
    return net.transaction("li", Call("customers.update", {"customer": customer, "version": version, "fields": fields}))


async def plans(net: Network, *transactions: Transaction) -> list[Plan]:
    made = await net.nodes["sales"].exchange.duties.plan(transactions, "sales")
    assert not [one for one in made if isinstance(one, KehuError)]
    return [one for one in made if isinstance(one, Plan)]


async def test_a_change_of_a_record_that_is_there_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with network(tmp_path) as net:
        assert (await net.submit(net.registration())).is_ok
        monkeypatch.setattr(planning, "execute", None)
        (plan,) = await plans(net, update(net, 1, name="李四", position="经理"))
        name = (FieldId("customers", "c1", "name"), net.digest("c1", "name", "李四"))
        assert plan.required == (name,)  # the position is the current one, which is held already
        assert plan.holders[name] == ("administration", "finance", "sales")


async def test_a_change_in_place_is_planned_as_it_would_be_if_it_were_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with network(tmp_path) as net:
        assert (await net.submit(net.registration())).is_ok
        changes = [update(net, 1, name="李四"), update(net, 2, name="王五", position="总监")]
        in_place = await plans(net, *changes)
        monkeypatch.setattr(planning, "_IN_PLACE", frozenset())
        assert await plans(net, *changes) == in_place


async def test_what_was_not_tried_is_tried_before_a_transaction_that_builds_on_it(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        assert (await net.submit(net.registration())).is_ok
        phone, identifier = net.value("c1", "phone", "+8613800000002"), net.value("c1", "identifier", "somebody new")
        digests = net.digests(phone, identifier)
        attestation = sign_attestation(
            key_of("gateway g1"),
            net.chain_id,
            customer="c1",
            phone_digest=digests["phone"],
            outcome="found",
            identifier_digest=digests["identifier"],
            carrier="carrier-1",
            time_ms=net.time_ms,
            nonce=bytes(16),
            gateway="g1",
        ).to_value()
        args = {
            "customer": "c1",
            "version": 2,
            "fields": net.digests(phone),
            "attestation": attestation,
            "temporary": False,
        }
        change_phone = net.transaction("li", Call("customers.change_phone", args))
        _, plan = await plans(net, update(net, 1, name="李四"), change_phone)
        assert (FieldId("customers", "c1", "identifier"), digests["identifier"]) in plan.required

"""What a holder takes before the block: values that it may hold, of transactions that can commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain import codec
from chain.errors import KehuError
from chain.transaction import Transaction
from tests.node.vault_network import network, staged_code


async def test_a_department_refuses_values_that_it_may_not_hold(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        assert await staged_code(net, (transaction, values[:1]), "sales", "technical") == "vault.not_entitled"
        assert await staged_code(net, (transaction, values), "sales", "finance") == "vault.not_entitled"
        assert await staged_code(net, (transaction, values[:1]), "sales", "finance") == "ok"
        assert net.nodes["technical"].staged() == []


async def test_a_holder_checks_the_values_against_the_envelope(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        transaction, _ = net.registration()
        wrong = [net.value("c1", "name", "李四")]
        assert await staged_code(net, (transaction, wrong), "sales", "finance") == "vault.other_value"
        assert net.nodes["finance"].staged() == []


async def test_a_holder_takes_nothing_under_a_forged_signature(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        forged = Transaction.from_bytes(codec.encode([transaction.body, bytes(64)]))
        with pytest.raises(KehuError) as raised:
            await staged_code(net, (forged, values), "sales", "finance")
        assert raised.value.details["reason"] == "signature.invalid"
        assert net.nodes["finance"].staged() == []


async def test_a_holder_takes_nothing_from_a_department_through_which_the_sender_can_not_come(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        assert await staged_code(net, (transaction, values[:1]), "technical", "finance") == "transaction.elsewhere"


@pytest.mark.parametrize(("expires", "code"), [(0, "transaction.expired"), (10**9, "transaction.expiry_too_far")])
async def test_a_holder_keeps_nothing_for_a_transaction_that_can_not_commit(
    tmp_path: Path, expires: int, code: str
) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        again = net.transaction("li", *transaction.calls, expires=expires)
        assert await staged_code(net, (again, values[:1]), "sales", "finance") == code
        assert net.nodes["finance"].staged() == []

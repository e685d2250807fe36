"""A node that came up shows no value before a quorum has told it that it missed nothing."""

from __future__ import annotations

import asyncio

import pytest

from chain import codec
from chain.errors import KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from contracts.registry import contract_table
from node import level as level_module
from node.level import Level
from node.peers.exchange import PEER_DISCONNECTED
from tests.contracts.office import genesis_value
from tests.node.peer_kit import until


class Others:
    """What the other departments answer: their blocks after the asked height, or nothing at all."""

    def __init__(self, **newer: int | None) -> None:
        self.newer = newer
        self.asked = 0

    async def request(self, department: str, _kind: str, payload: bytes, _timeout_s: float) -> bytes:
        self.asked += 1
        height, count = codec.decode(payload, 64)
        assert (height, count) == (1, 1)
        newer = self.newer.get(department)
        if newer is None:
            raise KehuError(PEER_DISCONNECTED, department=department)
        return codec.encode([[b"block", b"certificate"]] * newer)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Six departments: a quorum is four."""
    monkeypatch.setattr(level_module, "PAUSE_S", 0.001)
    return Ledger.at_genesis(Genesis.from_value(genesis_value()), contract_table())[0]


async def test_a_node_is_level_once_a_quorum_has_nothing_newer(ledger: Ledger) -> None:
    others = Others(finance=0, process=0)
    level = Level("sales", ledger, others.request)
    task = asyncio.create_task(level.run())
    await until(lambda: others.asked > 20)
    assert not level.is_reached
    others.newer["technical"] = 0
    await task
    await level.require(0)


async def test_a_department_with_newer_blocks_does_not_count_until_this_node_has_them(ledger: Ledger) -> None:
    others = Others(finance=0, process=0, technical=1, administration=1)
    level = Level("sales", ledger, others.request)
    task = asyncio.create_task(level.run())
    await until(lambda: others.asked > 20)
    with pytest.raises(KehuError) as raised:
        await level.require(0.001)
    assert raised.value.code == "node.not_level"
    others.newer["technical"] = 0
    await task
    assert level.is_reached

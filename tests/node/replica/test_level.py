"""A node that came up shows no value before a quorum has told it that it missed nothing."""

from __future__ import annotations

import asyncio

import pytest

from chain import codec
from chain.errors import KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from contracts.registry import contract_table
from node.peers.exchange import PEER_DISCONNECTED
from node.replica import level as level_module
from node.replica.level import Level
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
        assert count == 1
        newer = self.newer.get(department)
        if newer is None:
            raise KehuError(PEER_DISCONNECTED, department=department)
        return answer(height <= newer)


def answer(has_block: bool) -> bytes:
    return codec.encode([[b"block", b"certificate"]] * has_block)


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


class Moving:
    """A ledger that follows the others a block behind: they have the next one whenever it is asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self.height, self.validators = 0, ledger.validators

    async def request(self, _department: str, _kind: str, payload: bytes, _timeout_s: float) -> bytes:
        height, _ = codec.decode(payload, 64)
        self.height += 1
        return answer(height <= self.height + 1)


async def test_a_node_that_follows_a_block_behind_is_level_once_it_has_what_the_others_had(ledger: Ledger) -> None:
    moving = Moving(ledger)
    level = Level("sales", moving, moving.request)  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await level.run()
    assert level.is_reached


async def test_a_node_far_behind_is_not_level_before_it_has_what_the_others_had(ledger: Ledger) -> None:
    others = Others(finance=20, process=20, technical=20)
    moving = Moving(ledger)
    level = Level("sales", moving, others.request)  # type: ignore[arg-type]
    task = asyncio.create_task(level.run())
    for height in (0, 10, 12, 13, 19):
        moving.height, asked = height, others.asked
        await until(lambda asked=asked: others.asked > asked + 12)
        assert not level.is_reached, height
    moving.height = 20
    await task


async def test_one_that_does_not_answer_holds_nobody_up(ledger: Ledger) -> None:
    others = Others(finance=0, process=0, technical=1)

    async def request(department: str, kind: str, payload: bytes, timeout_s: float) -> bytes:
        if department == "administration":
            await asyncio.Event().wait()
        return await others.request(department, kind, payload, timeout_s)

    level = Level("sales", ledger, request)
    task = asyncio.create_task(level.run())
    await until(lambda: others.asked > 20)
    others.newer["technical"] = 0
    async with asyncio.timeout(20):
        await task

"""Receipts of erasures where there are many: each is looked at a few times, and the node's other work goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from chain.transaction import Call
from contracts.erasing.erasure import ERASURES
from node.vault.erasure import CONFIRMED_AT_ONCE, Erasures, ErasureTiming
from node.vault.planning import TURN
from node.vault.seal import RecordId
from tests.node.peer_kit import until

MANY = 20 * CONFIRMED_AT_ONCE


class Office:
    """The state's erasures and the vault's, and what was asked about them; `submit` puts receipts on the chain."""

    department = "sales"

    def __init__(self, names: Iterable[str]) -> None:
        self.waiting = {name: [self.department, "finance"] for name in names}
        self.asked: Counter[str] = Counter()
        self.sent: list[int] = []

    def view(self) -> Office:
        return self

    def get(self, table: str, key: str) -> dict[str, Any]:
        assert table == ERASURES
        self.asked[key] += 1
        return {"waiting": self.waiting[key.removeprefix("customers.")]}

    def erased(self) -> dict[RecordId, int]:
        return {RecordId("customers", name): 3 for name in self.waiting}

    async def submit(self, calls: Sequence[Call]) -> None:
        self.sent.append(len(calls))
        for call in calls:
            self.waiting[str(call.args["record"])].remove(self.department)


@pytest.fixture
def office() -> Office:
    return Office(f"c{number}" for number in range(MANY))


async def confirmed(office: Office) -> None:
    """Runs until nothing is left to be confirmed."""
    erasures = Erasures(office, office, office.submit, ErasureTiming())  # type: ignore[arg-type]
    erasures.expect(office.erased())
    running = asyncio.create_task(erasures.run())
    await until(lambda: not erasures.unconfirmed)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_however_many_erasures_wait_for_receipts_each_is_looked_at_a_few_times(office: Office) -> None:
    await confirmed(office)
    assert office.sent == [CONFIRMED_AT_ONCE] * (MANY // CONFIRMED_AT_ONCE)
    assert max(office.asked.values()) <= 3


async def test_who_looks_which_old_erasures_lack_a_receipt_lets_others_have_their_turns(office: Office) -> None:
    for departments in office.waiting.values():
        departments.remove(office.department)
    in_a_turn: list[int] = []

    async def watch() -> None:
        before = 0
        while True:
            await asyncio.sleep(0)
            now = office.asked.total()
            in_a_turn.append(now - before)
            before = now

    watching = asyncio.create_task(watch())
    await confirmed(office)
    watching.cancel()
    assert office.sent == []
    assert sum(in_a_turn) == MANY
    assert max(in_a_turn) <= TURN

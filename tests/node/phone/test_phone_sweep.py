"""A node's own sweep, with a desk that says what it is told: who is asked, what is counted, what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chain.errors import KehuError
from node.carrier.config import PhoneDuties
from node.phone.desk import PHONE_NO_GATEWAY
from node.phone.due import Due, DuePage, is_due
from node.phone.sweep import NOT_READY_S, PAGE, Sweeper
from node.storage.durable import storage_failures

DAY_MS = 86_400_000


class Desk:
    """`customers` are due until they have an answer; `outcomes` says what comes of a check."""

    def __init__(self, *customers: str, page: int = 2) -> None:
        self.waiting = list(customers)
        self.page = page
        self.outcomes: dict[str, Any] = {}
        self.asked: list[str] = []
        self.at_once = self.at_once_max = 0

    async def due(self, key: bytes | None, after: int, limit: int) -> DuePage:
        assert (key, limit) == (None, PAGE)
        chosen = self.waiting[after : after + self.page]
        items = tuple(Due(name, after + place, "valid", None) for place, name in enumerate(chosen, 1))
        last = after + len(chosen)
        return DuePage(items, last if last < len(self.waiting) else None, DAY_MS)

    async def check_due(self, customer: str) -> Mapping[str, Any]:
        self.asked.append(customer)
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        await asyncio.sleep(0)
        self.at_once -= 1
        outcome = self.outcomes.get(customer, {"outcome": "found", "status": "valid"})
        if isinstance(outcome, Exception):
            raise outcome
        return {"was_asked": True, **outcome}


def sweeper(desk: Desk, **duties: Any) -> Sweeper:
    return Sweeper(desk, PhoneDuties(sweep=True, **duties), lambda: 1_000, lambda: True)


async def test_everybody_due_is_checked_once_page_by_page_and_counted_by_what_came_of_it() -> None:
    desk = Desk("c1", "c2", "c3", "c4", "c5")
    desk.outcomes = {
        "c2": {"outcome": "no_answer", "status": "valid"},
        "c3": {"outcome": "changed", "status": "invalid"},
        "c4": KehuError(PHONE_NO_GATEWAY, department="sales"),
        "c5": {"was_asked": False, "status": "valid"},
    }
    work = sweeper(desk)
    await work.sweep()
    assert desk.asked == ["c1", "c2", "c3", "c4", "c5"]
    status = work.status()
    assert status["counts"] == {"failed": 1, "invalid": 1, "no_answer": 1, "valid": 1}
    assert (status["is_running"], status["started_ms"], status["ended_ms"]) == (False, 1_000, 1_000)


async def test_no_more_customers_at_once_than_configured() -> None:
    desk = Desk(*(f"c{n}" for n in range(40)), page=40)
    await sweeper(desk, concurrency=3).sweep()
    assert (len(desk.asked), desk.at_once_max) == (40, 3)


async def test_a_failing_disk_ends_the_sweep_and_with_it_the_node(tmp_path: Path) -> None:
    desk = Desk("c1")
    try:
        with storage_failures(tmp_path, "write"):
            raise OSError(28, "no space left")
    except KehuError as failure:
        desk.outcomes["c1"] = failure
    with pytest.raises(KehuError, match=r"storage\."):
        await sweeper(desk).run()


async def test_a_node_that_is_not_ready_asks_nobody_and_looks_again_soon() -> None:
    desk, slept, ready = Desk("c1"), [], [False, False, True, True]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if not ready:
            raise asyncio.CancelledError

    work = Sweeper(desk, PhoneDuties(sweep=True, interval_s=600), lambda: 0, lambda: ready.pop(0), sleep)
    with pytest.raises(asyncio.CancelledError):
        await work.run()
    assert slept == [NOT_READY_S, NOT_READY_S, 600, 600]
    assert desk.asked == ["c1", "c1"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"checked_ms": 999_000 - DAY_MS}, True),
        ({"checked_ms": None}, True),
        ({"checked_ms": None, "status": "temporary"}, True),
        ({"checked_ms": None, "status": "invalid", "reason": "unavailable"}, True),
        ({"checked_ms": None, "status": "invalid", "reason": "reassigned"}, False),
        ({"checked_ms": None, "fields": {"name": [b"", 1]}}, False),
    ],
)
def test_who_is_due(changes: dict[str, Any], expected: bool) -> None:
    record = {"status": "valid", "reason": None, "checked_ms": 1_000_000 - DAY_MS, "fields": {"phone": [b"", 1]}}
    assert is_due(record | changes, 1_000_000, DAY_MS) is expected

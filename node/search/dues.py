"""Payments by whether they are overdue: stored nowhere, since it follows from the time (contracts.projects.dues)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from contracts.projects import dues
from node.search.index import TableIndex

TURN: Final = 256
"""Records looked at before others get a turn of the event loop."""


async def by_overdue(table: TableIndex, time_ms: int, *, is_overdue: bool) -> set[str]:
    """Of the records that have a due time those that are overdue at `time_ms`, or those that are not."""
    due, state = table.columns["fact", "due_ms"], table.columns["fact", "state"]
    late: set[str] = set()
    async for record in _in_turns(state.records(f"{dues.OPEN}\0".encode())):
        entry = due.entry_of(record)
        if entry is not None and dues.is_overdue(_payment(entry), time_ms):
            late.add(record)
    return late if is_overdue else {record async for record in _in_turns(due.records(b"")) if record not in late}


async def _in_turns(records: Iterable[str]) -> AsyncIterator[str]:
    for number, record in enumerate(records):
        if number % TURN == 0:
            await asyncio.sleep(0)
        yield record


def _payment(entry: bytes) -> dict[str, object]:
    """What the rule asks of an open payment."""
    return {"state": dues.OPEN, "due_ms": int(entry.partition(b"\0")[0])}

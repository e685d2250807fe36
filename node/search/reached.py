"""The records that are reached through projects and customers (contracts.deciding.reach), for who looks among them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from chain.state import View
from contracts.deciding.permissions import Horizon
from contracts.deciding.reach import dependants
from node.search.index import RecordIndex

TURN = 64


async def records_within(view: View, index: RecordIndex, table: str, horizon: Horizon) -> list[set[str]] | None:
    """The records of a table that the horizon leaves, as sets for looking only; None if it leaves all."""
    if horizon.is_open:
        return None
    known = index.tables[table]
    found = known.assigned.sets_of(horizon.assigned) + known.granted.sets_of(horizon.granted)
    if horizon.projects:
        found.append(await reached(view, table, (("projects", one) for one in horizon.projects)))
    if horizon.hands is None:
        return found
    projects, customers = (
        index.tables[name].assigned.records_of(horizon.assigned) for name in ("projects", "customers")
    )
    projects |= set(at_stage(index, horizon.hands))
    through = [("projects", one) for one in projects] + [("customers", one) for one in customers]
    return [*found, await reached(view, table, through)]


def at_stage(index: RecordIndex, department: str) -> Iterable[str]:
    """The projects in a department's hands."""
    return index.tables["projects"].columns["fact", "stage"].records(f"{department}\0".encode())


async def reached(view: View, table: str, through: Iterable[tuple[str, str]]) -> set[str]:
    """The records of `table` that are reached through these (table, id), which count as reached themselves."""
    found: set[str] = set()
    for number, (of, owner) in enumerate(through):
        if of == table:
            found.add(owner)
        found.update(record for kind, record in dependants(view, of, owner) if kind == table)
        if number % TURN == 0:
            await asyncio.sleep(0)
    return found

"""Finding: the records of a table that a query asks for and the reader may be told of, in order.

Filters are tried where fewer records are to be looked at: either in the records of the rarest filter, which are then
put in order, or along the order itself until the page is full. Every so many records others get a turn of the event
loop; the index may change meanwhile, so a walk goes on after the last entry and not at a place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from chain.errors import KehuError, define
from node.search.columns import Column, record_of
from node.search.index import TableIndex
from node.search.query import Filter, Query
from node.search.text import normalise

TURN: Final = 256
"""Entries handed out before others get a turn of the event loop."""
BY_SET: Final = ("stage", "overdue")
"""Kinds of filters that no column answers by itself: whoever asks brings the records that they leave."""

SEARCH_NOT_INDEXED = define(
    "search.not_indexed",
    "records can't be looked for or ordered by this",
    "name a field that the policy has for the table and this department may hold (notes, addresses and identifiers "
    "are not indexed), or one of the facts in docs/api.md",
)
SEARCH_CURSOR = define(
    "search.cursor",
    "the record after which the page should begin is none that this search may find, or has no value any more by which "
    "the records are ordered",
    "begin again from the first page",
)


@dataclass(frozen=True, slots=True)
class _Test:
    """One filter: how many records pass it, which, and whether one does."""

    count: int
    records: Callable[[], Iterator[str]]
    passes: Callable[[str], bool]


async def find(
    table: TableIndex,
    query: Query,
    horizon: Sequence[set[str]] | None,
    accepts: Callable[[str], bool],
    limit: int,
    sets: Sequence[set[str]] = (),
) -> tuple[list[str], bool]:
    """At most `limit` ids, and whether there are more.

    horizon: no others than in these sets are accepted anyway (None: all may be); sets: what the filters of the kinds
    `BY_SET` leave.

    Errors: search.not_indexed, search.cursor.
    """
    order = _column(table, *query.sort)
    after = None if query.after is None else _entry_after(order, query.after, accepts)
    tests = [_test(table, one) for one in query.where if one.kind not in BY_SET]
    tests += [_within([records]) for records in sets]
    if horizon is not None:
        tests.append(_within(horizon))
    tests.sort(key=lambda test: test.count)
    found: dict[str, None] = {}  # whose value changes on the way may come by twice
    async for record in _candidates(order, tests, query, after, limit):
        if record not in found and all(test.passes(record) for test in tests) and accepts(record):
            if len(found) == limit:
                return list(found), True
            found[record] = None
    return list(found), False


def _entry_after(order: Column, record: str, accepts: Callable[[str], bool]) -> bytes:
    """Where a page goes on. What comes behind a record tells about its value, so it has to be one that the reader may
    be told of; which of the two is lacking is not said. Errors: search.cursor."""
    entry = order.entry_of(record)
    if entry is None or not accepts(record):
        raise KehuError(SEARCH_CURSOR, after=record)
    return entry


async def _candidates(
    order: Column, tests: list[_Test], query: Query, after: bytes | None, limit: int
) -> AsyncIterator[str]:
    start = _start_of(query)
    entries = _gathered(order, tests[0], query, after) if _is_gathered(order, start, tests, limit) else None
    while True:
        if entries is None:
            page = order.slice(start, after, TURN, descending=query.descending)
            after = page[-1] if page else None
        else:
            page, entries = entries[:TURN], entries[TURN:]
        if not page:
            return
        for entry in page:
            yield record_of(entry)
        await asyncio.sleep(0)


def _start_of(query: Query) -> bytes:
    """How the entries of the order must begin, if the query says so; the longest such beginning."""
    starts = [
        normalise(one.text).encode() for one in query.where if one.kind == "field" and ("field", one.name) == query.sort
    ]
    return max(starts, key=len, default=b"")


def _is_gathered(order: Column, start: bytes, tests: list[_Test], limit: int) -> bool:
    """Whether the rarest filter has fewer records than a walk along the order would look at for a page, if filters
    have nothing to do with each other."""
    if not tests:
        return False
    known = max(1, len(order))
    fitting = float(known)
    for test in tests:
        fitting *= min(1.0, test.count / known)
    walked = min(float(order.count(start)), (limit + 1) * order.count(start) / max(fitting, 1.0))
    return tests[0].count < walked


def _gathered(order: Column, test: _Test, query: Query, after: bytes | None) -> list[bytes]:
    """The entries of the records that pass the rarest test, in order."""
    entries = (order.entry_of(record) for record in test.records())
    known = sorted((entry for entry in entries if entry is not None), reverse=query.descending)
    if after is None:
        return known
    return [entry for entry in known if (entry < after if query.descending else entry > after)]


def _within(sets: Sequence[set[str]]) -> _Test:
    return _Test(
        sum(map(len, sets)),
        lambda: iter(dict.fromkeys(chain.from_iterable(sets))),
        sets[0].__contains__ if len(sets) == 1 else lambda record: any(record in one for one in sets),
    )


def _test(table: TableIndex, one: Filter) -> _Test:
    if one.kind == "assigned":
        ties = table.assigned
        return _Test(
            ties.count(one.text), lambda: iter(ties.records_of([one.text])), lambda record: ties.has(record, one.text)
        )
    column = _column(table, one.kind, one.name)
    start = (one.text.encode() + b"\0") if one.kind == "fact" else normalise(one.text).encode()
    return _Test(column.count(start), lambda: column.records(start), lambda record: column.begins(record, start))


def _column(table: TableIndex, kind: str, name: str) -> Column:
    """Errors: search.not_indexed."""
    column = table.columns.get((kind, name))
    if column is None:
        raise KehuError(SEARCH_NOT_INDEXED, kind=kind, name=name if name.isascii() and len(name) <= 32 else "-")
    return column

"""A search, answered: what the reader put on the record is compared with what is asked, records are found, and they
go on the record before the reader hears of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chain.errors import KehuError, define
from chain.ledger import Ledger
from chain.state import View
from chain.transaction import Call
from contracts.deciding.permissions import Case
from contracts.deciding.subjects import subject_of_person
from contracts.errors import SEARCH_UNKNOWN
from contracts.reading.searches import may_be_found
from contracts.records import RECORD_TABLES
from node.intake.waiting import Committed
from node.search.dues import by_overdue
from node.search.finding import BY_SET, find
from node.search.index import RecordIndex
from node.search.query import Filter, Query
from node.search.reached import at_stage, reached, records_within

SEARCH_NOT_READY = define(
    "search.not_ready",
    "the node is still reading its vault, and would leave records out",
    "search again in a moment",
)
SEARCH_TABLE = define(
    "search.table",
    "the table is a log, and no table of records; nothing is searched for in it",
    "read it by record, person and time: `kehu log`",
)
SEARCH_OTHER_QUERY = define(
    "search.other_query",
    "the query is not the one whose digest was put on the record, or goes over other fields than were named there",
    "send the query that was searched for, with its salt",
)

CommitOwn = Callable[[list[Call]], Awaitable[Committed]]
"""Puts a transaction of the node's own on the chain; raises unless it is "ok"."""


@dataclass(frozen=True, slots=True)
class Found:
    """Which transaction answers the search, and the record to go on after (None at the end)."""

    transaction_id: bytes
    height: int
    next: str | None


class SearchDesk:
    def __init__(self, ledger: Ledger, index: RecordIndex, commit_own: CommitOwn, now_ms: Callable[[], int]) -> None:
        self._ledger, self._index = ledger, index
        self._commit_own = commit_own
        self._now_ms = now_ms

    async def answer(self, key: bytes, person: str, number: int, salt: bytes, query: Query) -> Found:
        """Errors: search.*, and what access.found is refused with."""
        view = View(self._ledger.state.get)
        row = view.get("searches", f"{person}.{number}")
        if row is None or row["key"] != key.hex():
            raise KehuError(SEARCH_UNKNOWN, person=person, search=number)
        if query.digest(self._ledger.genesis.chain_id, salt) != row["query"] or query.over != sorted(row["over"]):
            raise KehuError(SEARCH_OTHER_QUERY, person=person, search=number)
        if row["table"] not in RECORD_TABLES:
            raise KehuError(SEARCH_TABLE, table=row["table"])
        table = self._index.tables.get(row["table"])
        if not self._index.is_ready or table is None:
            raise KehuError(SEARCH_NOT_READY)
        await self._index.catch_up()
        case = Case(view, subject_of_person(view, person), "read", row["table"], row["purpose"], self._now_ms())
        sets = [await self._left_by(view, row, one) for one in query.where if one.kind in BY_SET]
        ids, has_more = await find(
            table,
            query,
            await records_within(view, self._index, row["table"], case.horizon()),
            lambda record: may_be_found(case, record, row["over"], row["fields"]),
            row["limit"],
            sets,
        )
        committed = await self._commit_own(
            [Call("access.found", {"person": person, "search": number, "records": list(ids)})]
        )
        looked = committed.receipt.results[0]["looked"]
        following = ids[looked - 1] if ids and (has_more or looked < len(ids)) else None
        return Found(committed.receipt.transaction_id, committed.height, following)

    async def _left_by(self, view: View, row: Mapping[str, Any], one: Filter) -> set[str]:
        """The records that a filter of the kinds `BY_SET` leaves; what is overdue, at the time of the search's block,
        which everybody can look up and which goes by no machine's clock alone."""
        if one.kind == "overdue":
            return await by_overdue(self._index.tables[row["table"]], row["time_ms"], is_overdue=one.text == "true")
        return await reached(view, row["table"], [("projects", it) for it in at_stage(self._index, one.text)])

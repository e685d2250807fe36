"""Is there a customer with this number already? Asked before one is recorded, answered as far as the asker may know.

The numbers stay between the asker and the own department's node. The node finds records whose values it holds, leaves
out those whose phone the asker may not read, and puts the rest on the record (access.match), where every department
decides once more; only then the ids are told. That there is a customer whom the asker may not see is not told at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from chain.state import View
from chain.transaction import Call
from contracts.deciding.permissions import Case
from contracts.deciding.subjects import subject_of_person
from contracts.reading.matches import MATCHES_MAX
from node.carrier.numbers import parse_number
from node.intake.waiting import Committed

TABLE: Final = "customers"
FIELD: Final = "phone"
NAMED_MAX: Final = 5
"""Records named for one number."""

Lookup = Callable[[Sequence[str]], Awaitable[list[list[str]]]]
"""For each number in E.164 the customers that have it, of those whose numbers are held here."""
CommitOwn = Callable[[list[Call]], Awaitable[Committed]]
"""Puts a transaction of the node's own on the chain; raises unless it is "ok"."""


class DuplicateDesk:
    def __init__(
        self, view: Callable[[], View], lookup: Lookup, commit_own: CommitOwn, now_ms: Callable[[], int]
    ) -> None:
        self._view = view
        self._lookup = lookup
        self._commit_own = commit_own
        self._now_ms = now_ms

    async def find(self, person: str, phones: Sequence[str], purpose: str) -> list[list[str]]:
        """For each number the customers with it, at most `NAMED_MAX`, that the person may know of.

        Errors: phone.malformed, phone.impossible, phone.unassigned, and what access.match is refused with.
        """
        numbers = [parse_number(phone, None) for phone in phones]
        found = await self._lookup(numbers)
        view = self._view()
        case = Case(view, subject_of_person(view, person), "read", TABLE, purpose, self._now_ms())
        known = [[record for record in records if case.decide(record, FIELD).allowed][:NAMED_MAX] for records in found]
        told = await self._record(person, sorted({record for records in known for record in records}), purpose)
        return [[record for record in records if record in told] for records in known]

    async def _record(self, person: str, records: list[str], purpose: str) -> set[str]:
        """Which of the records the departments let the person know of."""
        if not records:
            return set()
        about = {"person": person, "table": TABLE, "field": FIELD, "purpose": purpose}
        calls = [
            Call("access.match", {**about, "records": records[begin : begin + MATCHES_MAX]})
            for begin in range(0, len(records), MATCHES_MAX)
        ]
        committed = await self._commit_own(calls)
        return {record for result in committed.receipt.results for record in result["records"]}

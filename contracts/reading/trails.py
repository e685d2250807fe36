"""Trails: the rows of a log that belong together, numbered from 1 in order of time, and found without scans.

One record's accesses or changes and one person's logins are numbered by their own keys; what one person read or
changed, and everything of a kind, by a journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from chain.errors import InvariantError
from chain.state import View
from contracts.base import count_of
from contracts.reading.journals import entry_at, length_of

LOGINS: Final = "logins"
ACCESSES: Final = "accesses"
CHANGES: Final = "changes"
LOGS: Final = (LOGINS, ACCESSES, CHANGES)
"""The tables that tell what people did; a policy's rules and grants name them like any others."""


@dataclass(frozen=True, slots=True)
class Trail:
    """`key_at` gives the key, in table `log`, of the row with a number from 1 to `last`."""

    log: str
    last: int
    key_at: Callable[[int], str]

    def row_at(self, view: View, number: int) -> dict[str, Any]:
        """{number, person | table and record, ...the row}."""
        key = self.key_at(number)
        row = view.get(self.log, key)
        if row is None:
            raise InvariantError("a log lacks a row that was counted")
        parts = key.split(".")
        about = {"person": parts[0]} if self.log == LOGINS else {"table": parts[0], "record": parts[1]}
        return {"number": number, **about, **row}

    def first_since(self, view: View, time_ms: int) -> int:
        """The number of the first row made at or after `time_ms`; `last` + 1 if there is none."""
        low, high = 1, self.last + 1
        while low < high:
            middle = (low + high) // 2
            if self.row_at(view, middle)["time_ms"] < time_ms:
                low = middle + 1
            else:
                high = middle
        return low


def trail_of_record(view: View, log: str, table: str, record_id: str, version: int) -> Trail:
    """A record's accesses or changes; `version` is the record's present one."""
    last = version if log == CHANGES else count_of(view, f"accesses.{table}.{record_id}")
    return Trail(log, last, lambda number: f"{table}.{record_id}.{number}")


def trail_of_person(view: View, log: str, person: str) -> Trail:
    """What one person did."""
    if log == LOGINS:
        return Trail(log, count_of(view, f"logins.{person}"), lambda number: f"{person}.{number}")
    return _journal(view, log, f"{log}.person:{person}")


def trail_of_all(view: View, log: str) -> Trail:
    return _journal(view, log, log)


def _journal(view: View, log: str, name: str) -> Trail:
    return Trail(log, length_of(view, name), lambda number: entry_at(view, name, number))

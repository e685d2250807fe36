"""Columns and ties: for each record one text of a field or fact, in order; and the subjects it is tied to.

An entry of a column is UTF-8 of the text, a zero byte and the record's id. Bytes of UTF-8 are ordered as code points
are, and one bytes object per value and record is little memory.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

SETTLE_AT_ONCE: Final = 64
"""Changes up to this number are put in place one by one, more are sorted in together."""
UNSETTLED_MAX: Final = 10_000
"""Changes that wait for somebody who looks."""
_AFTER_ALL: Final = b"\xff"
"""A byte that no UTF-8 has."""


def record_of(entry: bytes) -> str:
    return entry[entry.rindex(b"\0") + 1 :].decode()


class Column:
    """At most one text for each record."""

    def __init__(self) -> None:
        self.of: dict[str, bytes] = {}
        """Each record's entry."""
        self._entries: list[bytes] = []
        self._changed: dict[str, bytes | None] = {}
        """What `_entries` has of records of which that is not the present entry."""

    def __len__(self) -> int:
        return len(self.of)

    def put(self, record: str, text: str | None) -> None:
        """Sets the record's text; None and "" take it away. The order is made when somebody looks."""
        entry = f"{text}\0{record}".encode() if text else None
        before = self.of.get(record)
        if before == entry:
            return
        if entry is None:
            del self.of[record]
        else:
            self.of[record] = entry
        self._changed.setdefault(record, before)
        if len(self._changed) > UNSETTLED_MAX:
            self._settled()

    def entry_of(self, record: str) -> bytes | None:
        return self.of.get(record)

    def begins(self, record: str, start: bytes) -> bool:
        entry = self.of.get(record)
        return entry is not None and entry.startswith(start)

    def count(self, start: bytes) -> int:
        """How many entries begin so."""
        entries = self._settled()
        return bisect_left(entries, start + _AFTER_ALL) - bisect_left(entries, start)

    def records(self, start: bytes) -> Iterator[str]:
        entries = self._settled()
        for place in range(bisect_left(entries, start), bisect_left(entries, start + _AFTER_ALL)):
            yield record_of(entries[place])

    def slice(self, start: bytes, after: bytes | None, size: int, *, descending: bool) -> list[bytes]:
        """Of the entries that begin with `start`, the next ones behind `after` in order; none when it was the last."""
        entries = self._settled()
        begin, end = bisect_left(entries, start), bisect_left(entries, start + _AFTER_ALL)
        if descending:
            end = end if after is None else min(end, bisect_left(entries, after))
            return entries[max(begin, end - size) : end][::-1]
        begin = begin if after is None else max(begin, bisect_left(entries, after + b"\0"))
        return entries[begin : min(end, begin + size)]

    def _settled(self) -> list[bytes]:
        if not self._changed:
            return self._entries
        gone = [entry for entry in self._changed.values() if entry is not None]
        new = [self.of[record] for record in self._changed if record in self.of]
        if len(self._changed) > SETTLE_AT_ONCE:
            absent = set(gone)
            self._entries = sorted([entry for entry in self._entries if entry not in absent] + new)
        else:
            for entry in gone:
                del self._entries[bisect_left(self._entries, entry)]
            for entry in new:
                insort(self._entries, entry)
        self._changed = {}
        return self._entries


class Ties:
    """Which subjects a record is tied to, and which records a subject."""

    def __init__(self) -> None:
        self._records: dict[str, set[str]] = {}
        self._subjects: dict[str, tuple[str, ...]] = {}

    def put(self, record: str, subjects: Iterable[str]) -> None:
        for subject in self._subjects.pop(record, ()):
            self._records[subject].discard(record)
        tied = tuple(subjects)
        if tied:
            self._subjects[record] = tied
        for subject in tied:
            self._records.setdefault(subject, set()).add(record)

    def sets_of(self, subjects: Iterable[str]) -> list[set[str]]:
        """Each subject's records, for looking only: these are the sets that are kept in step."""
        return [self._records[subject] for subject in subjects if self._records.get(subject)]

    def records_of(self, subjects: Iterable[str]) -> set[str]:
        return set().union(*self.sets_of(subjects))

    def count(self, subject: str) -> int:
        return len(self._records.get(subject, ()))

    def has(self, record: str, subject: str) -> bool:
        return subject in self._subjects.get(record, ())

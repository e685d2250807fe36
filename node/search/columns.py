"""Columns and ties: for each record one text of a field or fact, in order; and the subjects it is tied to.

An entry of a column is UTF-8 of the text, a zero byte and the record's id. Bytes of UTF-8 are ordered as code points
are. Records have numbers: a column is a list of texts by number, and an array of numbers in the order of their entries,
so that a record takes little memory beside what its texts take.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

UNSETTLED_MAX: Final = 20_000
"""Changes that wait for somebody who looks."""
COMMON_MAX: Final = 256
"""So many different texts of a column are in memory once, however many records have them."""
_SORTED_ANEW: Final = 20
"""Finding its place for one change costs what sorting so many does."""
_AFTER_ALL: Final = b"\xff"
"""A byte that no UTF-8 has."""

T = TypeVar("T")


def record_of(entry: bytes) -> str:
    return entry[entry.rindex(b"\0") + 1 :].decode()


class Names:
    """The ids of a table's records, each once, and their numbers from 0. A number stays its record's."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, record: str) -> int:
        """The record's, a new one if it has none."""
        number = self._numbers.setdefault(record, len(self.ids))
        if number == len(self.ids):
            self.ids.append(record)
        return number

    def find(self, record: str) -> int | None:
        return self._numbers.get(record)


class Column:
    """At most one text for each record."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._texts: list[bytes] = []
        """By number; b"" where there is none."""
        self._count = 0
        self._common: dict[bytes, bytes] = {}
        self._order = array("I")
        self._changed: dict[int, bytes] = {}
        """The texts by which numbers stand in `_order` that have another text since; b"" for those that do not."""

    def __len__(self) -> int:
        return self._count

    def has(self, number: int) -> bool:
        return number < len(self._texts) and self._texts[number] != b""

    def put(self, record: str, text: str | None) -> None:
        """Sets the record's text; None and "" take it away. The order is made when somebody looks."""
        self.put_at(self._names.number(record), text)

    def put_at(self, number: int, text: str | None) -> None:
        """`put` for the record of this number."""
        after = text.encode() if text else b""
        if number >= len(self._texts):
            self._texts += [b""] * (number + 1 - len(self._texts))
        before = self._texts[number]
        if before == after:
            return
        self._texts[number] = shared(self._common, after)
        self._count += bool(after) - bool(before)
        self._changed.setdefault(number, before)
        if len(self._changed) > UNSETTLED_MAX:
            self._settle()

    def _text_of(self, number: int | None) -> bytes:
        return b"" if number is None or number >= len(self._texts) else self._texts[number]

    def _entry(self, number: int) -> bytes:
        return b"%b\0%b" % (self._texts[number], self._names.ids[number].encode())

    def entry_of(self, record: str) -> bytes | None:
        number = self._names.find(record)
        return None if number is None or not self._text_of(number) else self._entry(number)

    def begins(self, record: str, start: bytes) -> bool:
        entry = self.entry_of(record)
        return entry is not None and entry.startswith(start)

    def count(self, start: bytes) -> int:
        """How many entries begin so."""
        begin, end = self._range(start)
        return end - begin

    def records(self, start: bytes) -> Iterator[str]:
        """Those whose entries begin so, in order."""
        begin, end = self._range(start)
        return map(self._names.ids.__getitem__, self._order[begin:end])

    def slice(self, start: bytes, after: bytes | None, size: int, *, descending: bool) -> list[bytes]:
        """Of the entries that begin with `start`, the next ones behind `after` in order; none when it was the last."""
        begin, end = self._range(start)
        if descending:
            end = end if after is None else min(end, self._place(after))
            return [self._entry(number) for number in self._order[max(begin, end - size) : end][::-1]]
        begin = begin if after is None else max(begin, self._place(after + b"\0"))
        return [self._entry(number) for number in self._order[begin : min(end, begin + size)]]

    def _range(self, start: bytes) -> tuple[int, int]:
        self._settle()
        return self._place(start), self._place(start + _AFTER_ALL)

    def _place(self, entry: bytes) -> int:
        return bisect_left(self._order, entry, key=self._entry)

    def _settle(self) -> None:
        if not self._changed:
            return
        changed, self._changed = self._changed, {}
        present = [number for number in changed if self._texts[number]]
        if len(changed) * _SORTED_ANEW > len(self._order):
            kept = [number for number in self._order if number not in changed]
            self._order = array("I", sorted(kept + present, key=self._entry))
            return

        def old_entry(number: int) -> bytes:
            text = changed.get(number, self._texts[number])
            return b"%b\0%b" % (text, self._names.ids[number].encode())

        gone = [old_entry(number) for number, text in changed.items() if text]
        self._order = _without(self._order, gone, old_entry)
        self._order = _with(self._order, sorted(present, key=self._entry), self._entry)


def _without(order: array[int], entries: Iterable[bytes], entry_of: Callable[[int], bytes]) -> array[int]:
    left, begin = array("I"), 0
    for place in sorted(bisect_left(order, entry, key=entry_of) for entry in entries):
        left += order[begin:place]
        begin = place + 1
    return left + order[begin:]


def _with(order: array[int], numbers: Sequence[int], entry_of: Callable[[int], bytes]) -> array[int]:
    """`numbers` stand in the order of their entries too."""
    joined, begin = array("I"), 0
    for number in numbers:
        place = bisect_left(order, entry_of(number), key=entry_of)
        joined += order[begin:place]
        joined.append(number)
        begin = place
    return joined + order[begin:]


def shared(common: dict[T, T], value: T) -> T:
    """`value`, or one like it that is in memory already. Remembers the first `COMMON_MAX`."""
    known = common.get(value)
    if known is None and len(common) < COMMON_MAX:
        common[value] = value
    return value if known is None else known


class Ties:
    """Which subjects a record is tied to, and which records a subject."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._records: dict[str, set[str]] = {}
        self._subjects: list[tuple[str, ...]] = []
        self._common: dict[tuple[str, ...], tuple[str, ...]] = {}

    def put(self, record: str, subjects: Iterable[str]) -> None:
        number = self._names.number(record)
        self._subjects += [()] * (number + 1 - len(self._subjects))
        for subject in self._subjects[number]:
            self._records[subject].discard(record)
        self._subjects[number] = shared(self._common, tuple(subjects))
        for subject in self._subjects[number]:
            self._records.setdefault(subject, set()).add(self._names.ids[number])

    def sets_of(self, subjects: Iterable[str]) -> list[set[str]]:
        """Each subject's records, for looking only: these are the sets that are kept in step."""
        return [self._records[subject] for subject in subjects if self._records.get(subject)]

    def records_of(self, subjects: Iterable[str]) -> set[str]:
        return set().union(*self.sets_of(subjects))

    def count(self, subject: str) -> int:
        return len(self._records.get(subject, ()))

    def has(self, record: str, subject: str) -> bool:
        number = self._names.find(record)
        return number is not None and number < len(self._subjects) and subject in self._subjects[number]

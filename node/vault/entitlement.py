"""Who is entitled to a record's values, remembered together with everything that was read to find it out.

The question is asked of every record that a block writes and of every transaction that brings values, and the answer
hardly ever changes. It follows from nothing but rows of the state, so as long as these are what they were, the answer
stands; nobody has to be told of changes. Grants end by themselves: what depends on one is asked anew each time.

Most records are like many others: a customer that belongs to no project is held by whoever it is assigned to and by
those who hold all. Such records share one answer, and with it the rows that have nothing to do with the record itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Final, TypeAlias

from chain.state import View, state_key
from contracts.deciding.entitlements import assignments
from contracts.deciding.holders import holders_of
from contracts.deciding.policy import load_policy
from contracts.deciding.scopes import record_scope
from node.newest import Newest
from node.shared_rows import SharedRows
from node.vault.seal import RecordId

REMEMBERED_MAX: Final = 5_000
"""Records, up to 2 KB each: those that are worked on just now."""
_GRANTS: Final = state_key("subject_grants", "")
_OWN: Final = frozenset({b"assignments", b"ties", b"scope_grants"})
_LIKENED: Final = frozenset({"customers", "organisations"})
"""Tables of which records without projects are like each other."""

Holders: TypeAlias = Mapping[str, tuple[str, ...]]
"""For each field that the policy knows of the record's table, the departments that may hold its value."""
_Rows: TypeAlias = dict[bytes, bytes | None]
_Kind: TypeAlias = tuple[object, ...]
"""What records that are like each other have in common."""


@dataclass(slots=True)
class _Answer:
    """`rows`: what it follows from, but for rows of the record itself. `height`: of the state in which these were
    looked at last."""

    holders: Holders
    rows: _Rows
    height: int | None = None
    held: dict[str, frozenset[str]] = attribute(default_factory=dict)
    """The fields that a department may hold, for departments that were asked about."""

    def stands(self, view: View, height: int | None) -> bool:
        if height is not None and height == self.height and view.writes.keys().isdisjoint(self.rows):
            return True
        if not _are_same(view, self.rows):
            return False
        if not view.writes:
            self.height = height
        return True


class _Reads:
    """A state to read from, which remembers what was read."""

    def __init__(self, state: Callable[[bytes], bytes | None]) -> None:
        self._state = state
        self.rows: _Rows = {}

    def __call__(self, key: bytes) -> bytes | None:
        self.rows[key] = self._state(key)
        return self.rows[key]


class Entitlements:
    """Not for several threads."""

    def __init__(self) -> None:
        self._known: Newest[RecordId, tuple[_Rows, _Answer]] = Newest(REMEMBERED_MAX)
        self._kinds: Newest[_Kind, _Answer] = Newest(REMEMBERED_MAX)
        self._height: int | None = None
        """Up to which height it was told what blocks write."""

    def follow(self, height: int, writes: Iterable[bytes]) -> None:
        """Block `height` wrote these keys of the state. Of records whose own rows are not among them nobody has to look
        at these rows again."""
        if self._height is not None and height <= self._height:
            return
        if self._height is not None and height == self._height + 1:
            for key in writes:
                table, _, place = key.partition(b"/")
                if table in _OWN:
                    of, _, record = place.decode().partition(".")
                    self._known.pop(RecordId(of, record.removeprefix(record_scope(""))), None)
        else:
            self._known.clear()
        self._height = height

    def holders_of(self, view: View, record: RecordId, time_ms: int, height: int | None = None) -> Holders:
        """As `contracts.deciding.holders.holders_of`, for all fields of the record's table. `height` is that of the
        state under `view`: what was looked at in the same state is not looked at again."""
        return self._answer(view, record, time_ms, height).holders

    def held_by(
        self, department: str, view: View, record: RecordId, time_ms: int, height: int | None = None
    ) -> frozenset[str]:
        """The fields of the record that the department may hold; as `holders_of`."""
        answer = self._answer(view, record, time_ms, height)
        held = answer.held.get(department)
        if held is None:
            held = frozenset(field for field, departments in answer.holders.items() if department in departments)
            answer.held[department] = held
        return held

    def _answer(self, view: View, record: RecordId, time_ms: int, height: int | None) -> _Answer:
        known = self._known.get(record)
        if known is not None:
            own, answer = known
            is_told = height is not None and height == self._height and view.writes.keys().isdisjoint(own)
            if (is_told or _are_same(view, own)) and answer.stands(view, height):
                return answer
        return self._find(view, record, time_ms, height)

    def _find(self, view: View, record: RecordId, time_ms: int, height: int | None) -> _Answer:
        own = {key: view.stored(key) for key in _own_keys(record)}
        kind = _kind_of(view, record, own)
        answer = None if kind is None else self._kinds.get(kind)
        if answer is None or not answer.stands(view, height):
            holders, rows = _ask(view, record, time_ms)
            if any(key.startswith(_GRANTS) and row is not None for key, row in rows.items()):
                self._known.pop(record, None)
                return _Answer(holders, {})
            if kind is None or any(record.record.encode() in key for key in rows.keys() - own.keys()):
                own, kind = {}, None  # like no other
            answer = _Answer(holders, {key: row for key, row in rows.items() if key not in own})
            if kind is not None:
                self._kinds.keep(kind, answer)
        if view.writes.keys().isdisjoint(own):  # what a transaction that is only tried would write is not so yet
            self._known.keep(record, (own, answer))
        return answer


def _ask(view: View, record: RecordId, time_ms: int) -> tuple[Holders, _Rows]:
    """The contracts' answer, and all that they read."""
    reads = _Reads(view.stored)
    tracing = SharedRows(reads)
    fields = load_policy(tracing)["tables"].get(record.table, ())
    return holders_of(tracing, record.table, record.record, fields, time_ms), reads.rows


def _own_keys(record: RecordId) -> tuple[bytes, ...]:
    """Where the state says whom a record is assigned to, what it is tied to, and who has grants of it alone."""
    place = f"{record.table}.{record.record}"
    scope = f"{record.table}.{record_scope(record.record)}"
    return state_key("assignments", place), state_key("ties", place), state_key("scope_grants", scope)


def _kind_of(view: View, record: RecordId, own: _Rows) -> _Kind | None:
    """None for a record of which more has to be known than whom it is assigned to."""
    _, ties, grants = own.values()
    if record.table not in _LIKENED or ties is not None or grants is not None:
        return None
    subjects = assignments(view, record.table, record.record)
    return (record.table, *((subject, _lasting(terms)) for subject, terms in subjects.items()))


def _lasting(terms: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, value) for name, value in terms.items() if name not in ("height", "time_ms"))


def _are_same(view: View, rows: _Rows) -> bool:
    stored = view.stored
    return all([stored(key) == row for key, row in rows.items()])  # noqa: C419 (faster so)

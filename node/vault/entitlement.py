"""Who is entitled to a record's values, remembered together with everything that was read to find it out.

The question is asked of every record that a block writes and of every transaction that brings values, and the answer
hardly ever changes. It follows from nothing but rows of the state, so as long as each of these is the very same object
as when it was read, the answer stands; nobody has to be told of changes. Grants end by themselves: what depends on one
is asked anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from chain.state import View, state_key
from contracts.holders import holders_of
from contracts.policy import load_policy
from node.vault.seal import RecordId

REMEMBERED_MAX: Final = 5_000
"""Records, about 2 KB each: those that are worked on just now."""
_GRANTS: Final = state_key("subject_grants", "")

Holders: TypeAlias = Mapping[str, tuple[str, ...]]
"""For each field that the policy knows of the record's table, the departments that may hold its value."""


@dataclass(frozen=True, slots=True)
class _Answer:
    holders: Holders
    read: tuple[tuple[bytes, bytes | None], ...]


class _Reads:
    """A state to read from, which remembers what was read."""

    def __init__(self, state: Callable[[bytes], bytes | None]) -> None:
        self._state = state
        self.rows: dict[bytes, bytes | None] = {}

    def __call__(self, key: bytes) -> bytes | None:
        self.rows[key] = self._state(key)
        return self.rows[key]


class Entitlements:
    """Not for several threads."""

    def __init__(self) -> None:
        self._known: dict[RecordId, _Answer] = {}

    def holders_of(self, view: View, record: RecordId, time_ms: int) -> Holders:
        """As `contracts.holders.holders_of`, for all fields of the record's table."""
        known = self._known.get(record)
        if known is not None and all([view.stored(key) is row for key, row in known.read]):  # noqa: C419 (faster so)
            return known.holders
        reads = _Reads(view.stored)
        tracing = View(reads).reading()
        fields = load_policy(tracing)["tables"].get(record.table, ())
        found = holders_of(tracing, record.table, record.record, fields, time_ms)
        self._known.pop(record, None)
        if not any(key.startswith(_GRANTS) and row is not None for key, row in reads.rows.items()):
            self._known[record] = _Answer(found, tuple(reads.rows.items()))
            if len(self._known) > REMEMBERED_MAX:
                del self._known[next(iter(self._known))]
        return found

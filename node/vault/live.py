"""What is live in a vault: the rows under `v/`, of which those that were worked on last are kept in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from chain.store import Store
from node.newest import Newest
from node.vault.rows import LIVE, Sealed, decode_live, live_key, parse_live_key
from node.vault.seal import RecordId

KEPT_MAX: Final = 4_000
"""Rows, sealed as they are: 1 to 2 KB each, and next to nothing for a record of which nothing is live."""
_NOTHING: Final[Sealed] = {}


class LiveRows:
    """Not for several threads at once: the vault holds the lock. Nobody may change a row that comes from here."""

    def __init__(self, store: Store) -> None:
        """Errors: vault.damaged."""
        self._store = store
        self._kept: Newest[RecordId, Sealed] = Newest(KEPT_MAX)
        self.counts: Counter[str] = Counter()
        """Live values by table."""
        for key, raw in store.scan(LIVE):
            record = parse_live_key(key)
            self.counts[record.table] += len(decode_live(record, raw))

    def of(self, record: RecordId) -> Sealed:
        """Errors: vault.damaged."""
        row = self._kept.get(record)
        return self.read(record) if row is None else row

    def read(self, record: RecordId) -> Sealed:
        """As `of`, and from the disk in any case. Errors: vault.damaged."""
        raw = self._store.get(live_key(record))
        row = _NOTHING if raw is None else decode_live(record, raw)
        self._kept.keep(record, row)
        return row

    def replaced(self, before: Mapping[RecordId, Sealed], after: Mapping[RecordId, Sealed]) -> None:
        """The store has the rows `after` now, and had those `before`."""
        for record, row in after.items():
            self.counts[record.table] += len(row) - len(before[record])
            self._kept.keep(record, row or _NOTHING)

"""Which records a vault has erased: written down before anything is destroyed, and kept, so that nothing comes back.

e/ TABLE/RECORD          [values destroyed, 0 as long as the erasure has not been finished, then 1]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from chain import codec
from chain.store import Store
from node.vault.seal import RecordId

_PREFIX: Final = b"e/"
_MARK_BYTES_MAX: Final = 32


class ErasedRecords:
    """Not for several threads at once: the vault holds the lock."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.counts: dict[RecordId, int] = {}
        self.unfinished: list[RecordId] = []
        for key, raw in store.scan(_PREFIX):
            record = RecordId(*key[len(_PREFIX) :].decode().split("/"))
            count, finished = codec.fields(codec.decode(raw, _MARK_BYTES_MAX), "erasure", codec.is_uint, codec.is_uint)
            self.counts[record] = count
            if not finished:
                self.unfinished.append(record)

    def __contains__(self, record: RecordId) -> bool:
        return record in self.counts

    def begin(self, counts: Mapping[RecordId, int]) -> None:
        """Durable on return."""
        self._store.write({one.to_key(_PREFIX): codec.encode_flat([count, 0]) for one, count in counts.items()})
        self.counts.update(counts)

    def finish(self, records: Iterable[RecordId]) -> None:
        self._store.write({one.to_key(_PREFIX): codec.encode_flat([self.counts[one], 1]) for one in records})
        self.unfinished.clear()

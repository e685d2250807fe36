"""Sealed values that do not open: set aside in the vault, not thrown away, for the fault may be the keys'.

d/ TABLE/RECORD          [[field, digest, sealed], ...], until the record is erased

Beside them, in the store of the keys, a record key that does not open: d/ TABLE/RECORD.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chain.errors import KehuError
from chain.store import Store
from node.vault.keys import RecordKeys
from node.vault.rows import Sealed, decode_live, encode_live
from node.vault.seal import RecordId, Wanted
from node.vault.values import VaultValue

_PREFIX: Final = b"d/"


def unsound_key(record: RecordId) -> bytes:
    return record.to_key(_PREFIX)


class UnsoundValues:
    """Not for several threads at once: the vault holds the lock."""

    def __init__(self, store: Store, keys: RecordKeys, unseal: Callable[[Wanted, bytes], VaultValue]) -> None:
        self._store, self._keys, self._unseal = store, keys, unseal

    def sound_of(self, record: RecordId, row: Sealed) -> Sealed:
        """What of a row opens; the rest is set aside, durable on return."""
        sound = {one: sealed for one, sealed in row.items() if self._opens((record.field(one[0]), one[1]), sealed)}
        if len(sound) < len(row):
            self._keys.set_aside_unsound(record)
            key = unsound_key(record)
            raw = self._store.get(key)
            before = {} if raw is None else decode_live(record, raw)
            self._store.write({key: encode_live({**before, **{one: row[one] for one in row.keys() - sound.keys()}})})
        return sound

    def _opens(self, wanted: Wanted, sealed: bytes) -> bool:
        try:
            self._unseal(wanted, sealed)
        except KehuError:
            return False
        return True

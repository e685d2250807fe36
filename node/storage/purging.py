"""Making bytes vanish from a store's files: what was deleted or replaced lies in them until they are written anew.

Every function here takes as long as the files concerned are large, and others may read and write meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from chain.store import Store

FIRST: Final = b"\x00"
_LAST: Final = b"\xff"
"""Keys that nobody uses, before and behind all others."""


class PurgingStore(Store, Protocol):
    """A store that can also make bytes vanish, and be read through."""

    @property
    def memory_bytes(self) -> int:
        """What it keeps in memory of its own: written and not yet in its tables, or read before."""
        ...

    def read_through(self, start: bytes, bytes_max: int) -> tuple[bytes | None, int, int]:
        """Reads on from `start` for the checksums' sake: (where to go on, or None; bytes; pairs)."""
        ...

    def purge(self, keys: Sequence[bytes]) -> None:
        """Deletes `keys` so that no file of the store has their values when it returns."""
        ...

    def compact(self, first: bytes, last: bytes) -> None:
        """No file of the store has what was deleted or replaced between two keys that nobody uses."""
        ...

    def let_go(self) -> None:
        """What was purged is not kept for a scan that began before: that goes on with what is there now."""
        ...


def purge_all(stores: Iterable[PurgingStore]) -> None:
    """Whatever an earlier run destroyed is in no file when this returns."""
    for store in stores:
        store.compact(FIRST, _LAST)


def purge_unread(stores: Iterable[PurgingStore]) -> None:
    """Tables that were kept for a scan which has ended go: LevelDB looks for them whenever it has made new ones."""
    for store in stores:
        store.compact(FIRST, FIRST)


def purge_replaced(store: PurgingStore, keys: Iterable[bytes]) -> None:
    """Earlier values of `keys` are in no file when this returns. They are made of names, which have no zero bytes."""
    keys = list(keys)
    if keys:
        store.compact(min(keys)[:-1] + b"\x00", max(keys) + b"\x00")


def purge_replaced_under(store: PurgingStore, prefix: bytes) -> None:
    """As `purge_replaced`, of all keys that begin with `prefix` and are longer, whatever byte comes next.
    Nobody uses the next prefix as a key."""
    store.compact(prefix, prefix[:-1] + bytes([prefix[-1] + 1]))

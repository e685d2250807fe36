"""Where bytes are kept: the small interface the chain needs, and its in-memory form.

`write` is one step: after it returns, everything in it survives a power cut; before, nothing of it is there.
`node.storage.leveldb` implements it on disk; tests and the auditor use `MemoryStore`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol


class Store(Protocol):
    def get(self, key: bytes) -> bytes | None: ...

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        """Applies all of `puts` and `deletes` atomically and durably. A key stands in at most one of them."""
        ...

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key begins with `prefix`, in key order, from key `prefix + start` on.

        The pairs are those there when the first one is taken; later writes don't show.
        """
        ...

    def close(self) -> None: ...


class MemoryStore:
    """A `Store` that forgets everything when the process ends."""

    def __init__(self) -> None:
        self._pairs: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self._pairs.get(key)

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        self._pairs.update(puts)
        for key in deletes:
            self._pairs.pop(key, None)

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        first = prefix + start
        yield from sorted((key, value) for key, value in self._pairs.items() if key.startswith(prefix) and key >= first)

    def close(self) -> None:
        self._pairs.clear()

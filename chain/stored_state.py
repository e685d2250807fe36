"""A node's state: the trie is in memory, the values lie in the store, and those used lately are kept at hand.

What is read from the store is held against the trie, so it is the value that the last header certifies or none at all.
The store is a block ahead while that block is being appended; a pin stays behind. Both find the value they mean among
the key's earlier ones, by its digest. docs/adr/0023-values-on-disk.md says what this costs and saves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol, TypeAlias

from chain import trie
from chain.errors import InvariantError, KehuError, define
from chain.state import Pin, SmallTables, State, key_digest, value_digest
from chain.store import Store

CURRENT: Final = b"s/"
HISTORY: Final = b"h/"
_ROWS_BYTES_MAX: Final = 16 << 20
"""Memory for values used lately: about 40,000 of usual size."""
_PAGE: Final = 1_000
_ROW_BYTES: Final = 170
"""What a row takes beside key and value: two objects and a place in a table of twice as many places."""

STORAGE_STATE = define(
    "storage.state_mismatch",
    "the state in the folder does not have the root that the last block's header certifies",
    "the folder is damaged: keep it for inspection and let the node sync again into an empty one",
)


class StateUnreadableError(InvariantError):
    """The store failed or lied while the state was read. Contracts can't take it for a refusal; `failure` says what it
    was."""

    def __init__(self, failure: KehuError) -> None:
        self.failure = failure
        super().__init__(str(failure))


class Scratch(Protocol):
    """Copies of rows from which they are read sooner than from the store. It may lack any of them, have old values, and
    forget everything. For any thread."""

    def get(self, key_digest: bytes) -> bytes | None: ...

    def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """(key digest, value) each."""
        ...


Generation: TypeAlias = dict[bytes, bytes]


class RowCache:
    """Values that were used lately, absent ones too: two generations, of which the older goes when the younger is full.

    So what is asked for again stays, and nothing has to be put in order when it is asked for. Any thread may read while
    one writes: what a reader has found goes into the generation that was the younger one before it began to look,
    and only where nothing stands yet. So it never hides what was written meanwhile, there or in a younger one.
    """

    __slots__ = ("_bytes_max", "_old", "_old_bytes", "_room", "young")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max // 2
        self._room = self._bytes_max
        self.young: Generation = {}
        self._old: Generation = {}
        self._old_bytes = 0

    @property
    def held_bytes(self) -> int:
        """What both generations take, about."""
        return self._old_bytes + self._bytes_max - self._room

    def get(self, key: bytes) -> bytes | None:
        """The value, b"" if there is known to be none, None if it is not known."""
        young = self.young
        value = young.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self.keep(young, key, value)
        return value

    def keep(self, generation: Generation, key: bytes, value: bytes) -> None:
        """What was read, while there is room. `generation`: `young` as it was before."""
        if self._room > 0 and generation.setdefault(key, value) is value:
            self._room -= len(value) + len(key) + _ROW_BYTES

    def put(self, key: bytes, value: bytes) -> None:
        """What was written. For the one thread that writes: it makes room, too."""
        before = self.young.get(key)
        self.young[key] = value
        self._room -= len(value) + (len(key) + _ROW_BYTES if before is None else -len(before))
        if self._room < 0:
            self._old, self._old_bytes = self.young, self._bytes_max - self._room
            self.young, self._room = {}, self._bytes_max


class StoredState(State):
    """The state as it lies in `store`; `bytes_max` for values used lately, those used before are looked for in
    `scratch`. Any thread may `get` while one applies blocks."""

    def __init__(self, store: Store, scratch: Scratch | None = None, bytes_max: int = _ROWS_BYTES_MAX) -> None:
        """Reads everything once, to make the trie."""
        self._store, self._scratch = store, scratch
        self._cache = RowCache(bytes_max)
        self._pins = []
        self._small = SmallTables(())
        self.trie = trie.build_many(self._digests())

    @property
    def cache_bytes(self) -> int:
        """Memory for values used lately."""
        return self._cache.held_bytes

    def _digests(self) -> Iterator[bytes]:
        pairs = self._store.scan(CURRENT)
        while page := list(islice(pairs, _PAGE)):
            rows = [(key_digest(key[len(CURRENT) :]), value) for key, value in page]
            for key, _ in page:
                self._small.add(key[len(CURRENT) :])
            if self._scratch is not None:
                self._scratch.put(rows)
            yield from (digest + value_digest(value) for digest, value in rows)

    def get(self, key: bytes) -> bytes | None:
        young = self._cache.young
        value = self._cache.get(key)
        if value is None:
            value = self._read(key, key_digest(key))
            self._cache.keep(young, key, value)
        return value or None

    def _read(self, key: bytes, digest: bytes) -> bytes:
        wanted = trie.find(self.trie, digest)
        if wanted is None:
            return b""
        value = None if self._scratch is None else self._scratch.get(digest)
        if value is None or value_digest(value) != wanted:
            value = self._find(key, wanted)
            if self._scratch is not None:
                self._scratch.put([(digest, value)])
        return value

    def pin(self) -> Pin:
        pin = Pin(self.trie, self._find, self._keys)
        self._pins.append(pin)
        return pin

    def apply(self, writes: Mapping[bytes, bytes | None], after: trie.Node) -> None:
        super().apply(writes, after)
        if self._scratch is not None:
            self._scratch.put([(key_digest(key), value) for key, value in writes.items() if value is not None])

    def _remember(self, key: bytes, value: bytes) -> None:
        self._cache.put(key, value)
        self._small.add(key)

    def _forget(self, key: bytes) -> None:
        self._cache.put(key, b"")

    def items(self, first: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """As in `State`, from the store. What the block takes away that is being appended may already be lacking."""
        root = self.trie
        for stored, value in _read(lambda: self._store.scan(CURRENT + first, start)):
            key = stored[len(CURRENT) :]
            wanted = trie.find(root, key_digest(key))
            if wanted is not None:
                yield key, value if value_digest(value) == wanted else self._find(key, wanted)

    def _keys(self) -> Iterator[bytes]:
        return (key[len(CURRENT) :] for key, _ in _read(lambda: self._store.scan(CURRENT)))

    def _find(self, key: bytes, wanted: bytes) -> bytes:
        """The value of this digest that stands, or stood, under `key`. Any thread may ask."""
        for _, value in _read(lambda: self._stored(key)):
            if value_digest(value) == wanted:
                return value
        raise StateUnreadableError(KehuError(STORAGE_STATE, key=key_digest(key), expected=wanted))

    def _stored(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The present value and then all there have been, newest first."""
        value = self._store.get(CURRENT + key)
        if value is not None:
            yield key, value
        yield from self._store.scan_back(HISTORY + key + b"\x00")


def _read(pairs: Callable[[], Iterable[tuple[bytes, bytes]]]) -> Iterator[tuple[bytes, bytes]]:
    try:
        yield from pairs()
    except KehuError as error:
        raise StateUnreadableError(error) from error

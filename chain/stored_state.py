"""A node's state: the trie is in memory, the values lie in the store, and those used lately are kept at hand.

What is read from the store is held against the trie, so it is the value that the last header certifies or none at all.
The store has only what stands now, and is a block ahead while that block is being appended: what the block replaces is
kept until the state follows. A pin stays behind, and finds the values it means among the copies at hand, by their
digests. docs/adr/0023-values-on-disk.md and docs/adr/0025-replaced-values.md say what this costs and saves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, Protocol, TypeAlias

from chain import trie
from chain.errors import InvariantError, KehuError, define
from chain.state import Pin, SmallTables, State, key_digest, value_digest
from chain.store import Store

CURRENT: Final = b"s/"
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


class Row(NamedTuple):
    """What now stands under a key, None where it was taken away, and what it replaces, as far as that is known."""

    key_digest: bytes
    value: bytes | None
    replaced: bytes | None = None


class Scratch(Protocol):
    """Copies of rows from which they are read sooner than from the store, those that were replaced lately too. It may
    lack any of them, and forget everything. For any thread."""

    def get(self, key_digest: bytes, wanted: bytes) -> bytes | None:
        """The value of digest `wanted` that stands, or stood, under a key."""
        ...

    def put(self, rows: Sequence[Row]) -> None: ...

    def hold(self) -> Callable[[], None]:
        """Keeps what is here now and what comes, and is replaced, until what this returns is called."""
        ...

    def close(self) -> None: ...


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
        self._replaced: dict[bytes, bytes] = {}
        self._releases: dict[Pin, Callable[[], None]] = {}
        self._small = SmallTables(())
        self.trie = trie.build_many(self._digests())

    @property
    def cache_bytes(self) -> int:
        """Memory for values used lately."""
        return self._cache.held_bytes

    def _digests(self) -> Iterator[bytes]:
        pairs = self._store.scan(CURRENT)
        while page := list(islice(pairs, _PAGE)):
            rows = [Row(key_digest(key[len(CURRENT) :]), value) for key, value in page]
            for key, _ in page:
                self._small.add(key[len(CURRENT) :])
            if self._scratch is not None:
                self._scratch.put(rows)
            yield from (row.key_digest + value_digest(value) for row, (_, value) in zip(rows, page, strict=True))

    def get(self, key: bytes) -> bytes | None:
        young = self._cache.young
        value = self._cache.get(key)
        if value is None:
            value = self._read(key, key_digest(key))
            self._cache.keep(young, key, value)
        return value or None

    def _read(self, key: bytes, digest: bytes) -> bytes:
        while True:
            root = self.trie
            wanted = trie.find(root, digest)
            if wanted is None:
                return b""
            value = self._find(key, digest, wanted)
            if value is not None:
                return value
            if self.trie is root:  # else a block came between the two, in another thread
                raise StateUnreadableError(KehuError(STORAGE_STATE, key=digest, expected=wanted))

    def _find(self, key: bytes, digest: bytes, wanted: bytes) -> bytes | None:
        """The value of this digest: at hand, in the store, or just being replaced there."""
        if self._scratch is not None and (copy := self._scratch.get(digest, wanted)) is not None:
            return copy
        value = self._stored(key)
        if value is not None and value_digest(value) == wanted:
            if self._scratch is not None:
                self._scratch.put([Row(digest, value)])
            return value
        value = self._replaced.get(key)
        return value if value is not None and value_digest(value) == wanted else None

    def _stored(self, key: bytes) -> bytes | None:
        try:
            return self._store.get(CURRENT + key)
        except KehuError as error:
            raise StateUnreadableError(error) from error

    def pin(self) -> Pin:
        pin = Pin(self.trie, self._find_pinned, self._keys)
        if self._scratch is not None:
            self._releases[pin] = self._scratch.hold()
        self._pins.append(pin)
        return pin

    def unpin(self, pin: Pin) -> None:
        super().unpin(pin)
        if (release := self._releases.pop(pin, None)) is not None:
            release()

    def _find_pinned(self, key: bytes, wanted: bytes) -> bytes | None:
        digest = key_digest(key)
        value = self._find(key, digest, wanted)
        if value is None:  # unless `apply` put it at hand just now
            value = None if self._scratch is None else self._scratch.get(digest, wanted)
        if value is None and trie.find(self.trie, digest) == wanted:
            raise StateUnreadableError(KehuError(STORAGE_STATE, key=digest, expected=wanted))
        return value

    def keep_replaced(self, writes: Mapping[bytes, bytes | None]) -> None:
        """The store is about to go ahead of the state by `writes`: what they replace is kept for who reads meanwhile,
        until `apply`. For the one thread that writes."""
        present = ((key, self.get(key)) for key in writes)
        self._replaced = {key: value for key, value in present if value is not None}

    def apply(self, writes: Mapping[bytes, bytes | None], after: trie.Node) -> None:
        """As in `State`; what `writes` replace stays at hand for pins, if `keep_replaced` was told of them."""
        super().apply(writes, after)
        if self._scratch is not None:
            old = self._replaced if self._pins else {}
            self._scratch.put([Row(key_digest(key), value, old.get(key)) for key, value in writes.items()])
        self._replaced = {}

    def _remember(self, key: bytes, value: bytes) -> None:
        self._cache.put(key, value)
        self._small.add(key)

    def _forget(self, key: bytes) -> None:
        self._cache.put(key, b"")

    def items(self, first: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """As in `State`, from the store. What the block takes away that is being appended may already be lacking. Who
        goes on while blocks come is given what stands then."""
        root = self.trie
        for stored, value in _read(lambda: self._store.scan(CURRENT + first, start)):
            key = stored[len(CURRENT) :]
            wanted = trie.find(root, key_digest(key))
            if wanted is not None:
                present = value if value_digest(value) == wanted else self.get(key)
                if present is not None:
                    yield key, present

    def _keys(self) -> Iterator[bytes]:
        return (key[len(CURRENT) :] for key, _ in _read(lambda: self._store.scan(CURRENT)))


def _read(pairs: Callable[[], Iterable[tuple[bytes, bytes]]]) -> Iterator[tuple[bytes, bytes]]:
    try:
        yield from pairs()
    except KehuError as error:
        raise StateUnreadableError(error) from error

"""The state: "table/key" -> a map, digested by the trie, read and written through a view.

`State` holds what the appended blocks made. A `View` lies over it while a block executes: it collects the
writes, can undo those of a failed transaction, and leaves the state as it was until `State.apply`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from chain import codec, trie
from chain.crypto import tag_prefix

T = TypeVar("T")
Writes: TypeAlias = dict[bytes, bytes | None]
"""State key -> canonical bytes of the new value, or None where the key goes."""


_SMALL_KEYS_MAX: Final = 4_096
_SHARED_MAX: Final = 4_096
_DECODER: Final = msgspec.msgpack.Decoder()
_KEY: Final = tag_prefix("state-key")
_VALUE: Final = tag_prefix("state-value")


def state_key(table: str, key: str) -> bytes:
    return f"{table}/{key}".encode()


def key_digest(key: bytes) -> bytes:
    return sha256(_KEY + key).digest()


def value_digest(value: bytes) -> bytes:
    return sha256(_VALUE + value).digest()


class SmallTables:
    """The keys of every table that has few: a table of gateways is not looked for among millions of customers'."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._keys: dict[bytes, dict[bytes, None] | None] = {}
        for key in keys:
            self.add(key)

    def add(self, key: bytes) -> None:
        table = key[: key.find(b"/")]
        keys = self._keys.setdefault(table, {})
        if keys is not None:
            keys[key] = None
            if len(keys) > _SMALL_KEYS_MAX:
                self._keys[table] = None  # for good: a table seldom shrinks

    def remove(self, key: bytes) -> None:
        keys = self._keys.get(key[: key.find(b"/")])
        if keys is not None:
            keys.pop(key, None)

    def keys_of(self, table: str) -> Iterable[bytes] | None:
        """In no order; None if the table is, or was, large."""
        return self._keys.get(table.encode(), ())


class Pin:
    """The state as it was when it was pinned, though it goes on: the old trie, and where its values still are.

    Another thread may read while `State.apply` runs.
    """

    __slots__ = ("_find", "_keys", "gone", "is_lost", "trie")

    def __init__(
        self, root: trie.Node, find: Callable[[bytes, bytes], bytes | None], keys: Callable[[], Iterable[bytes]]
    ) -> None:
        """`find` gives the value of that digest which stands, or stood, under a key, None if it is kept no longer;
        `keys` all present ones."""
        self.trie = root
        self._find, self._keys = find, keys
        self.gone: set[bytes] = set()
        """Keys of the pinned state that were taken away since."""
        self.is_lost = False
        """Whether a value is kept no longer, so that this state is not all there any more."""

    def get(self, key: bytes) -> bytes | None:
        """None if there was none, or it is lost."""
        wanted = trie.find(self.trie, key_digest(key))
        if wanted is None:
            return None
        value = self._find(key, wanted)
        self.is_lost |= value is None
        return value

    def note_gone(self, key: bytes) -> None:
        """A key is taken away now; one that came later than the pin is none of its keys."""
        if trie.find(self.trie, key_digest(key)) is not None:
            self.gone.add(key)

    def all_keys(self) -> Iterator[bytes]:
        """Every key that the pinned state has, and some that came later; those of `gone` may be lacking."""
        return iter(self._keys())


class State:
    """All values after one block, in memory, and their trie. A node's is `chain.stored_state.StoredState`."""

    def __init__(self, values: dict[bytes, bytes] | None = None) -> None:
        self._values = values if values is not None else {}
        self._small = SmallTables(self._values)
        self._pins: list[Pin] = []
        self.trie = trie.build_many(key_digest(key) + value_digest(value) for key, value in self._values.items())

    @property
    def root(self) -> bytes:
        return trie.digest_of(self.trie)

    @property
    def cache_bytes(self) -> int:
        """Memory for copies of values that lie elsewhere."""
        return 0

    def __len__(self) -> int:
        """How many values there are."""
        return trie.count_of(self.trie)

    def get(self, key: bytes) -> bytes | None:
        return self._values.get(key)

    def preview(self, writes: Mapping[bytes, bytes | None]) -> trie.Node:
        """The trie as it will be after `writes`; the state itself stays as it is."""
        changes = {key_digest(key): None if value is None else value_digest(value) for key, value in writes.items()}
        return trie.update(self.trie, changes)

    def pin(self) -> Pin:
        """This state, to be read later as it is now, until it is let go."""
        values = dict(self._values)
        pin = Pin(self.trie, lambda key, _digest: values.get(key), values.keys)
        self._pins.append(pin)
        return pin

    def unpin(self, pin: Pin) -> None:
        self._pins.remove(pin)

    def apply(self, writes: Mapping[bytes, bytes | None], after: trie.Node) -> None:
        """Takes `writes` over; `after` is what `preview` gave for them."""
        self.trie = after  # first: what another thread reads from now on is what comes
        for key, value in writes.items():
            if value is None:
                self._forget(key)
                self._small.remove(key)
                for pin in self._pins:
                    pin.note_gone(key)
            else:
                self._remember(key, value)

    def _remember(self, key: bytes, value: bytes) -> None:
        self._values[key] = value
        self._small.add(key)

    def _forget(self, key: bytes) -> None:
        self._values.pop(key, None)

    def items(self, first: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) whose key begins with `first`, in key order, from key `first + start` on: for answers, not
        for contracts (it looks at all keys)."""
        for key in sorted(key for key in self._values if key.startswith(first) and key >= first + start):
            yield key, self._values[key]

    def scan(self, table: str, prefix: str = "", after: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Every (key, value) of a table in key order, behind `after`. A table of few keys is not looked for among
        millions of others'."""
        return ((key, decode_value(value)) for key, value in self._rows(table, prefix, after))

    def keys(self, table: str, after: str = "") -> Iterator[str]:
        """The keys of a table in order, behind `after`."""
        return (key for key, _ in self._rows(table, "", after))

    def _rows(self, table: str, prefix: str, after: str) -> Iterator[tuple[str, bytes]]:
        first, skip, behind = state_key(table, prefix), len(table) + 1, state_key(table, after)
        small = self._small.keys_of(table)
        if small is None:
            found: Iterable[tuple[bytes, bytes | None]] = self.items(first, behind[len(first) :])
        else:
            found = ((key, self.get(key)) for key in sorted(key for key in small if key.startswith(first)))
        for key, value in found:
            if key > behind and value is not None:
                yield key[skip:].decode(), value


def decode_value(raw: bytes) -> dict[str, Any]:
    """A stored value; its bytes were made by `codec.encode`, so they are not checked again."""
    value: dict[str, Any] = _DECODER.decode(raw)
    return value


@lru_cache(maxsize=_SHARED_MAX)
def decode_shared(raw: bytes) -> dict[str, Any]:
    """As `decode_value`, once for the same bytes; whoever gets it may not change it."""
    return decode_value(raw)


class View:
    """The state as a transaction sees it. Values are maps; what `get` returns is the caller's own copy."""

    __slots__ = ("_added", "_appended", "_base", "_memory", "_memory_tables", "_undo", "writes")

    def __init__(self, base: Callable[[bytes], bytes | None]) -> None:
        self._base = base
        self.writes: Writes = {}
        self._undo: list[tuple[bytes, bool, bytes | None]] = []
        self._appended: dict[str, list[str]] = {}
        self._added: list[str] = []
        self._memory: dict[Hashable, Any] = {}
        self._memory_tables: set[str] = set()

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        raw = self.stored(state_key(table, key))
        return None if raw is None else decode_value(raw)

    def look(self, table: str, key: str) -> dict[str, Any] | None:
        """As `get`, for what is asked for again and again: the answer is shared, so nobody may change it."""
        raw = self.stored(state_key(table, key))
        return None if raw is None else decode_shared(raw)

    def raw(self, table: str, key: str) -> bytes | None:
        """The canonical bytes of a value."""
        return self.stored(state_key(table, key))

    def has(self, table: str, key: str) -> bool:
        return self.stored(state_key(table, key)) is not None

    def put(self, table: str, key: str, value: dict[str, Any]) -> None:
        self._write(table, key, codec.encode(value))

    def delete(self, table: str, key: str) -> None:
        self._write(table, key, None)

    def stored(self, key: bytes) -> bytes | None:
        """What stands under a key of the store (`state_key`)."""
        return self.writes[key] if key in self.writes else self._base(key)

    def _write(self, table: str, name: str, value: bytes | None) -> None:
        if table in self._memory_tables:
            self._forget()
        key = state_key(table, name)
        self._undo.append((key, key in self.writes, self.writes.get(key)))
        self.writes[key] = value

    def append(self, name: str, item: str) -> None:
        """Adds to a list that is not in the state yet; `take_appended` is for whoever writes it down."""
        self._appended.setdefault(name, []).append(item)
        self._added.append(name)

    def appended(self, name: str) -> Sequence[str]:
        """What was added to a list and is not written down."""
        return self._appended.get(name, ())

    def take_appended(self) -> dict[str, list[str]]:
        """All such lists that are not empty, by name, to be written down now."""
        taken, self._appended = self._appended, {}
        self._added.clear()
        return {name: items for name, items in taken.items() if items}

    def remembered(self, name: Hashable, find: Callable[[View], T]) -> T:
        """What `find` gives for this state, found once for as long as no table that it reads is written. It is shared,
        and may not keep the view that it was found in."""
        if name not in self._memory:
            found = find(View(self._noted))
            self._memory[name] = found
        known: T = self._memory[name]
        return known

    def _noted(self, key: bytes) -> bytes | None:
        self._memory_tables.add(key[: key.find(b"/")].decode())
        return self.stored(key)

    def _forget(self) -> None:
        self._memory.clear()
        self._memory_tables.clear()

    def reading(self) -> Reading:
        """What stands here now, for many questions before the next write."""
        return Reading(self.stored)

    def keep(self) -> None:
        """Makes the writes since the last `keep` or `roll_back` stay, and what was appended."""
        self._undo.clear()
        self._added.clear()

    def roll_back(self) -> None:
        """Undoes the writes since the last `keep`, and what was appended."""
        if self._undo:
            self._forget()
        for key, was_written, previous in reversed(self._undo):
            if was_written:
                self.writes[key] = previous
            else:
                del self.writes[key]
        self._undo.clear()
        for name in self._added:
            self._appended[name].pop()
        self._added.clear()


class Reading(View):
    """For many questions about a state that stays as it is meanwhile: each value is decoded once, so what `get` returns
    is shared and nobody may change it. Not for contracts' calls."""

    __slots__ = ("_decoded",)

    def __init__(self, base: Callable[[bytes], bytes | None]) -> None:
        super().__init__(base)
        self._decoded: dict[tuple[str, str], dict[str, Any] | None] = {}

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        place = (table, key)
        if place not in self._decoded:
            self._decoded[place] = super().get(table, key)
        return self._decoded[place]

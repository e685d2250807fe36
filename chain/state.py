"""The state: "table/key" -> a map, kept in memory, digested by the trie, read and written through a view.

`State` holds what the appended blocks made. A `View` lies over it while a block executes: it collects the
writes, can undo those of a failed transaction, and leaves the state as it was until `State.apply`. Everything
is in memory because reads from LevelDB on the commit path halve the rate (docs/adr/0006-state.md).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from chain import codec, trie
from chain.crypto import digest

T = TypeVar("T")
Writes: TypeAlias = dict[bytes, bytes | None]
"""State key -> canonical bytes of the new value, or None where the key goes."""


_SMALL_KEYS_MAX: Final = 4_096
_SHARED_MAX: Final = 4_096
_DECODER: Final = msgspec.msgpack.Decoder()


def state_key(table: str, key: str) -> bytes:
    return f"{table}/{key}".encode()


def key_digest(key: bytes) -> bytes:
    return digest("state-key", key)


def value_digest(value: bytes) -> bytes:
    return digest("state-value", value)


class Pin:
    """The state as it was when it was pinned, though it goes on: the old trie, and the values that were overwritten
    since.

    Another thread may read while `State.apply` runs: what is overwritten is put aside first, and read last.
    """

    __slots__ = ("_values", "overwritten", "trie")

    def __init__(self, values: dict[bytes, bytes], root: trie.Node) -> None:
        self._values = values
        self.trie = root
        self.overwritten: Writes = {}

    def get(self, key: bytes) -> bytes | None:
        value = self._values.get(key)
        return self.overwritten.get(key, value)

    def all_keys(self) -> list[bytes]:
        """Every key that the pinned state has, and some that came later. For the thread that applies blocks."""
        return [*self._values, *self.overwritten]


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


class State:
    """All values after one block, and their trie."""

    def __init__(self, values: dict[bytes, bytes] | None = None) -> None:
        self.values = values if values is not None else {}
        self._small = SmallTables(self.values)
        self._pins: list[Pin] = []
        self.trie = trie.build_rows([key_digest(key) + value_digest(value) for key, value in self.values.items()])

    @property
    def root(self) -> bytes:
        return self.trie.digest

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def preview(self, writes: Mapping[bytes, bytes | None]) -> trie.Node:
        """The trie as it will be after `writes`; the state itself stays as it is."""
        changes = {key_digest(key): None if value is None else value_digest(value) for key, value in writes.items()}
        return trie.update(self.trie, changes)

    def pin(self) -> Pin:
        """This state, to be read later as it is now. Costs what is overwritten until it is let go."""
        pin = Pin(self.values, self.trie)
        self._pins.append(pin)
        return pin

    def unpin(self, pin: Pin) -> None:
        self._pins.remove(pin)

    def apply(self, writes: Mapping[bytes, bytes | None], after: trie.Node) -> None:
        """Takes `writes` over; `after` is what `preview` gave for them."""
        for pin in self._pins:
            for key in writes:
                if key not in pin.overwritten:
                    pin.overwritten[key] = self.values.get(key)
        for key, value in writes.items():
            if value is None:
                self.values.pop(key, None)
                self._small.remove(key)
            else:
                if key not in self.values:
                    self._small.add(key)
                self.values[key] = value
        self.trie = after

    def scan(self, table: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Every (key, value) of a table in key order: for answers, not for contracts (in a large table it looks at all
        keys of all tables)."""
        first, skip = state_key(table, prefix), len(table) + 1
        small = self._small.keys_of(table)
        for key in sorted(key for key in (self.values if small is None else small) if key.startswith(first)):
            yield key[skip:].decode(), decode_value(self.values[key])


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

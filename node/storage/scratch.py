"""Rows of the state near at hand: a file without a name, from which a row is read in a few microseconds.

A read of LevelDB takes twenty times as long, and brings compactions about besides. What stands here is only a copy,
and counts if it has the digest that is wanted, the state's trie's (`chain.stored_state`); a power cut takes the file
away. It is only appended to, so what a value replaced is still there, and each copy tells where the one before it is.
It is written in two generations, of which the older goes when the younger is full, unless somebody holds it. A disk
that refuses it costs speed, and what pins of the state need.
"""

from __future__ import annotations

import errno
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final

from chain.state import value_digest
from chain.stored_state import Row

BYTES_MAX: Final = 512 << 20
"""Of each of the two files."""
_BUCKETS: Final = 1 << 16
_TAG: Final = slice(2, 10)
"""The first two bytes of a key's digest name its bucket, these its entry there."""
_ENTRY_BYTES: Final = 16
_PLACE_BYTES: Final = 8
_LENGTH_BITS, _OFFSET_BITS = 24, 31
_NUMBERS: Final = 1 << 64 - _LENGTH_BITS - _OFFSET_BITS
"""Generations are numbered, and so many can be told apart."""
_NOWHERE: Final = bytes(_PLACE_BYTES)
_BACK_MAX: Final = 1 << 16
"""So often may a value have been replaced since the one that is wanted."""

log = logging.getLogger("kehu.storage")


class _Generation:
    """One file, and where the newest copy of each key in it is. An entry is a tag and a place: the generation's number,
    offset and length in 8 bytes. All entries of a bucket are one bytes object, so a row takes some 20 bytes of memory.
    A copy in the file is a value behind the place of the copy before it."""

    def __init__(self, folder: Path, number: int) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the generation
        self._buckets = [b""] * _BUCKETS
        self.number, self.size = number, 0

    def newest(self, key_digest: bytes) -> bytes | None:
        """The place of the newest copy."""
        bucket = self._buckets[int.from_bytes(key_digest[:2], "big")]
        at = _place_of(bucket, key_digest[_TAG])
        return None if at < 0 else bucket[at + _PLACE_BYTES : at + _ENTRY_BYTES]

    def read(self, offset: int, length: int) -> tuple[bytes, bytes]:
        """(the place of the copy before this one, the value)"""
        copy = os.pread(self._file.fileno(), length, offset)
        return copy[:_PLACE_BYTES], copy[_PLACE_BYTES:]

    def put(self, copies: Sequence[tuple[bytes, bytes, bytes]]) -> None:
        """(key digest, place of the copy before, value) each."""
        data = b"".join([part for _, before, value in copies for part in (before, value)])
        if os.pwrite(self._file.fileno(), data, self.size) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        first = self.number % _NUMBERS << _OFFSET_BITS
        for key_digest, _, value in copies:
            number, tag, length = int.from_bytes(key_digest[:2], "big"), key_digest[_TAG], _PLACE_BYTES + len(value)
            entry = tag + (first + self.size << _LENGTH_BITS | length).to_bytes(_PLACE_BYTES, "big")
            bucket = self._buckets[number]
            at = _place_of(bucket, tag)
            self._buckets[number] = bucket + entry if at < 0 else bucket[:at] + entry + bucket[at + _ENTRY_BYTES :]
            self.size += length

    def close(self) -> None:
        self._file.close()


def _place_of(bucket: bytes, tag: bytes) -> int:
    at = bucket.find(tag)
    while at > 0 and at % _ENTRY_BYTES:
        at = bucket.find(tag, at + 1)
    return at


class ScratchRows:
    """`chain.stored_state.Scratch` in a folder."""

    def __init__(self, folder: Path, bytes_max: int = BYTES_MAX) -> None:
        self._folder, self._bytes_max = folder, bytes_max
        self._generations: list[_Generation] = []  # the newest first
        self._held: list[int] = []  # numbers of generations, for each who holds that and those after it
        self._begun = 0
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        """A new youngest generation; without one after the disk has refused, everything is read from the store."""
        try:
            self._generations.insert(0, _Generation(self._folder, self._begun + 1))
            self._begun += 1
        except OSError as error:
            self._give_up(error)

    def get(self, key_digest: bytes, wanted: bytes) -> bytes | None:
        """The value of digest `wanted` that was put under a key, unless it is forgotten."""
        with self._lock:
            try:
                place = self._newest(key_digest)
                for _ in range(_BACK_MAX):
                    generation, offset, length = self._at(place)
                    if generation is None:
                        return None
                    place, value = generation.read(offset, length)
                    if value_digest(value) == wanted:
                        return value
            except OSError as error:
                self._give_up(error)
            return None

    def _newest(self, key_digest: bytes) -> bytes:
        for generation in self._generations:
            if (place := generation.newest(key_digest)) is not None:
                return place
        return _NOWHERE

    def _at(self, place: bytes) -> tuple[_Generation | None, int, int]:
        bits = int.from_bytes(place, "big")
        number = bits >> _LENGTH_BITS + _OFFSET_BITS
        found = (one for one in self._generations if one.number % _NUMBERS == number and bits)
        return next(found, None), (bits >> _LENGTH_BITS) & (1 << _OFFSET_BITS) - 1, bits & (1 << _LENGTH_BITS) - 1

    def put(self, rows: Sequence[Row]) -> None:
        """Copies of values; of those that they replace too, if none of the key is here. A key stands there once."""
        with self._lock:
            try:
                if self._generations:
                    self._put(rows)
            except OSError as error:
                self._give_up(error)
            if self._generations and self._generations[0].size > self._bytes_max:
                self._begin()
                self._let_go()

    def _put(self, rows: Sequence[Row]) -> None:
        lacking, copies = [], []
        for digest, value, replaced in rows:
            before = self._newest(digest)
            if before == _NOWHERE and replaced is not None:
                lacking.append((digest, _NOWHERE, replaced))
            if value is not None:
                copies.append((digest, before, value))
        young = self._generations[0]
        if lacking:
            young.put(lacking)
            copies = [(digest, self._newest(digest), value) for digest, _, value in copies]
        young.put(copies)

    def hold(self) -> Callable[[], None]:
        """Keeps the generations that are here now, and those after them, until what this returns is called."""
        with self._lock:
            first = self._generations[-1].number if self._generations else self._begun + 1
            self._held.append(first)

        def release() -> None:
            with self._lock:
                self._held.remove(first)
                self._let_go()

        return release

    def _let_go(self) -> None:
        kept = min([*self._held, self._begun - 1])
        self._close([one for one in self._generations if one.number < kept])
        self._generations = [one for one in self._generations if one.number >= kept]

    def _give_up(self, error: OSError) -> None:
        log.warning("no rows near at hand any more, the store is read instead: %s", error.strerror)
        self._close(self._generations)
        self._generations = []

    def _close(self, generations: Sequence[_Generation]) -> None:
        for generation in generations:
            generation.close()

    def close(self) -> None:
        with self._lock:
            self._close(self._generations)
            self._generations = []

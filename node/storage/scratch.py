"""Rows of the state near at hand: a file without a name, from which a row is read in a few microseconds.

A read of LevelDB takes twenty times as long, and brings compactions about besides. What stands here is only a copy: who
reads it holds it against the state's trie (`chain.stored_state`), and a power cut takes the file away. It is written in
two generations, of which the older goes when the younger is full. A disk that refuses it costs speed and nothing else.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

BYTES_MAX: Final = 512 << 20
"""Of each of the two files."""
_BUCKETS: Final = 1 << 16
_TAG: Final = slice(2, 10)
"""The first two bytes of a key's digest name its bucket, these its entry there."""
_ENTRY_BYTES: Final = 16
_LENGTH_BITS: Final = 24

log = logging.getLogger("kehu.storage")


class _Generation:
    """One file, and where in it the newest value of each key is. An entry is a tag and 8 bytes of offset and length;
    all of a bucket's are one bytes object, so a row takes some 20 bytes of memory."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the generation
        self._buckets = [b""] * _BUCKETS
        self.size = 0

    def get(self, key_digest: bytes) -> bytes | None:
        bucket = self._buckets[int.from_bytes(key_digest[:2], "big")]
        at = _place_of(bucket, key_digest[_TAG])
        if at < 0:
            return None
        place = int.from_bytes(bucket[at + 8 : at + _ENTRY_BYTES], "big")
        return os.pread(self._file.fileno(), place & (1 << _LENGTH_BITS) - 1, place >> _LENGTH_BITS)

    def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        os.pwrite(self._file.fileno(), b"".join([value for _, value in rows]), self.size)
        for key_digest, value in rows:
            number, tag = int.from_bytes(key_digest[:2], "big"), key_digest[_TAG]
            entry = tag + (self.size << _LENGTH_BITS | len(value)).to_bytes(8, "big")
            bucket = self._buckets[number]
            at = _place_of(bucket, tag)
            self._buckets[number] = bucket + entry if at < 0 else bucket[:at] + entry + bucket[at + _ENTRY_BYTES :]
            self.size += len(value)

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
        self._generations: list[_Generation] = []
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        """A new younger generation; without one after the disk has refused, everything is read from the store."""
        try:
            self._generations.insert(0, _Generation(self._folder))
        except OSError as error:
            self._give_up(error)

    def get(self, key_digest: bytes) -> bytes | None:
        """The value that was put last, or an earlier one, or None."""
        with self._lock:
            try:
                found = (generation.get(key_digest) for generation in self._generations)
                return next((value for value in found if value is not None), None)
            except OSError as error:
                self._give_up(error)
                return None

    def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """(key digest, value) each."""
        with self._lock:
            try:
                if self._generations:
                    self._generations[0].put(rows)
            except OSError as error:
                self._give_up(error)
            if self._generations and self._generations[0].size > self._bytes_max:
                self._begin()
                self._close(self._generations[2:])
                del self._generations[2:]

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

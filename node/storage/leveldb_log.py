"""Whether the end of a LevelDB log was torn by a power cut, or the log is damaged.

LevelDB's log is a row of 32 KiB blocks. A physical record is crc32c (4 bytes, masked), length (2), kind (1) and
payload, little-endian; one write batch is one FULL record or FIRST, MIDDLE ..., LAST. A block's last six bytes or
fewer are padding. (LevelDB, doc/log_format.md.)

Every batch is synced before the next one is begun, so a power cut can only hurt the last one. The rule: the tail
is torn if, from the first bad physical record on, (1) no other batch begins, and (2) the file ends inside the
record or shows space that was never written. Everything else is damage to data that may have been acknowledged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from node.storage.durable import has_unwritten_part

BLOCK_BYTES: Final = 1 << 15
_HEADER: Final = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def _table() -> tuple[int, ...]:
    entries = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        entries.append(crc)
    return tuple(entries)


_CRC32C: Final = _table()


def masked_crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720, appendix B.4), masked as LevelDB stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class LogState:
    """`intact_bytes` hold whole batches only; beyond them there is nothing, a torn batch, or damage."""

    intact_bytes: int
    is_torn: bool
    is_damaged: bool


def inspect_log(data: bytes) -> LogState:
    """What the bytes of one log file are: intact, torn at the end, or damaged."""
    position = intact = 0
    is_inside = False
    while position < len(data):
        if BLOCK_BYTES - position % BLOCK_BYTES < _HEADER.size:
            position += BLOCK_BYTES - position % BLOCK_BYTES
            continue
        record = _record_at(data, position)
        if record is None or (record[0] in {_MIDDLE, _LAST}) != is_inside:
            return _judge(data, intact, position)
        kind, position = record
        is_inside = kind in {_FIRST, _MIDDLE}
        if not is_inside:
            intact = position
    return LogState(intact, is_torn=is_inside, is_damaged=False)


def _record_at(data: bytes, position: int) -> tuple[int, int] | None:
    """Kind and end of the sound physical record at `position`, if there is one."""
    extent = _extent_at(data, position)
    if extent is None or extent[1] > len(data):
        return None
    kind, end = extent
    crc = int.from_bytes(data[position : position + 4], "little")
    return (kind, end) if masked_crc32c(data[position + 6 : end]) == crc else None


def _extent_at(data: bytes, position: int) -> tuple[int, int] | None:
    """Kind and end that a header at `position` claims, if it can be a header."""
    if position + _HEADER.size > len(data):
        return None
    _, length, kind = _HEADER.unpack_from(data, position)
    end = position + _HEADER.size + length
    block_end = position - position % BLOCK_BYTES + BLOCK_BYTES
    fits = end == block_end if kind in {_FIRST, _MIDDLE} else end <= block_end
    return (kind, end) if _FULL <= kind <= _LAST and fits and length else None


def _judge(data: bytes, intact: int, bad: int) -> LogState:
    extent = _extent_at(data, bad)
    is_short = len(data) - bad < _HEADER.size or (extent is not None and extent[1] > len(data))
    is_torn = (is_short or has_unwritten_part(data, bad)) and not any(_batches_after(data, bad))
    return LogState(intact, is_torn, is_damaged=not is_torn)


def _batches_after(data: bytes, bad: int) -> Iterator[bool]:
    """True for every place after `bad` where a batch soundly begins. Its length may be wrong, so try every byte."""
    for position in range(bad + 1, len(data)):
        kind = data[position + 6] if position + 6 < len(data) else 0
        if kind in {_FULL, _FIRST}:
            yield _record_at(data, position) is not None

"""Frames on a peer link: length u32 big-endian, kind u8, payload of `length` bytes. No compression.

Every kind has a cap, checked before anything is allocated; a payload is read in pieces, so memory grows only with
what has really arrived. Before a peer is authenticated only the greetings are legal, all together under 1 KiB; the
longer FAREWELL is for former members.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Final

from chain.errors import KehuError, define

HEADER: Final = struct.Struct(">IB")
_PIECE_BYTES: Final = 1 << 16

FRAME_INVALID = define(
    "frame.invalid",
    "a frame has an unknown kind, or one that is not legal here, or is longer than its kind may be",
    "run matching versions on both sides; if they match, the other side misbehaves",
)


class Kind(IntEnum):
    """What a frame carries. The numbers are on the wire and never change their meaning."""

    CHALLENGE = 1
    HELLO = 2
    WELCOME = 3
    REFUSAL = 4
    PING = 5
    GOODBYE = 6
    FAREWELL = 7
    CONSENSUS = 16
    GOSSIP = 17
    REQUEST = 18
    RESPONSE = 19


PAYLOAD_BYTES_MAX: Final[dict[Kind, int]] = {
    Kind.CHALLENGE: 64,
    Kind.HELLO: 512,
    Kind.WELCOME: 64,
    Kind.REFUSAL: 64,
    Kind.PING: 0,
    Kind.GOODBYE: 0,
    Kind.FAREWELL: 1 << 20,
    Kind.CONSENSUS: 16 << 20,
    Kind.GOSSIP: 8 << 20,
    Kind.REQUEST: 8 << 20,
    Kind.RESPONSE: 16 << 20,
}
GREETINGS: Final = frozenset({Kind.CHALLENGE, Kind.HELLO, Kind.WELCOME, Kind.REFUSAL, Kind.FAREWELL})
LINKED: Final = frozenset(Kind) - GREETINGS


def encode_header(kind: Kind, length: int) -> bytes:
    """The five bytes before a payload; refuses what the other side would refuse."""
    if length > PAYLOAD_BYTES_MAX[kind]:
        raise KehuError(FRAME_INVALID, kind=kind.name, bytes=length, limit=PAYLOAD_BYTES_MAX[kind])
    return HEADER.pack(length, kind)


async def read_frame(
    reader: asyncio.StreamReader,
    legal: frozenset[Kind],
    on_bytes: Callable[[int], None] = lambda _: None,
) -> tuple[Kind, bytes]:
    """The next frame. `on_bytes` hears of every piece as it comes, so that slow is not taken for dead.

    Raises `frame.invalid`, or what asyncio raises when the stream ends (`IncompleteReadError`, `OSError`).
    """
    header = await reader.readexactly(HEADER.size)
    on_bytes(len(header))
    length, number = HEADER.unpack(header)
    if number not in legal:
        raise KehuError(FRAME_INVALID, kind=number, legal=",".join(sorted(kind.name for kind in legal)))
    kind = Kind(number)
    if length > PAYLOAD_BYTES_MAX[kind]:
        raise KehuError(FRAME_INVALID, kind=kind.name, bytes=length, limit=PAYLOAD_BYTES_MAX[kind])
    if length <= _PIECE_BYTES:
        payload = await reader.readexactly(length)
        on_bytes(length)
        return kind, payload
    pieces = bytearray()
    while len(pieces) < length:
        piece = await reader.readexactly(min(_PIECE_BYTES, length - len(pieces)))
        on_bytes(len(piece))
        pieces += piece
    return kind, bytes(pieces)

"""The export: the whole chain as one stream of bytes, to be kept, handed on and audited anywhere.

  MAGIC, then frames: 4 bytes length (big-endian), then that many bytes
  first frame   genesis bytes
  then          encode([height, block bytes, certificate bytes, receipts bytes]), heights without a gap
  last frame    encode(["end", height, SHA-256 of every byte of the stream before this frame's length])

An export may begin at any height (it then continues an audit that has come so far). Truncation shows as a
missing last frame, any flipped bit as a wrong digest; what the frames *mean* is for `chain.audit` to check.
Nothing here opens a file: the writer yields chunks, the reader takes chunks of any size.
docs/spec/export.md has the format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from chain import codec
from chain.block import BLOCK_BYTES_MAX
from chain.blocks import BlockStore
from chain.certificate import CERTIFICATE_BYTES_MAX
from chain.errors import KehuError, define
from chain.genesis import GENESIS_BYTES_MAX
from chain.receipt import RECEIPTS_BYTES_MAX

MAGIC: Final = b"KEHU-EXPORT-1\n"
LENGTH_BYTES: Final = 4
FRAME_BYTES_MAX: Final = BLOCK_BYTES_MAX + CERTIFICATE_BYTES_MAX + RECEIPTS_BYTES_MAX + 64
END: Final = "end"

EXPORT_NOT_ONE = define(
    "export.not_one",
    "the bytes don't begin like a Kehu export",
    "make an export with `kehu export`, and name that file",
)
EXPORT_FRAME_TOO_LARGE = define(
    "export.frame_too_large",
    "a frame of the export says it is longer than any frame may be",
    "the export is damaged at this place: make it again, or take it from another department's node",
)
EXPORT_FRAME = define(
    "export.frame",
    "a frame of the export is not what stands at its place",
    "the export is damaged or forged at this place: make it again, or take it from another department's node",
)
EXPORT_TRUNCATED = define(
    "export.truncated",
    "the export ends before its last frame",
    "fetch or copy it again, completely",
)
EXPORT_DIGEST = define(
    "export.digest",
    "the digest at the end of the export is not that of the bytes before it",
    "the export was damaged on its way: fetch or copy it again",
)
EXPORT_TRAILING = define(
    "export.trailing",
    "bytes follow the last frame of the export",
    "two files were run together, or something was added: make the export again",
)


@dataclass(frozen=True, slots=True)
class ExportGenesis:
    """The first frame: genesis as canonical bytes."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class ExportBlock:
    """One height: the block, its commit certificate and its receipts, all as bytes."""

    height: int
    block: bytes
    certificate: bytes
    receipts: bytes

    def to_bytes(self) -> bytes:
        return codec.encode_flat([self.height, self.block, self.certificate, self.receipts])

    @classmethod
    def from_value(cls, value: codec.Value) -> ExportBlock:
        b = codec.is_bytes
        return cls(*codec.fields(value, "export frame", codec.is_uint, b, b, b))


@dataclass(frozen=True, slots=True)
class ExportEnd:
    """The last frame: the last height in the export and the digest of everything before."""

    height: int
    digest: bytes

    def to_bytes(self) -> bytes:
        return codec.encode_flat([END, self.height, self.digest])

    @classmethod
    def from_value(cls, value: codec.Value) -> ExportEnd:
        return cls(*codec.fields(value, "export end", END.__eq__, codec.is_uint, codec.is_digest)[1:])


ExportItem: TypeAlias = ExportGenesis | ExportBlock | ExportEnd


class ExportWriter:
    """Makes the stream piece by piece: `start`, `block` for each height, `end`; hand the bytes on in order."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._height = 0

    def start(self, genesis: bytes, from_height: int = 1) -> bytes:
        """Magic and genesis frame. `from_height`: the first height that will follow."""
        self._height = from_height - 1
        return self._taken(MAGIC + _framed(genesis))

    def block(self, frame: ExportBlock) -> bytes:
        """The frame of the next height. Errors: export.frame for any other height."""
        if frame.height != self._height + 1:
            raise KehuError(EXPORT_FRAME, field="height", expected=self._height + 1, actual=frame.height)
        self._height = frame.height
        return self._taken(_framed(frame.to_bytes()))

    def end(self) -> bytes:
        return _framed(ExportEnd(self._height, self._sha.digest()).to_bytes())

    def _taken(self, chunk: bytes) -> bytes:
        self._sha.update(chunk)
        return chunk


def _framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def export_chunks(genesis: bytes, frames: Iterable[ExportBlock], from_height: int = 1) -> Iterator[bytes]:
    """The stream for `frames`, one chunk per frame; memory is that of one frame."""
    writer = ExportWriter()
    yield writer.start(genesis, from_height)
    for frame in frames:
        yield writer.block(frame)
    yield writer.end()


def stored_frames(blocks: BlockStore, from_height: int, to_height: int) -> Iterator[ExportBlock]:
    """The frames of heights `from_height` to `to_height` (both included) as they lie in a store."""
    for height in range(max(1, from_height), to_height + 1):
        certificate = blocks.certificate(height)
        if certificate is not None:
            receipts = codec.encode_flat(blocks.receipt_bytes(height))
            yield ExportBlock(height, blocks.block_bytes(height), certificate.to_bytes(), receipts)


class ExportReader:
    """Takes the stream in chunks of any size and gives what is complete.

    A length is checked against the cap before anything is gathered, so a reader holds at most one frame and
    the last chunk. `place` is the height that the next frame should have: what an error is about.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._sha = hashlib.sha256()
        self._has_magic = False
        self._has_genesis = False
        self._ended = False
        self._place: int | None = None

    @property
    def place(self) -> int:
        """The height being read; 0 while it is genesis, 1 where no height has told better."""
        return self._place if self._place is not None else int(self._has_genesis)

    def feed(self, chunk: bytes) -> Iterator[ExportItem]:
        """The items that `chunk` completes, in order. Errors: export.*, codec.*."""
        self._buffer += chunk
        if not self._has_magic and not self._take_magic():
            return
        while True:
            if self._ended:
                if self._buffer:
                    raise KehuError(EXPORT_TRAILING, height=self.place)
                return
            payload = self._take_frame()
            if payload is None:
                return
            yield self._item(payload)

    def close(self) -> None:
        """To be called when there are no more chunks. Errors: export.not_one, export.truncated."""
        if not self._has_magic:
            raise KehuError(EXPORT_NOT_ONE, bytes=len(self._buffer))
        if not self._ended:
            raise KehuError(EXPORT_TRUNCATED, height=self.place)

    def _take_magic(self) -> bool:
        seen = bytes(self._buffer[: len(MAGIC)])
        if not MAGIC.startswith(seen):
            raise KehuError(EXPORT_NOT_ONE, expected=MAGIC, actual=seen)
        if len(seen) < len(MAGIC):
            return False
        self._sha.update(MAGIC)
        del self._buffer[: len(MAGIC)]
        self._has_magic = True
        return True

    def _take_frame(self) -> bytes | None:
        if len(self._buffer) < LENGTH_BYTES:
            return None
        length = int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
        limit = FRAME_BYTES_MAX if self._has_genesis else GENESIS_BYTES_MAX
        if length > limit:
            raise KehuError(EXPORT_FRAME_TOO_LARGE, height=self.place, bytes=length, limit=limit)
        if len(self._buffer) < LENGTH_BYTES + length:
            return None
        payload = bytes(self._buffer[LENGTH_BYTES : LENGTH_BYTES + length])
        del self._buffer[: LENGTH_BYTES + length]
        return payload

    def _item(self, payload: bytes) -> ExportItem:
        if not self._has_genesis:
            self._has_genesis = True
            self._count(payload)
            return ExportGenesis(payload)
        value = codec.decode(payload, FRAME_BYTES_MAX, elements_max=8)
        if type(value) is list and value[:1] == [END]:
            return self._end(ExportEnd.from_value(value))
        frame = ExportBlock.from_value(value)
        if self._place is not None and frame.height != self._place:
            raise KehuError(EXPORT_FRAME, field="height", expected=self._place, actual=frame.height)
        self._count(payload)
        self._place = frame.height + 1
        return frame

    def _end(self, end: ExportEnd) -> ExportEnd:
        last = end.height if self._place is None else self._place - 1
        if end.height != last:
            raise KehuError(EXPORT_FRAME, field="end", expected=last, actual=end.height)
        if end.digest != self._sha.digest():
            raise KehuError(EXPORT_DIGEST, height=end.height, expected=self._sha.digest(), actual=end.digest)
        self._ended = True
        return end

    def _count(self, payload: bytes) -> None:
        self._sha.update(len(payload).to_bytes(LENGTH_BYTES, "big"))
        self._sha.update(payload)


def read_export(chunks: Iterable[bytes]) -> Iterator[ExportItem]:
    """Every item of a stream, which must be complete. Errors: export.*, codec.*."""
    reader = ExportReader()
    for chunk in chunks:
        yield from reader.feed(chunk)
    reader.close()

"""The vote log: what this node has signed, on the disk before it leaves the node.

A node that forgets a vote can vote twice, so this file is stricter than any other:

    file   := magic "KEHUVOTE" | crc32(head) u32 | length u32 | head        head  = [version, chain id, department,
    frame  := length u32 | sequence u64 | crc32 u32 | crc32(body) u32 | body         first sequence]
    body   := canonical list of records (opaque bytes)                      (integers big-endian)

`append` collects, `sync` writes everything collected as one frame and flushes it to the disk, and the next frame
begins only after that. A power cut can thus tear the last frame only, and that frame was never acknowledged: it is
cut off at the next opening and reported. A tail counts as torn if the file ends inside the frame, or shows space
that was never written; any other bad byte is `votelog.corrupt`, and nothing is read past it. The first crc of a
frame covers length and sequence, so a damaged length can't pass for a torn tail; both are seeded with the head's,
so a frame of another log doesn't pass either.

A missing or corrupt log on a chain that is not empty means: observe, don't vote. The caller decides that. A log
cut exactly between two frames, or put back from an old copy, can't be told from inside; `require_voted` tells it by
the certificates of the chain.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chain import codec
from chain.certificate import Certificate
from chain.errors import KehuError, define
from node.storage.durable import (
    STORAGE_IO,
    StorageFailure,
    has_unwritten_part,
    storage_failures,
    write_file,
    write_fully,
)

MAGIC: Final = b"KEHUVOTE"
VERSION: Final = 1
BODY_BYTES_MAX: Final = 32 << 20
FILE_BYTES_MAX: Final = 1 << 30
_HEAD: Final = struct.Struct(">8sII")
_CLAIM: Final = struct.Struct(">IQ")
_FRAME: Final = struct.Struct(">IQII")

VOTELOG_MISSING = define(
    "votelog.missing",
    "there is no vote log; a node that has voted before must not vote again without it",
    "start as an observer: the node votes again once the network has passed every height it could have voted on",
)
VOTELOG_EXISTS = define(
    "votelog.exists", "a vote log stands here already", "open it; a new one would forget what the node has signed"
)
VOTELOG_CORRUPT = define(
    "votelog.corrupt",
    "the vote log is damaged before its end; what the node has signed is not known",
    "move the file away and start as an observer; then look at the disk",
)
VOTELOG_OLD = define(
    "votelog.old",
    "the chain has a vote of this node that its vote log does not know: the log is an older copy",
    "nothing: the log is set aside and the node observes until it may vote; never put a vote log back from a copy",
)
VOTELOG_FOREIGN = define(
    "votelog.foreign",
    "the vote log belongs to another chain or department",
    "give the node its own folder; logs and keys are not to be copied between nodes",
)
VOTELOG_IN_USE = define(
    "votelog.in_use", "another process has this vote log open", "stop the other process; two voters would equivocate"
)
VOTELOG_TOO_LARGE = define(
    "votelog.too_large", "the records of one sync are larger than a frame may be", "sync more often"
)


def require_voted(department: str, certificate: Certificate, voted: int) -> None:
    """Raises if a certificate holds a vote of `department` on a height above `voted`, the last that its log knows."""
    if certificate.height > voted and department in dict(certificate.signatures):
        raise StorageFailure(VOTELOG_OLD, voted=voted, height=certificate.height)


@dataclass(frozen=True, slots=True)
class LogContents:
    """What a log file holds. `torn_bytes` at its end are an unacknowledged frame that a power cut left."""

    records: tuple[bytes, ...]
    intact_bytes: int
    torn_bytes: int
    next_sequence: int
    seed: int


class VoteLog:
    """An open vote log, locked against other processes. `append` is cheap; `sync` and `rewrite` block for a flush."""

    def __init__(self, path: Path, chain_id: bytes, department: str) -> None:
        """Opens an existing log; a torn tail is cut off and counted in `torn_bytes`."""
        self._path, self._chain_id, self._department = path, chain_id, department
        self._descriptor = _open_locked(path)
        try:
            contents = read_log(path, chain_id, department)
            if contents.torn_bytes:
                with storage_failures(path, "cut torn tail"):
                    os.ftruncate(self._descriptor, contents.intact_bytes)
                    os.fsync(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.torn_bytes = contents.torn_bytes
        self.size_bytes = contents.intact_bytes
        self._sequence = contents.next_sequence
        self._seed = contents.seed
        self._pending: list[bytes] = []
        self._is_usable = True
        self._file_lock = threading.Lock()
        self._queue_lock = threading.Lock()  # held for moments only, so that `append` never waits for a flush

    @classmethod
    def create(cls, path: Path, chain_id: bytes, department: str) -> VoteLog:
        """A new, empty log. Refused where one exists."""
        with storage_failures(path, "create"):
            try:
                write_file(path, _head(chain_id, department, 1), replace=False)
            except FileExistsError:
                raise KehuError(VOTELOG_EXISTS, path=str(path)) from None
        return cls(path, chain_id, department)

    def append(self, records: Iterable[bytes]) -> None:
        """Queues records for the next `sync`. Not durable before that returns."""
        self._require_usable()
        with self._queue_lock:
            self._pending.extend(records)

    def sync(self) -> None:
        """Makes everything appended so far durable, as one frame. After a failure the log refuses all use."""
        with self._file_lock:
            self._require_usable()
            with self._queue_lock:
                batch, self._pending = self._pending, []
            if not batch:
                return
            with self._final("sync"):
                frame = _frame(batch, self._sequence, self._seed)
                write_fully(self._descriptor, frame)
                os.fsync(self._descriptor)
            self._sequence += 1
            self.size_bytes += len(frame)

    def rewrite(self, records: Sequence[bytes]) -> None:
        """Replaces the log by one that holds exactly `records`: a new file, flushed, then renamed over the old.

        Records appended and not yet synced stay queued. `records` must hold every vote that could still matter.
        """
        with self._file_lock:
            self._require_usable()
            head = _head(self._chain_id, self._department, self._sequence)
            seed = zlib.crc32(head)
            # A frame for each: together they may be more than one frame holds.
            frames = b"".join([_frame([record], self._sequence + at, seed) for at, record in enumerate(records)])
            with self._final("rewrite"):
                write_file(self._path, head + frames, replace=True)
                old, self._descriptor = self._descriptor, _open_locked(self._path)
                os.close(old)
            self._sequence += len(records)
            self._seed = seed
            self.size_bytes = len(head) + len(frames)

    def read_all(self) -> list[bytes]:
        """Every durable record, oldest first, read from the file and checked again."""
        with self._file_lock:
            self._require_usable()
            return list(read_log(self._path, self._chain_id, self._department).records)

    def close(self) -> None:
        """Closes without syncing: what was only appended is gone, as it would be after a power cut."""
        with self._file_lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor, self._is_usable = -1, False

    @contextmanager
    def _final(self, operation: str) -> Iterator[None]:
        """Whatever goes wrong in the block, this log is used no more."""
        try:
            with storage_failures(self._path, operation):
                yield
        except BaseException:
            self._is_usable = False
            raise

    def _require_usable(self) -> None:
        if not self._is_usable:
            raise StorageFailure(STORAGE_IO, path=str(self._path), problem="closed, or failed earlier")


def read_log(path: Path, chain_id: bytes, department: str) -> LogContents:
    """Reads and checks a whole log; opens nothing for writing. Raises `votelog.*` errors."""
    data = _read(path)
    first, position = _check_head(path, data, chain_id, department)
    seed = zlib.crc32(data[:position])
    sequence, records = first, []
    while position < len(data):
        body = _body_at(data, position, sequence, seed)
        if body is None:
            _require_torn(path, data, position, sequence, seed)
            break
        try:
            records += codec.fields([codec.decode(body, BODY_BYTES_MAX)], "votes", codec.list_of(codec.is_bytes))[0]
        except KehuError as error:
            raise KehuError(VOTELOG_CORRUPT, path=str(path), offset=position, problem=error.code) from None
        position += _FRAME.size + len(body)
        sequence += 1
    return LogContents(tuple(records), position, len(data) - position, sequence, seed)


def _head(chain_id: bytes, department: str, first_sequence: int) -> bytes:
    head = codec.encode_flat([VERSION, chain_id, department, first_sequence])
    return _HEAD.pack(MAGIC, zlib.crc32(head, len(head)), len(head)) + head


def _frame(records: list[bytes], sequence: int, seed: int) -> bytes:
    body = codec.encode_flat(records)
    if len(body) > BODY_BYTES_MAX or len(records) >= codec.ELEMENTS_MAX:
        raise KehuError(VOTELOG_TOO_LARGE, bytes=len(body), records=len(records), limit=BODY_BYTES_MAX)
    claim = _CLAIM.pack(len(body), sequence)
    return _FRAME.pack(len(body), sequence, zlib.crc32(claim, seed), zlib.crc32(body, seed)) + body


def _open_locked(path: Path) -> int:
    with storage_failures(path, "open"):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            raise KehuError(VOTELOG_MISSING, path=str(path)) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise KehuError(VOTELOG_IN_USE, path=str(path)) from None
        return descriptor


def _read(path: Path) -> bytes:
    with storage_failures(path, "read"):
        try:
            with path.open("rb") as file:
                # Asked for more than there is, Python would make room for it all first.
                data = file.read(min(os.fstat(file.fileno()).st_size, FILE_BYTES_MAX) + 1)
        except FileNotFoundError:
            raise KehuError(VOTELOG_MISSING, path=str(path)) from None
    if len(data) > FILE_BYTES_MAX:
        raise KehuError(VOTELOG_CORRUPT, path=str(path), bytes=f">{FILE_BYTES_MAX}", limit=FILE_BYTES_MAX)
    return data


def _check_head(path: Path, data: bytes, chain_id: bytes, department: str) -> tuple[int, int]:
    """First sequence number and end of the head. A head is written by rename, so a short one is damage."""
    magic, crc, length = _HEAD.unpack_from(data) if len(data) >= _HEAD.size else (b"", 0, 0)
    head = data[_HEAD.size : _HEAD.size + length]
    if magic != MAGIC or len(head) != length or zlib.crc32(head, length) != crc:
        raise KehuError(VOTELOG_CORRUPT, path=str(path), offset=0, problem="head")
    u, text = codec.is_uint, codec.is_text
    version, chain, owner, first = codec.fields(codec.decode(head, 1024), "vote log", u, codec.is_bytes, text, u)
    if (version, chain, owner) != (VERSION, chain_id, department):
        raise KehuError(VOTELOG_FOREIGN, path=str(path), expected=department, actual=owner, chain=chain)
    return first, _HEAD.size + length


def _body_at(data: bytes, position: int, sequence: int, seed: int) -> bytes | None:
    """The body of the sound frame with this sequence number at `position`, if there is one."""
    if position + _FRAME.size > len(data):
        return None
    length, number, claim_crc, body_crc = _FRAME.unpack_from(data, position)
    body = data[position + _FRAME.size : position + _FRAME.size + length]
    is_claimed = zlib.crc32(data[position : position + _CLAIM.size], seed) == claim_crc and number == sequence
    return body if is_claimed and len(body) == length and zlib.crc32(body, seed) == body_crc else None


def _require_torn(path: Path, data: bytes, position: int, sequence: int, seed: int) -> None:
    """Raises unless the bad frame at `position` is the last one and looks like what a power cut leaves."""
    is_short = len(data) - position < _FRAME.size
    if not is_short:
        length, number, claim_crc, _ = _FRAME.unpack_from(data, position)
        is_claimed = zlib.crc32(data[position : position + _CLAIM.size], seed) == claim_crc and number == sequence
        is_short = is_claimed and position + _FRAME.size + length > len(data)
    following = _CLAIM.pack(0, sequence + 1)[4:]  # the next frame's number, wherever it may stand
    begins_another = any(
        _body_at(data, at - 4, sequence + 1, seed) is not None for at in _places(data, following, position)
    )
    if begins_another or not (is_short or has_unwritten_part(data, position)):
        raise KehuError(VOTELOG_CORRUPT, path=str(path), offset=position, sequence=sequence)


def _places(data: bytes, wanted: bytes, start: int) -> Iterator[int]:
    at = data.find(wanted, start)
    while at >= 0:
        if at >= 4:
            yield at
        at = data.find(wanted, at + 1)

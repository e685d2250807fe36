"""The two files of a backup. docs/spec/backup.md is the authority; there are no file names and no paths in either.

data   MAGIC, frames [kind, pairs]         u32 big-endian length | canonical bytes
keys   MAGIC, one clear frame, then sealed frames
Both end with a frame that says so; the data's carries the SHA-256 of everything before it, and the keys' the same:
what is in the data is as the node gave it, wherever it was kept.

A sealed frame is ChaCha20-Poly1305 under a key that scrypt makes from the node's passphrase, with the frame's number
as nonce (the salt is fresh, so the key is used once) and [backup id, number, kind is "end"] bound to it: frames can't
be left out, exchanged or cut off.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Generator, Iterable, Iterator
from typing import BinaryIO, Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from chain import codec
from chain.errors import KehuError, define
from node.keys.files import ScryptCost

DATA_MAGIC: Final = b"KEHU-BACKUP-1\n"
KEYS_MAGIC: Final = b"KEHU-BACKUP-KEYS-1\n"
ID_BYTES: Final = 16
FRAME_BYTES_MAX: Final = 1 << 27
"""A frame holds whole pairs; a block's receipts alone may have 2**26 bytes."""
PAIRS_BYTES: Final = 1 << 20
_SALT_BYTES: Final = 16
_DIGEST: Final = b"sha256"

Pair: TypeAlias = tuple[bytes, bytes]
Frame: TypeAlias = tuple[str, list[Pair]]

BACKUP_DAMAGED = define(
    "backup.damaged",
    "the file is not a whole backup: it ends early, was altered, or is no backup at all",
    "take another backup; nothing was restored",
)
BACKUP_OTHER = define(
    "backup.other",
    "the data file and the keys file are not of the same backup, or the data were altered afterwards",
    "name the two files that one `kehu backup` wrote; if they are, take another backup",
)
BACKUP_PASSPHRASE = define(
    "backup.passphrase_wrong",
    "the passphrase does not open the backup's keys",
    "give the passphrase that the node had when the backup was taken; if it is certainly right, the keys file was "
    "altered: take another copy of it, or another backup",
)


def encode_frame(kind: str, pairs: Iterable[Pair]) -> bytes:
    raw = codec.encode_flat([kind, [[key, value] for key, value in pairs]])
    return len(raw).to_bytes(4, "big") + raw


def decode_frame(raw: bytes) -> Frame:
    kind, rows = codec.fields(
        codec.decode(raw, FRAME_BYTES_MAX, elements_max=FRAME_BYTES_MAX), "backup frame", codec.is_text, codec.is_list
    )
    pairs = [codec.fields(row, "pair", codec.is_bytes, codec.is_bytes) for row in rows]
    return kind, [(key, value) for key, value in pairs]


def framed(kind: str, pairs: Iterable[Pair]) -> Iterator[bytes]:
    """Frames of about `PAIRS_BYTES`."""
    held: list[Pair] = []
    size = 0
    for pair in pairs:
        held.append(pair)
        size += len(pair[0]) + len(pair[1])
        if size >= PAIRS_BYTES:
            yield encode_frame(kind, held)
            held, size = [], 0
    if held:
        yield encode_frame(kind, held)


def data_chunks(backup_id: bytes, frames: Iterable[bytes]) -> Iterator[bytes]:
    """The data file."""
    sha = hashlib.sha256()
    for chunk in (DATA_MAGIC, encode_frame("backup", [(b"id", backup_id)])):
        sha.update(chunk)
        yield chunk
    for chunk in frames:
        sha.update(chunk)
        yield chunk
    yield encode_frame("end", [(_DIGEST, sha.digest())])


def digest_in(end: bytes) -> bytes:
    """Of the data, by the last chunk of its file."""
    _, ((_, digest),) = decode_frame(end[4:])
    return digest


class KeysSealer:
    """Makes the keys file, frame by frame."""

    def __init__(self, backup_id: bytes, passphrase: str, cost: ScryptCost) -> None:
        self._id, self._number = backup_id, 0
        salt = secrets.token_bytes(_SALT_BYTES)
        self._cipher = _cipher(passphrase, salt, cost)
        numbers = codec.encode_flat([cost.n, cost.r, cost.p])
        self.head: Final = KEYS_MAGIC + encode_frame("seal", [(b"id", backup_id), (b"salt", salt), (b"cost", numbers)])

    def seal(self, frame: bytes, *, is_end: bool = False) -> bytes:
        nonce, associated = _bound(self._id, self._number, is_end=is_end)
        self._number += 1
        sealed = self._cipher.encrypt(nonce, frame[4:], associated)
        return len(sealed).to_bytes(4, "big") + sealed

    def end(self, data_digest: bytes | None = None) -> bytes:
        """`data_digest`: what the data file's last frame says. Earlier releases left it out."""
        return self.seal(encode_frame("end", [] if data_digest is None else [(_DIGEST, data_digest)]), is_end=True)


class KeyFrames:
    """The frames of a keys file, `end` excluded; `data_digest` is known when they have ended."""

    def __init__(self, frames: Generator[Frame, None, list[Pair]]) -> None:
        self._frames = frames
        self.data_digest: bytes | None = None

    def __iter__(self) -> Iterator[Frame]:
        end = yield from self._frames
        self.data_digest = dict(end).get(_DIGEST)


def read_data(file: BinaryIO, keys: KeyFrames | None = None) -> Iterator[Frame]:
    """The frames of a data file, `end` excluded; the first says the backup's id. What was read is whole, and what
    `keys`, if they have been read by then, are of, only when this ends without an error. Errors: backup.damaged,
    backup.other."""
    sha = hashlib.sha256(_magic(file, DATA_MAGIC))
    while True:
        raw = _next(file)
        kind, pairs = _decoded(raw)
        if kind == "end":
            if pairs != [(_DIGEST, sha.digest())] or file.read(1):
                raise KehuError(BACKUP_DAMAGED, problem="digest")
            if keys is not None and keys.data_digest not in (None, sha.digest()):
                raise KehuError(BACKUP_OTHER, expected=keys.data_digest, actual=sha.digest())
            return
        sha.update(len(raw).to_bytes(4, "big") + raw)
        yield kind, pairs


def read_keys(file: BinaryIO, passphrase: str) -> tuple[bytes, KeyFrames]:
    """(the backup's id, the frames of the keys file). Errors: backup.damaged, backup.passphrase_wrong."""
    _magic(file, KEYS_MAGIC)
    kind, pairs = _decoded(_next(file))
    head = dict(pairs)
    try:
        numbers = codec.decode(head[b"cost"], 64)
        cost = ScryptCost(*codec.fields(numbers, "cost", codec.is_uint, codec.is_uint, codec.is_uint))
        backup_id, salt = head[b"id"], head[b"salt"]
    except (KeyError, KehuError):
        raise KehuError(BACKUP_DAMAGED, problem="seal") from None
    if kind != "seal" or not cost.is_acceptable() or len(salt) != _SALT_BYTES or len(backup_id) != ID_BYTES:
        raise KehuError(BACKUP_DAMAGED, problem="seal")
    return backup_id, KeyFrames(_unsealed(file, backup_id, _cipher(passphrase, salt, cost)))


def _unsealed(file: BinaryIO, backup_id: bytes, cipher: ChaCha20Poly1305) -> Generator[Frame, None, list[Pair]]:
    """Gives the pairs of the last frame when the others have been taken."""
    number = 0
    while True:
        raw = _next(file)
        for is_end in (False, True):
            nonce, associated = _bound(backup_id, number, is_end=is_end)
            try:
                frame = cipher.decrypt(nonce, raw, associated)
                break
            except InvalidTag:
                continue
        else:
            raise KehuError(BACKUP_PASSPHRASE) if number == 0 else KehuError(BACKUP_DAMAGED, problem="sealed frame")
        if is_end:
            if file.read(1):
                raise KehuError(BACKUP_DAMAGED, problem="more after the end")
            return _decoded(frame)[1]
        yield _decoded(frame)
        number += 1


def _bound(backup_id: bytes, number: int, *, is_end: bool) -> tuple[bytes, bytes]:
    return number.to_bytes(12, "big"), codec.encode_flat(["backup-keys", backup_id, number, int(is_end)])


def _cipher(passphrase: str, salt: bytes, cost: ScryptCost) -> ChaCha20Poly1305:
    secret = unicodedata.normalize("NFC", passphrase).encode()
    return ChaCha20Poly1305(Scrypt(salt=salt, length=32, n=cost.n, r=cost.r, p=cost.p).derive(secret))


def _magic(file: BinaryIO, magic: bytes) -> bytes:
    found = file.read(len(magic))
    if found != magic:
        raise KehuError(BACKUP_DAMAGED, problem="magic")
    return found


def _next(file: BinaryIO) -> bytes:
    head = file.read(4)
    length = int.from_bytes(head, "big")
    if len(head) != 4 or length > FRAME_BYTES_MAX:
        raise KehuError(BACKUP_DAMAGED, problem="frame length")
    raw = file.read(length)
    if len(raw) != length:
        raise KehuError(BACKUP_DAMAGED, problem="ends early")
    return raw


def _decoded(raw: bytes) -> Frame:
    try:
        return decode_frame(raw)
    except KehuError as error:
        raise KehuError(BACKUP_DAMAGED, problem=error.code) from None

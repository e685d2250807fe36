"""Ed25519 keys in files that are useless without their passphrase.

A key file is JSON: version, kind, name and public key in the clear, so that it can be told apart without the
passphrase, and the 32 secret bytes sealed by ChaCha20-Poly1305 (RFC 8439) under a key that scrypt (RFC 7914)
makes from the passphrase. The cost stands in the file. The clear fields are the seal's associated data, so a
file with an exchanged name or public key doesn't open. A digest over all fields tells a damaged file from a
wrong passphrase; it is no protection, the seal is.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from chain import codec
from chain.crypto import SigningKey, digest
from chain.errors import KehuError, define
from node.storage.durable import storage_failures, write_file

KeyKind = Literal["person", "node", "gateway"]
KINDS: Final = ("person", "node", "gateway")
VERSION: Final = 1
FILE_BYTES_MAX: Final = 1 << 14
NAME_LENGTH_MAX: Final = 128

KEY_FILE_MISSING = define(
    "key.file_missing",
    "there is no key file at this path",
    "correct the path; or make a person's with `kehu key new`, a node's with `kehu node next-key` (docs/membership.md)",
)
KEY_FILE_EXISTS = define(
    "key.file_exists",
    "a key file stands at this path already, and a key is never overwritten",
    "choose another path, or move the old file away yourself",
)
KEY_FILE_DAMAGED = define(
    "key.file_damaged",
    "the key file is incomplete or altered",
    "restore it from its backup; else move it away and make a new key, which has to be enrolled or agreed on",
)
KEY_FILE_UNREADABLE = define(
    "key.file_unreadable",
    "there is a key file, but the user that this runs as may not read it",
    "give it to that user with `chown`, mode 600; what writes into a node's folder is run as the node's user",
)
KEY_FILE_OPEN = define(
    "key.file_open",
    "others than the owner may read the key file",
    "run `chmod 600` on it; if strangers had access, replace the key",
)
KEY_PASSPHRASE_WRONG = define(
    "key.passphrase_wrong",
    "the passphrase does not open this key file",
    "check the passphrase; where a change of a node's passphrase was interrupted, do it again; if it is certainly "
    "right, the file was altered on purpose: restore it from its backup",
)
KEY_FILE_INVALID = define(
    "key.file_invalid",
    "a key file needs a kind (person, node or gateway), a name of 1 to 128 characters, a passphrase, 32 secret bytes",
    "correct the named field",
)


@dataclass(frozen=True, slots=True)
class ScryptCost:
    """scrypt's parameters; memory is 128 * n * r bytes (32 MiB by default)."""

    n: int = 1 << 15
    r: int = 8
    p: int = 1

    def is_acceptable(self) -> bool:
        """Bounds what a foreign file can make us spend: at most 1 GiB, a power of two."""
        powers = self.n > 1 and self.n & (self.n - 1) == 0
        return powers and self.r >= 1 and 1 <= self.p <= 16 and 128 * self.n * self.r <= 1 << 30


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a key file says without its passphrase."""

    kind: KeyKind
    name: str
    public: bytes


@dataclass(frozen=True, slots=True)
class _Sealed:
    head: PublicKey
    cost: ScryptCost
    salt: bytes
    nonce: bytes
    ciphertext: bytes

    def clear_fields(self) -> codec.Value:
        head, cost = self.head, self.cost
        return [VERSION, head.kind, head.name, head.public, "scrypt", cost.n, cost.r, cost.p, self.salt]

    def checksum(self) -> bytes:
        return digest("key-file", codec.encode_flat([*self.clear_fields(), self.nonce, self.ciphertext]))

    def cipher(self, passphrase: str) -> ChaCha20Poly1305:
        secret = unicodedata.normalize("NFC", passphrase).encode()
        kdf = Scrypt(salt=self.salt, length=32, n=self.cost.n, r=self.cost.r, p=self.cost.p)
        return ChaCha20Poly1305(kdf.derive(secret))

    def to_json(self) -> bytes:
        content = {
            "version": VERSION,
            "kind": self.head.kind,
            "name": self.head.name,
            "public": self.head.public.hex(),
            "kdf": {
                "name": "scrypt",
                "salt": self.salt.hex(),
                "n": self.cost.n,
                "r": self.cost.r,
                "p": self.cost.p,
            },
            "nonce": self.nonce.hex(),
            "ciphertext": self.ciphertext.hex(),
            "checksum": self.checksum().hex(),
        }
        return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"


def create_key_file(
    path: Path,
    kind: KeyKind,
    name: str,
    passphrase: str,
    seed: bytes,
    cost: ScryptCost = ScryptCost(),
) -> PublicKey:
    """Seals `seed` (32 bytes the caller drew) into a new file of mode 0600; refuses an existing one."""
    for field, is_good in (
        ("kind", kind in KINDS),
        ("name", 1 <= len(name) <= NAME_LENGTH_MAX),
        ("seed", len(seed) == 32),
        ("cost", cost.is_acceptable()),
    ):
        if not is_good:
            raise KehuError(KEY_FILE_INVALID, field=field)
    head = PublicKey(kind, name, SigningKey(seed).public)
    try:
        _write(path, head, passphrase, seed, cost, replace=False)
    except FileExistsError:
        raise KehuError(KEY_FILE_EXISTS, path=str(path)) from None
    return head


def load_key(path: Path, passphrase: str) -> SigningKey:
    """The signing key of a file that only its owner can read."""
    key, _ = _open(path, passphrase)
    return key


def read_public(path: Path) -> PublicKey:
    """Kind, name and public key; needs no passphrase."""
    return _read(path, is_private=False).head


def change_passphrase(path: Path, old: str, new: str, cost: ScryptCost | None = None) -> None:
    """Seals the same key under another passphrase (and cost, if given); all or nothing."""
    key, sealed = _open(path, old)
    _write(path, sealed.head, new, key.seed, cost or sealed.cost, replace=True)


def require_opens(path: Path, content: bytes, passphrase: str) -> None:
    """`content` was read from `path`, and its key opens. Errors: key.file_damaged, key.passphrase_wrong."""
    _unsealed(path, _parsed(path, content), passphrase)


def _open(path: Path, passphrase: str) -> tuple[SigningKey, _Sealed]:
    sealed = _read(path, is_private=True)
    return _unsealed(path, sealed, passphrase), sealed


def _unsealed(path: Path, sealed: _Sealed, passphrase: str) -> SigningKey:
    try:
        associated = codec.encode_flat(sealed.clear_fields())
        seed = sealed.cipher(passphrase).decrypt(sealed.nonce, sealed.ciphertext, associated)
    except InvalidTag:
        raise KehuError(KEY_PASSPHRASE_WRONG, path=str(path)) from None
    key = SigningKey(seed)
    if key.public != sealed.head.public:
        raise KehuError(KEY_FILE_DAMAGED, path=str(path), expected=sealed.head.public, actual=key.public)
    return key


def _write(path: Path, head: PublicKey, passphrase: str, seed: bytes, cost: ScryptCost, *, replace: bool) -> None:
    if not passphrase:
        raise KehuError(KEY_FILE_INVALID, field="passphrase")
    empty = _Sealed(head, cost, secrets.token_bytes(16), secrets.token_bytes(12), b"")
    ciphertext = empty.cipher(passphrase).encrypt(empty.nonce, seed, codec.encode_flat(empty.clear_fields()))
    sealed = _Sealed(head, cost, empty.salt, empty.nonce, ciphertext)
    try:
        with storage_failures(path, "write key file"):
            write_file(path, sealed.to_json(), replace=replace, like=path if replace else None)
    except KehuError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise error.__cause__ from None
        raise


def _read(path: Path, *, is_private: bool) -> _Sealed:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise KehuError(KEY_FILE_MISSING, path=str(path)) from None
    except PermissionError:
        raise KehuError(KEY_FILE_UNREADABLE, path=str(path), user=os.geteuid()) from None
    except OSError as error:
        raise KehuError(KEY_FILE_DAMAGED, path=str(path), problem=type(error).__name__) from None
    if is_private and mode & 0o077:
        raise KehuError(KEY_FILE_OPEN, path=str(path), mode=oct(mode), expected=oct(0o600))
    return _parsed(path, content)


def _parsed(path: Path, content: bytes) -> _Sealed:
    try:
        return _parse(json.loads(content), len(content))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise KehuError(KEY_FILE_DAMAGED, path=str(path), problem=type(error).__name__) from None


def _parse(value: Any, size: int) -> _Sealed:
    kdf = value["kdf"]
    cost = ScryptCost(kdf["n"], kdf["r"], kdf["p"])
    head = PublicKey(value["kind"], value["name"], bytes.fromhex(value["public"]))
    sealed = _Sealed(head, cost, *(bytes.fromhex(text) for text in (kdf["salt"], value["nonce"], value["ciphertext"])))
    is_known = value["version"] == VERSION and kdf["name"] == "scrypt" and head.kind in KINDS and type(head.name) is str
    lengths = (len(head.public), len(sealed.nonce), len(sealed.ciphertext))
    if size > FILE_BYTES_MAX or not is_known or lengths != (32, 12, 48) or not cost.is_acceptable():
        raise ValueError
    if sealed.checksum() != bytes.fromhex(value["checksum"]):
        raise ValueError
    return sealed

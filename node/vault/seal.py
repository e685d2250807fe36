"""How a value is sealed. Where it lies in the store is node/vault/rows.py's.

sealed  key id (8) | nonce (12) | ciphertext and tag of salt (32) | UTF-8 of the value, under the record's key

The associated data encode(["vault", chain id, table, record, key id]) | field | digest binds the bytes to their
field and digest: moved to another field, record or chain they don't open.

The cipher is AES-256-GCM (NIST SP 800-38D), which processors have instructions for. Each nonce is drawn at random: a
counter would repeat after a folder was put back from a backup, and one repeated nonce gives both values away.

Earlier releases sealed under ChaCha20-Poly1305 (RFC 8439), with all else the same. What they sealed opens: a node that
is upgraded keeps its vault. Both ciphers authenticate, so what is sealed under one is never taken for the other's.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from chain import codec
from chain.errors import KehuError, define
from chain.records import SALT_BYTES
from node.vault.values import FieldId, VaultValue

KEY_ID_BYTES: Final = 8
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_BOX_BEGIN: Final = KEY_ID_BYTES + NONCE_BYTES
_SEALED_BYTES_MIN: Final = _BOX_BEGIN + SALT_BYTES + TAG_BYTES

VAULT_DAMAGED = define(
    "vault.damaged",
    "a sealed value or key does not open: it was altered, moved, or sealed under a key that was destroyed since",
    "look for who writes to the folder; then move vault/ and vault-keys/ away: the node fetches from other "
    "departments what it may hold",
)

Wanted = tuple[FieldId, bytes]
"""A field and the digest that the chain has for it."""


class RecordId(NamedTuple):
    """A tuple, because sets and maps of them are asked so often."""

    table: str
    record: str

    def to_key(self, prefix: bytes) -> bytes:
        return prefix + f"{self.table}/{self.record}".encode()

    def field(self, name: str) -> FieldId:
        return FieldId(self.table, self.record, name)


@dataclass(frozen=True, slots=True)
class RecordKey:
    """A record's key, with what stands before field and digest in the associated data of its values."""

    id: bytes
    secret: bytes = field(repr=False)
    about: bytes

    @classmethod
    def of(cls, chain_id: bytes, record: RecordId, key_id: bytes, secret: bytes) -> RecordKey:
        return cls(key_id, secret, codec.encode_flat(["vault", chain_id, record.table, record.record, key_id]))

    def cipher(self) -> AESGCM:
        """To be made once for all values of a record that are sealed together, and not kept: it takes 2 KB."""
        return AESGCM(self.secret)


def seal(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """nonce (12) | ciphertext and tag."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, associated)


def unseal(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Raises `InvalidTag` when key, bytes or associated data are not those of the sealing."""
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise InvalidTag
    return _open(key, sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated)


def _open(key: bytes, nonce: bytes, box: bytes, associated: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, box, associated)
    except InvalidTag:
        return ChaCha20Poly1305(key).decrypt(nonce, box, associated)


def sealed_bytes(value: VaultValue) -> int:
    """How long `seal_values` will make it."""
    return _SEALED_BYTES_MIN + value.size


def seal_values(
    chain_id: bytes, values: Iterable[VaultValue], key: RecordKey, nonces: Iterator[bytes]
) -> dict[tuple[str, bytes], bytes]:
    """Values of one record under its key, by field and digest. `nonces` are random, and each is used for nothing
    else."""
    encrypt, sealed = key.cipher().encrypt, {}
    for value in values:
        digest, nonce = value.digest(chain_id), next(nonces)
        box = encrypt(nonce, value.salt + value.value.encode(), key.about + value.field.encode() + digest)
        sealed[value.field, digest] = key.id + nonce + box
    return sealed


def unseal_value(wanted: Wanted, sealed: bytes, key: RecordKey | None) -> VaultValue:
    """The value that was sealed for this field and digest; `key` is the record's now. Errors: vault.damaged."""
    name, digest = wanted
    try:
        if key is None or key.id != sealed[:KEY_ID_BYTES] or len(sealed) < _SEALED_BYTES_MIN:
            raise InvalidTag
        nonce, box = sealed[KEY_ID_BYTES:_BOX_BEGIN], sealed[_BOX_BEGIN:]
        plaintext = _open(key.secret, nonce, box, key.about + name.field.encode() + digest)
    except InvalidTag:
        raise KehuError(
            VAULT_DAMAGED, what="value", table=name.table, record=name.record, field=name.field, digest=digest
        ) from None
    return VaultValue(*name, plaintext[:SALT_BYTES], plaintext[SALT_BYTES:].decode())

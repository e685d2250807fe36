"""How a value is sealed. Where it lies in the store is node/vault/rows.py's.

sealed  key id (8) | nonce (12) | ciphertext and tag of encode([salt, value]) under the record's key

The associated data encode(["vault", chain id, table, record, field, digest, key id]) binds the bytes to their
field and digest: moved to another field, record or chain they don't open.

The cipher is ChaCha20-Poly1305 (RFC 8439). Each nonce is drawn at random: a counter would repeat after a folder
was put back from a backup, and one repeated nonce gives both values away.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from chain import codec
from chain.errors import KehuError, define
from node.vault.values import VALUE_BYTES_MAX, FieldId, VaultValue

KEY_ID_BYTES: Final = 8
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

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

    def to_key(self, prefix: bytes, suffix: bytes = b"") -> bytes:
        return prefix + f"{self.table}/{self.record}".encode() + suffix

    def field(self, name: str) -> FieldId:
        return FieldId(self.table, self.record, name)


@dataclass(frozen=True, slots=True)
class RecordKey:
    id: bytes
    secret: bytes = field(repr=False)


def seal(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """nonce (12) | ciphertext and tag."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, plaintext, associated)


def unseal(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Raises `InvalidTag` when key, bytes or associated data are not those of the sealing."""
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise InvalidTag
    return ChaCha20Poly1305(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated)


def sealed_bytes(value: VaultValue) -> int:
    """How long `seal_value` will make it."""
    return KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES + len(_plaintext(value))


def seal_value(chain_id: bytes, value: VaultValue, key: RecordKey) -> bytes:
    """The value sealed under its record's key."""
    wanted = (value.id, value.digest(chain_id))
    return key.id + seal(key.secret, _plaintext(value), _associated(chain_id, wanted, key.id))


def unseal_value(chain_id: bytes, wanted: Wanted, sealed: bytes, key: RecordKey | None) -> VaultValue:
    """The value that was sealed for this field and digest; `key` is the record's now. Errors: vault.damaged."""
    name, digest = wanted
    try:
        if key is None or key.id != sealed[:KEY_ID_BYTES]:
            raise InvalidTag
        plaintext = unseal(key.secret, sealed[KEY_ID_BYTES:], _associated(chain_id, wanted, key.id))
    except InvalidTag:
        raise KehuError(
            VAULT_DAMAGED, what="value", table=name.table, record=name.record, field=name.field, digest=digest
        ) from None
    decoded = codec.decode(plaintext, VALUE_BYTES_MAX + 64)
    salt, value = codec.fields(decoded, "vault value", codec.is_digest, codec.is_text)
    return VaultValue(name.table, name.record, name.field, salt, value)


def _plaintext(value: VaultValue) -> bytes:
    return codec.encode_flat([value.salt, value.value])


def _associated(chain_id: bytes, wanted: Wanted, key_id: bytes) -> bytes:
    name, digest = wanted
    return codec.encode_flat(["vault", chain_id, name.table, name.record, name.field, digest, key_id])

"""The rows of a vault: what is live of one record, and what one transaction has staged for one record.

    v/ TABLE/RECORD                  [field, digest, sealed, field, digest, sealed, ...]
    s/ TRANSACTION TABLE/RECORD      [expires_height, source, field, digest, sealed, ...]

A row is read and written as a whole, each value in it sealed by itself (node/vault/seal.py): a field that gets a newer
version leaves the others' bytes as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from chain import codec
from chain.crypto import DIGEST_BYTES
from chain.errors import KehuError
from node.vault.seal import VAULT_DAMAGED, RecordId

LIVE: Final = b"v/"
STAGED: Final = b"s/"
_ROW_BYTES_MAX: Final = 64 << 20

Sealed: TypeAlias = dict[tuple[str, bytes], bytes]
"""(field, digest) -> sealed value."""
Digests: TypeAlias = Mapping[str, bytes]
"""A record's fields and their digests."""


def live_key(record: RecordId) -> bytes:
    return record.to_key(LIVE)


def staged_key(transaction_id: bytes, record: RecordId) -> bytes:
    return record.to_key(STAGED + transaction_id)


def parse_live_key(key: bytes) -> RecordId:
    return _record(key[len(LIVE) :])


def parse_staged_key(key: bytes) -> tuple[bytes, RecordId]:
    """Transaction id and record."""
    begin = len(STAGED)
    return key[begin : begin + DIGEST_BYTES], _record(key[begin + DIGEST_BYTES :])


def _record(name: bytes) -> RecordId:
    table, _, record = name.partition(b"/")
    return RecordId(table.decode(), record.decode())


def followed(row: Sealed, added: Sealed | None, current: Digests | None) -> Sealed:
    """A record's row with what was added, and without what is not current; the same object if nothing changes."""
    made = {**row, **added} if added else row
    if current is not None:
        kept = {one: sealed for one, sealed in made.items() if current.get(one[0]) == one[1]}
        return row if kept == row else kept
    return made


def encode_live(sealed: Mapping[tuple[str, bytes], bytes]) -> bytes:
    return codec.encode_flat(_parts(sealed))


def decode_live(record: RecordId, raw: bytes) -> Sealed:
    """Errors: vault.damaged."""
    try:
        return _values(codec.decode(raw, _ROW_BYTES_MAX))
    except KehuError:
        raise _damaged("live values", record) from None


def encode_staged(expires_height: int, source: str, sealed: Mapping[tuple[str, bytes], bytes]) -> bytes:
    return codec.encode_flat([expires_height, source, *_parts(sealed)])


def decode_staged(record: RecordId, raw: bytes) -> tuple[int, str, Sealed]:
    """Expiry height, source and values. Errors: vault.damaged."""
    try:
        parts = codec.decode(raw, _ROW_BYTES_MAX)
        (begin,) = codec.fields([parts], "staged", codec.is_list)
        expires_height, source = codec.fields(begin[:2], "staged", codec.is_uint, codec.is_text)
        return expires_height, source, _values(parts[2:])
    except KehuError:
        raise _damaged("staged values", record) from None


def _parts(sealed: Mapping[tuple[str, bytes], bytes]) -> list[codec.Value]:
    parts: list[codec.Value] = []
    for (field, digest), value in sealed.items():
        parts += (field, digest, value)
    return parts


def _values(parts: codec.Value) -> Sealed:
    (parts,) = codec.fields([parts], "sealed values", codec.is_list)
    found: Sealed = {}
    for at in range(0, len(parts), 3):
        checks = (codec.is_text, codec.is_digest, codec.is_bytes)
        field, digest, value = codec.fields(parts[at : at + 3], "sealed value", *checks)
        found[field, digest] = value
    return found


def _damaged(what: str, record: RecordId) -> KehuError:
    return KehuError(VAULT_DAMAGED, what=what, table=record.table, record=record.record)

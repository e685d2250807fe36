"""The rows of a vault: what is live of one record, and what one transaction has staged for one record.

    v/ TABLE/RECORD                  [[field, digest, sealed], ...]
    s/ TRANSACTION TABLE/RECORD      [expires_height, source, [[field, digest, sealed], ...]]

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


def encode_live(sealed: Mapping[tuple[str, bytes], bytes]) -> bytes:
    return codec.encode_flat(_to_value(sealed))


def decode_live(record: RecordId, raw: bytes) -> Sealed:
    """Errors: vault.damaged."""
    try:
        return _from_value(codec.decode(raw, _ROW_BYTES_MAX))
    except KehuError:
        raise _damaged("live values", record) from None


def encode_staged(expires_height: int, source: str, sealed: Mapping[tuple[str, bytes], bytes]) -> bytes:
    return codec.encode_flat([expires_height, source, _to_value(sealed)])


def decode_staged(record: RecordId, raw: bytes) -> tuple[int, str, Sealed]:
    """Expiry height, source and values. Errors: vault.damaged."""
    checks = (codec.is_uint, codec.is_text, codec.is_list)
    try:
        expires_height, source, items = codec.fields(codec.decode(raw, _ROW_BYTES_MAX), "staged", *checks)
        return expires_height, source, _from_value(items)
    except KehuError:
        raise _damaged("staged values", record) from None


def _to_value(sealed: Mapping[tuple[str, bytes], bytes]) -> list[codec.Value]:
    return [[field, digest, value] for (field, digest), value in sealed.items()]


def _from_value(items: codec.Value) -> Sealed:
    found: Sealed = {}
    for item in codec.fields([items], "sealed values", codec.is_list)[0]:
        field, digest, value = codec.fields(item, "sealed value", codec.is_text, codec.is_digest, codec.is_bytes)
        found[field, digest] = value
    return found


def _damaged(what: str, record: RecordId) -> KehuError:
    return KehuError(VAULT_DAMAGED, what=what, table=record.table, record=record.record)

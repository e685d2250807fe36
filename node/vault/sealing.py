"""Values by record, and all of them sealed at once."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence

from chain.errors import KehuError, define
from node.vault.keys import RecordKeys
from node.vault.rows import Sealed
from node.vault.seal import NONCE_BYTES, RecordId, RecordKey, seal_value
from node.vault.values import VaultValue

VAULT_OTHER_VALUE = define(
    "vault.other_value",
    "the value and salt do not give the digest that the chain has for this field",
    "send the value and salt that the transaction commits to; fetched values: ask another holder",
)


def by_record(values: Iterable[VaultValue]) -> dict[RecordId, list[VaultValue]]:
    found: dict[RecordId, list[VaultValue]] = {}
    for value in values:
        found.setdefault(RecordId(value.table, value.record), []).append(value)
    return found


def seal_all(
    chain_id: bytes, record_keys: RecordKeys, batches: Sequence[Mapping[RecordId, Sequence[VaultValue]]]
) -> list[dict[RecordId, Sealed]]:
    """One durable write for the keys that are new."""
    keys = record_keys.ensure(dict.fromkeys(record for values in batches for record in values))
    nonces = _nonces(sum(len(values) for batch in batches for values in batch.values()))
    return [
        {record: _seal_record(chain_id, keys[record], values, nonces) for record, values in values_of.items()}
        for values_of in batches
    ]


def _seal_record(chain_id: bytes, key: RecordKey, values: Sequence[VaultValue], nonces: Iterator[bytes]) -> Sealed:
    sealed: Sealed = {}
    cipher = key.cipher()
    for value in values:
        digest = value.digest(chain_id)
        sealed[value.field, digest] = seal_value(value, digest, key, cipher, next(nonces))
    return sealed


def _nonces(count: int) -> Iterator[bytes]:
    """Drawn at once: asking the system for each costs more than sealing does."""
    drawn = secrets.token_bytes(count * NONCE_BYTES)
    return iter([drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)])


def require_digest(chain_id: bytes, value: VaultValue, digest: bytes) -> None:
    """Errors: vault.other_value."""
    actual = value.digest(chain_id)
    if actual != digest:
        names = {"table": value.table, "record": value.record, "field": value.field}
        raise KehuError(VAULT_OTHER_VALUE, **names, expected=digest, actual=actual)

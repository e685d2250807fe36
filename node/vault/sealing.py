"""Values by record, and all of them sealed at once."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence

from chain.errors import KehuError, define
from node.vault.keys import RecordKeys
from node.vault.rows import Sealed
from node.vault.seal import NONCE_BYTES, RecordId, seal_values
from node.vault.values import VaultValue

VAULT_OTHER_VALUE = define(
    "vault.other_value",
    "the value and salt do not give the digest that the chain has for this field",
    "send the value and salt that the transaction commits to; fetched values: ask another holder",
)


def by_record(values: Iterable[VaultValue]) -> dict[RecordId, list[VaultValue]]:
    found: dict[RecordId, list[VaultValue]] = {}
    table = record = None
    for value in values:
        if (value.table, value.record) != (table, record):  # most follow others of the same record
            table, record = value.table, value.record
            of = found.setdefault(RecordId(table, record), [])
        of.append(value)
    return found


def seal_all(
    chain_id: bytes, record_keys: RecordKeys, batches: Sequence[Mapping[RecordId, Sequence[VaultValue]]]
) -> list[dict[RecordId, Sealed]]:
    """One durable write for the keys that are new."""
    keys = record_keys.ensure(dict.fromkeys(record for values in batches for record in values))
    nonces = _nonces(sum(len(values) for batch in batches for values in batch.values()))
    return [
        {record: seal_values(chain_id, values, keys[record], nonces) for record, values in values_of.items()}
        for values_of in batches
    ]


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

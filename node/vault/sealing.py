"""Values by record, and all of them sealed at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chain.errors import KehuError, define
from node.vault.keys import RecordKeys
from node.vault.rows import Sealed
from node.vault.seal import RecordId, seal_value
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
    return [
        {
            record: {
                (value.field, value.digest(chain_id)): seal_value(chain_id, value, keys[record]) for value in values
            }
            for record, values in values_of.items()
        }
        for values_of in batches
    ]


def require_digest(chain_id: bytes, value: VaultValue, digest: bytes) -> None:
    """Errors: vault.other_value."""
    actual = value.digest(chain_id)
    if actual != digest:
        names = {"table": value.table, "record": value.record, "field": value.field}
        raise KehuError(VAULT_OTHER_VALUE, **names, expected=digest, actual=actual)

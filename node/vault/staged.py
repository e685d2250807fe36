"""What a vault has staged, as its methods work on it: a copy in memory of the rows under `s/`.

The sealed values go from here to the live rows without being read again. Values that this process staged are kept in
the clear beside them, for whoever is told that they went live; after a restart there are only the sealed ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Final

from chain.errors import KehuError, define
from chain.store import Store
from node.vault.rows import STAGED, Sealed, decode_staged, encode_staged, parse_staged_key, staged_key
from node.vault.seal import RecordId
from node.vault.values import VaultValue

STAGED_BYTES_MAX: Final = 64 << 20
"""Sealed bytes that may be staged for one source: this node's own people, or one other department."""

VAULT_STAGED_FULL = define(
    "vault.staged_full",
    "the node holds as many values of uncommitted transactions from this source as it may",
    "wait until some are committed or have expired, then send the transaction again",
)


@dataclass(frozen=True, slots=True)
class Staging:
    """The values that one transaction commits to; `expires_height` is the transaction's."""

    transaction_id: bytes
    values: Sequence[VaultValue]
    expires_height: int


@dataclass(slots=True)
class StagedTransaction:
    """`opened` has the values of a record in the clear, if this process staged them, all at once."""

    expires_height: int
    source: str
    sealed: dict[RecordId, Sealed] = attribute(default_factory=dict)
    opened: dict[RecordId, Sequence[VaultValue]] = attribute(default_factory=dict)
    size: int = 0

    def put(self, record: RecordId, sealed: Sealed, opened: Sequence[VaultValue]) -> int:
        """By how much it has grown."""
        before = self.size
        if record in self.sealed:  # a second staging, which may bring other fields
            self.opened.pop(record, None)
            self.sealed[record] |= sealed
            self.size = sum(len(value) for row in self.sealed.values() for value in row.values())
        else:
            self.sealed[record] = sealed
            self.size += sum(map(len, sealed.values()))
            if opened:
                self.opened[record] = opened
        return self.size - before

    def drop(self, record: RecordId) -> None:
        self.opened.pop(record, None)
        self.size -= sum(map(len, self.sealed.pop(record).values()))


class StagedValues:
    """Not for several threads at once: the vault holds the lock."""

    def __init__(self, store: Store) -> None:
        """Errors: vault.damaged."""
        self._transactions: dict[bytes, StagedTransaction] = {}
        self._held: Counter[str] = Counter()
        self._records: Counter[RecordId] = Counter()
        self._earliest = 0
        for key, raw in store.scan(STAGED):
            transaction_id, record = parse_staged_key(key)
            expires_height, source, sealed = decode_staged(record, raw)
            self.begin(transaction_id, expires_height, source)
            self.put(transaction_id, record, sealed, ())

    def __contains__(self, transaction_id: bytes) -> bool:
        return transaction_id in self._transactions

    def __len__(self) -> int:
        return len(self._transactions)

    def items(self) -> Iterable[tuple[bytes, StagedTransaction]]:
        return self._transactions.items()

    def of(self, transaction_id: bytes) -> StagedTransaction:
        return self._transactions[transaction_id]

    def expiring(self, height: int) -> list[bytes]:
        """What can't commit any more once block `height` is appended."""
        if height < self._earliest:
            return []
        found = [key for key, staged in self._transactions.items() if staged.expires_height <= height]
        later = (staged.expires_height for staged in self._transactions.values() if staged.expires_height > height)
        self._earliest = 0 if found else min(later, default=height + 1)
        return found

    def count_values(self) -> int:
        return sum(len(row) for staged in self._transactions.values() for row in staged.sealed.values())

    def require_room(self, added: int, source: str) -> None:
        """Errors: vault.staged_full."""
        held = self._held[source]
        if added and held + added > STAGED_BYTES_MAX:
            raise KehuError(VAULT_STAGED_FULL, source=source or "own", held_bytes=held, limit_bytes=STAGED_BYTES_MAX)

    def begin(self, transaction_id: bytes, expires_height: int, source: str) -> None:
        """What was staged of the transaction before counts for `source` from now on."""
        self._earliest = min(self._earliest, expires_height)
        staged = self._transactions.get(transaction_id)
        if staged is None:
            self._transactions[transaction_id] = StagedTransaction(expires_height, source)
            return
        self._held[staged.source] -= staged.size
        staged.expires_height, staged.source = expires_height, source
        self._held[source] += staged.size

    def put(self, transaction_id: bytes, record: RecordId, sealed: Sealed, opened: Sequence[VaultValue]) -> None:
        staged = self._transactions[transaction_id]
        if record not in staged.sealed:
            self._records[record] += 1
        self._held[staged.source] += staged.put(record, sealed, opened)

    def sealed_of(self, transaction_ids: Iterable[bytes]) -> dict[RecordId, Sealed]:
        found: dict[RecordId, Sealed] = {}
        for transaction_id in transaction_ids:
            for record, sealed in self._transactions[transaction_id].sealed.items():
                found[record] = {**found[record], **sealed} if record in found else sealed
        return found

    def opened_of(self, transaction_ids: Iterable[bytes]) -> dict[RecordId, list[VaultValue]]:
        """The values of the records of which all that was staged is known in the clear."""
        found: dict[RecordId, list[VaultValue]] = {}
        closed: set[RecordId] = set()
        for transaction_id in transaction_ids:
            staged = self._transactions[transaction_id]
            closed.update(staged.sealed.keys() - staged.opened.keys())
            for record, values in staged.opened.items():
                found.setdefault(record, []).extend(values)
        return {record: values for record, values in found.items() if record not in closed}

    def row(self, transaction_id: bytes, record: RecordId) -> bytes:
        """How it stands in the store."""
        staged = self._transactions[transaction_id]
        return encode_staged(staged.expires_height, staged.source, staged.sealed[record])

    def remove(self, transaction_id: bytes) -> None:
        staged = self._transactions.pop(transaction_id)
        self._held[staged.source] -= staged.size
        for record in staged.sealed:
            self._forget(record)

    def remove_record(self, record: RecordId) -> None:
        """Out of every transaction; one of which nothing is left is staged no more."""
        for transaction_id, staged in list(self._transactions.items()):
            if record not in staged.sealed:
                continue
            self._held[staged.source] -= staged.size
            staged.drop(record)
            self._held[staged.source] += staged.size
            self._forget(record)
            if not staged.sealed:
                del self._transactions[transaction_id]

    def of_record(self, record: RecordId) -> dict[bytes, int]:
        """The store's keys under which values of the record stand, and how many under each."""
        if not self.has_record(record):
            return {}
        return {
            staged_key(transaction_id, record): len(staged.sealed[record])
            for transaction_id, staged in self._transactions.items()
            if record in staged.sealed
        }

    def has_record(self, record: RecordId) -> bool:
        return record in self._records

    def _forget(self, record: RecordId) -> None:
        self._records[record] -= 1
        if not self._records[record]:
            del self._records[record]

"""What a vault has staged, as its methods work on it: a copy in memory of the rows under `s/`.

The sealed values go from here to the live rows without being read again. Values that this process staged are kept in
the clear beside them, for whoever is told that they went live; after a restart there are only the sealed ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from chain.errors import KehuError, define
from chain.store import Store
from node.vault.rows import STAGED, Sealed, decode_staged, encode_staged, parse_staged_key, staged_key
from node.vault.seal import RecordId, sealed_bytes
from node.vault.values import VaultValue

STAGED_BYTES_MAX: Final = 64 << 20
"""Sealed bytes that may be staged for one source: this node's own people, or one other department."""

VAULT_STAGED_FULL = define(
    "vault.staged_full",
    "the node holds as many values of uncommitted transactions from this source as it may",
    "wait until some are committed or have expired, then send the transaction again",
)


class Staging(msgspec.Struct, frozen=True, gc=False):
    """The values that one transaction commits to; `expires_height` is the transaction's, `source` the department that
    sent them, "" for this node's own people."""

    transaction_id: bytes
    values: Sequence[VaultValue]
    expires_height: int
    source: str = ""


class StagedRow(msgspec.Struct, gc=False):
    """What a transaction has staged for one record; `key`: where it stands in the store. `opened` has the values in the
    clear, if this process staged them, all at once."""

    key: bytes
    sealed: Sealed
    opened: Sequence[VaultValue]

    @property
    def size(self) -> int:
        return sum(map(len, self.sealed.values()))


class StagedTransaction(msgspec.Struct, gc=False):
    expires_height: int
    source: str
    rows: dict[RecordId, StagedRow] = msgspec.field(default_factory=dict)


class StagedValues:
    """Not for several threads at once: the vault holds the lock."""

    def __init__(self, store: Store, chain_id: bytes) -> None:
        """Errors: vault.damaged."""
        self._chain_id = chain_id
        self._transactions: dict[bytes, StagedTransaction] = {}
        self._held: Counter[str] = Counter()
        self._records: Counter[RecordId] = Counter()
        self._earliest = 0
        for key, raw in store.scan(STAGED):
            transaction_id, record = parse_staged_key(key)
            expires_height, source, sealed = decode_staged(record, raw)
            self.add(Staging(transaction_id, (), expires_height, source), record, sealed, ())

    def __contains__(self, transaction_id: bytes) -> bool:
        return transaction_id in self._transactions

    def __len__(self) -> int:
        return len(self._transactions)

    def expiries(self) -> dict[bytes, int]:
        """Transaction id -> expiry height."""
        return {key: staged.expires_height for key, staged in self._transactions.items()}

    def rows_of(self, transaction_id: bytes) -> dict[RecordId, StagedRow]:
        """By record; none of a transaction of which nothing is staged."""
        staged = self._transactions.get(transaction_id)
        return {} if staged is None else staged.rows

    def expiring(self, height: int) -> list[bytes]:
        """What can't commit any more once block `height` is appended."""
        if height < self._earliest:
            return []
        found = [key for key, staged in self._transactions.items() if staged.expires_height <= height]
        later = (staged.expires_height for staged in self._transactions.values() if staged.expires_height > height)
        self._earliest = 0 if found else min(later, default=height + 1)
        return found

    def count_values(self) -> int:
        return sum(len(row.sealed) for staged in self._transactions.values() for row in staged.rows.values())

    def fitting(self, stagings: Sequence[Staging]) -> tuple[list[Staging], list[KehuError | None]]:
        """Those of which there is something to keep and room for it; and for each in order None or
        vault.staged_full."""
        added: Counter[str] = Counter()
        kept: list[Staging] = []
        errors: list[KehuError | None] = []
        for staging in stagings:
            size = sum([sealed_bytes(value) for value in self._new_values(staging)])
            error = self._lack_of_room(added[staging.source] + size, staging.source) if size else None
            if error is None and staging.values:
                added[staging.source] += size
                kept.append(staging)
            errors.append(error)
        return kept, errors

    def _new_values(self, staging: Staging) -> Sequence[VaultValue]:
        """What is not staged yet for its transaction: a second staging may bring more than the first."""
        rows = self.rows_of(staging.transaction_id)
        if not rows:
            return staging.values
        known = {(record, field) for record, row in rows.items() for field in row.sealed}
        places = [(RecordId(one.table, one.record), (one.field, one.digest(self._chain_id))) for one in staging.values]
        return [one for one, place in zip(staging.values, places, strict=True) if place not in known]

    def _lack_of_room(self, added: int, source: str) -> KehuError | None:
        held = self._held[source]
        if held + added <= STAGED_BYTES_MAX:
            return None
        return KehuError(VAULT_STAGED_FULL, source=source or "own", held_bytes=held, limit_bytes=STAGED_BYTES_MAX)

    def add(
        self, staging: Staging, record: RecordId, sealed: Sealed, opened: Sequence[VaultValue]
    ) -> tuple[bytes, bytes]:
        """What of `staging` is this record's, sealed and in the clear: key and row, as they are to stand in the
        store."""
        transaction_id, expires_height, source = staging.transaction_id, staging.expires_height, staging.source
        staged = self._transactions.get(transaction_id)
        if staged is None:
            staged = self._transactions[transaction_id] = StagedTransaction(expires_height, source)
        elif (staged.expires_height, staged.source) != (expires_height, source):
            self._take_over(staged, expires_height, source)
        self._earliest = min(self._earliest, expires_height)
        row = staged.rows.get(record)
        if row is None:
            row = staged.rows[record] = StagedRow(staged_key(transaction_id, record), sealed, opened)
            self._records[record] += 1
        else:  # a second staging, which may bring other fields
            self._held[source] -= row.size
            row.sealed, row.opened = {**row.sealed, **sealed}, ()
        self._held[source] += row.size
        return row.key, encode_staged(expires_height, source, row.sealed)

    def _take_over(self, staged: StagedTransaction, expires_height: int, source: str) -> None:
        """What was staged of the transaction before counts for `source` from now on."""
        size = sum(row.size for row in staged.rows.values())
        self._held[staged.source] -= size
        self._held[source] += size
        staged.expires_height, staged.source = expires_height, source

    def settled(
        self, transaction_ids: Iterable[bytes]
    ) -> tuple[dict[RecordId, Sealed], dict[RecordId, Sequence[VaultValue]]]:
        """By record what the transactions staged, the last one's over those before it; and all of it in the clear where
        that is known."""
        sealed: dict[RecordId, Sealed] = {}
        opened: dict[RecordId, Sequence[VaultValue]] = {}
        closed: set[RecordId] = set()
        for transaction_id in transaction_ids:
            for record, row in self._transactions[transaction_id].rows.items():
                is_first = record not in sealed
                sealed[record] = row.sealed if is_first else {**sealed[record], **row.sealed}
                opened[record] = row.opened if is_first else [*opened[record], *row.opened]
                if not row.opened:
                    closed.add(record)
        for record in closed:
            del opened[record]
        return sealed, opened

    def remove(self, transaction_id: bytes) -> None:
        staged = self._transactions.pop(transaction_id)
        for record, row in staged.rows.items():
            self._forget(record, row, staged.source)

    def remove_record(self, record: RecordId) -> None:
        """Out of every transaction; one of which nothing is left is staged no more."""
        for transaction_id, staged in list(self._transactions.items()):
            row = staged.rows.pop(record, None)
            if row is not None:
                self._forget(record, row, staged.source)
                if not staged.rows:
                    del self._transactions[transaction_id]

    def of_record(self, record: RecordId) -> dict[bytes, int]:
        """The store's keys under which values of the record stand, and how many under each."""
        if not self.has_record(record):
            return {}
        rows = (staged.rows.get(record) for staged in self._transactions.values())
        return {row.key: len(row.sealed) for row in rows if row is not None}

    def has_record(self, record: RecordId) -> bool:
        return record in self._records

    def _forget(self, record: RecordId, row: StagedRow, source: str) -> None:
        self._held[source] -= row.size
        self._records[record] -= 1
        if not self._records[record]:
            del self._records[record]

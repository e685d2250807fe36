"""Letting transactions in: every check that can be made before consensus, the personal values first of all.

A transaction is admitted once its values are durable here and, as the policy asks, at other departments; only then
may it go into a batch, because a digest on the chain whose value nobody holds is a loss that can't be mended. What is
refused here is not on the record; what is admitted gets a receipt, if only one that says it failed or expired.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chain.batch import ReadTransaction
from chain.blocks import BlockStore
from chain.errors import KehuError, define
from chain.execution import TRANSACTION_ELSEWHERE, TRANSACTION_EXPIRED, TRANSACTION_TOO_FAR
from chain.ledger import Ledger
from chain.transaction import Transaction
from contracts.work import WORK_MAX, work_of
from node.intake.batcher import Batcher
from node.intake.mempool import Mempool, next_window
from node.intake.verification import INLINE_TRANSACTIONS_MAX
from node.storage.durable import StorageFailure
from node.vault.values import VaultValue

VALUE_UNCOMMITTED = define(
    "vault.value_uncommitted",
    "a value came along whose digest stands in none of the transactions of the request",
    "send each value with the transaction that commits to it; the digest covers chain, table, record, field and salt",
)
TRANSACTION_TOO_MUCH = define(
    "transaction.too_much",
    "the transaction's calls are more work than a whole block may be",
    "spread its calls over several transactions; a call that lists or searches counts as a hundred",
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of one envelope; `transaction_id` is None if it was too malformed to have one."""

    transaction_id: bytes | None
    error: KehuError | None = None


Safeguard = Callable[[Sequence[tuple[Transaction, Sequence[VaultValue]]]], Awaitable[Sequence[KehuError | None]]]
"""Makes the values of transactions durable wherever the policy wants them; an error or None for each."""


def _nothing_kept(_digest: bytes) -> VaultValue | None:
    return None


class Admitter:
    """`digests_of` lists the field digests that a transaction commits to."""

    def __init__(
        self,
        department: str,
        ledger: Ledger,
        blocks: BlockStore,
        mempool: Mempool,
        batcher: Batcher,
        digests_of: Callable[[Transaction], Sequence[bytes]],
        safeguard: Safeguard,
        read_transaction: ReadTransaction = Transaction.from_bytes,
    ) -> None:
        self._department = department
        self._ledger = ledger
        self._blocks = blocks
        self._mempool = mempool
        self._batcher = batcher
        self._digests_of = digests_of
        self._safeguard = safeguard
        self._read_transaction = read_transaction
        self.kept: Callable[[bytes], VaultValue | None] = _nothing_kept
        """The value behind a digest, where this node has one that the sender must not see; set once it is made."""
        self._admitting: dict[bytes, asyncio.Future[None]] = {}

    def is_known(self, transaction_id: bytes) -> bool:
        """Whether it waits here or was executed."""
        return self._is_near(transaction_id) or self._blocks.find(transaction_id) is not None

    def _is_near(self, transaction_id: bytes) -> bool:
        """As `is_known`, for one that has not expired: of those, the ledger remembers all that were executed."""
        return transaction_id in self._mempool or transaction_id in self._ledger.recent

    async def submit(self, envelopes: Sequence[bytes], values: Sequence[VaultValue]) -> list[Admission]:
        """One answer per envelope, in order. What one request brings is admitted in its order. Repeating it is safe.

        Raises vault.value_uncommitted for the request as a whole, and what a node must not survive.
        """
        decoded = [self._decode(envelope) for envelope in envelopes]
        transactions = [item for item in decoded if isinstance(item, Transaction)]
        errors = await self._check_all(transactions)
        shares = self._share_out(transactions, values)
        sound = {item.id: item for item in transactions if item.id not in errors}
        while begun := [self._admitting[id_] for id_ in sound if id_ in self._admitting]:
            await asyncio.wait(begun)  # another request brings the same transaction: see what becomes of it there
        errors |= await self._admit([item for item in sound.values() if not self._is_here(item)], shares)
        for error in errors.values():
            if isinstance(error, StorageFailure):  # no refusal: nobody knows what was kept
                raise error
        return [
            Admission(item.id, errors.get(item.id)) if isinstance(item, Transaction) else Admission(None, item)
            for item in decoded
        ]

    async def _check_all(self, transactions: list[Transaction]) -> dict[bytes, KehuError]:
        if len(transactions) <= INLINE_TRANSACTIONS_MAX:
            return self._refusals(transactions)
        return await asyncio.to_thread(self._refusals, transactions)

    def _refusals(self, transactions: list[Transaction]) -> dict[bytes, KehuError]:
        errors: dict[bytes, KehuError] = {}
        is_elsewhere = self._ledger.elsewhere()
        for transaction in transactions:
            try:
                self._check(transaction, is_elsewhere)
            except KehuError as error:
                errors[transaction.id] = error
        return errors

    def _check(self, transaction: Transaction, is_elsewhere: Callable[[Transaction, str], bool]) -> None:
        transaction.verify(self._ledger.genesis.chain_id)
        height, furthest = self._ledger.height, self._ledger.height + self._ledger.genesis.expiry_heights_max
        if transaction.expires_height <= height and not self.is_known(transaction.id):
            raise KehuError(TRANSACTION_EXPIRED, height=height, expires=transaction.expires_height)
        if transaction.expires_height > furthest:
            raise KehuError(TRANSACTION_TOO_FAR, expires=transaction.expires_height, limit=furthest)
        if is_elsewhere(transaction, self._department) and not self._is_here(transaction):
            raise KehuError(TRANSACTION_ELSEWHERE, department=self._department)
        if (work := work_of([transaction])) > WORK_MAX:
            raise KehuError(TRANSACTION_TOO_MUCH, work=work, limit=WORK_MAX)

    def _share_out(
        self, transactions: list[Transaction], values: Sequence[VaultValue]
    ) -> dict[bytes, list[VaultValue]]:
        """Each transaction's own values, found by their digests."""
        chain_id = self._ledger.genesis.chain_id
        by_digest = {value.digest(chain_id): value for value in values}
        shares: dict[bytes, list[VaultValue]] = {}
        used: set[bytes] = set()
        for transaction in transactions:
            share: list[VaultValue] = []
            for digest in self._digests_of(transaction):
                value = by_digest.get(digest)
                if value is not None:
                    used.add(digest)
                    share.append(value)
                elif (value := self.kept(digest)) is not None:
                    share.append(value)
            shares[transaction.id] = share
        for digest, value in by_digest.items():
            if digest not in used:
                raise KehuError(VALUE_UNCOMMITTED, table=value.table, record=value.record, field=value.field)
        return shares

    async def _admit(
        self, transactions: Sequence[Transaction], shares: dict[bytes, list[VaultValue]]
    ) -> dict[bytes, KehuError]:
        """First a place for each, then its values in safety, then all at once into the mempool; who was refused."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._admitting.update((item.id, done) for item in transactions)
        try:
            errors = {item.id: error for item in transactions if (error := self._reserve(item)) is not None}
            placed = [item for item in transactions if item.id not in errors]
            answers = await self._safeguard([(item, shares[item.id]) for item in placed]) if placed else []
            errors |= {item.id: error for item, error in zip(placed, answers, strict=True) if error is not None}
            window = next_window(self._ledger)
            for item in [item for item in placed if item.id not in errors and not self._is_here(item)]:
                if self._mempool.admit(item, window):
                    self._batcher.admitted()
                else:  # blocks came meanwhile, and it expired, say
                    errors |= self._refusals([item])
        finally:
            for item in transactions:
                self._mempool.release(item)
                del self._admitting[item.id]
            done.set_result(None)
        return errors

    def _reserve(self, transaction: Transaction) -> KehuError | None:
        try:
            self._mempool.reserve(transaction)
        except KehuError as error:
            return error
        return None

    def _is_here(self, transaction: Transaction) -> bool:
        """`is_known`, without asking the disk for what can't be there."""
        if transaction.expires_height > self._ledger.height:
            return self._is_near(transaction.id)
        return self.is_known(transaction.id)

    def _decode(self, envelope: bytes) -> Transaction | KehuError:
        try:
            return self._read_transaction(envelope)
        except KehuError as error:
            return error

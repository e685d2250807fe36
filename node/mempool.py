"""What waits for a block: batches this node signed and batches other departments gossiped.

Pure bookkeeping; admission checks, signatures and sockets are others' business. Everything is bounded: per
sender at the node that admits, per department for what others send. A batch leaves when its last transaction is
executed or expired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from itertools import islice

from chain.batch import Batch
from chain.errors import KehuError, define
from chain.transaction import Transaction

MEMPOOL_FULL = define(
    "mempool.full",
    "the node holds as many uncommitted transactions as it may",
    "wait as Retry-After says and send the transaction again; sending it twice is safe",
)
MEMPOOL_SENDER_LIMIT = define(
    "mempool.sender_limit",
    "this key has as many uncommitted transactions at this node as one key may have",
    "wait until some are committed, then send the transaction again",
)


def executable(batch: Batch, height: int, recent: Container[bytes], expiry_heights_max: int) -> set[bytes]:
    """The ids of the batch's transactions that block `height` would really run."""
    return {
        transaction.id
        for transaction in batch.transactions
        if height <= transaction.expires_height <= height + expiry_heights_max and transaction.id not in recent
    }


class Mempool:
    """`transactions_max` bounds this node's own, and each other department's share, separately."""

    def __init__(self, department: str, transactions_max: int, sender_max: int) -> None:
        self._department = department
        self._transactions_max = transactions_max
        self._sender_max = sender_max
        self._queued: dict[bytes, Transaction] = {}
        self._batches: dict[bytes, Batch] = {}
        self._held: Counter[str] = Counter()
        self._by_sender: Counter[bytes] = Counter()
        self._own: dict[bytes, bytes] = {}

    def __contains__(self, transaction_id: object) -> bool:
        return transaction_id in self._own

    @property
    def has_batches(self) -> bool:
        return bool(self._batches)

    @property
    def transactions(self) -> int:
        """How many transactions wait here, in batches or still to be put into one."""
        return sum(self._held.values())

    def require_room(self, transactions: Iterable[Transaction]) -> None:
        """Raises when this node may not take these in."""
        new = [transaction for transaction in transactions if transaction.id not in self._own]
        if self._held[self._department] + len(new) > self._transactions_max:
            raise KehuError(MEMPOOL_FULL, held=self._held[self._department], limit=self._transactions_max)
        for key, count in Counter(transaction.key for transaction in new).items():
            if self._by_sender[key] + count > self._sender_max:
                raise KehuError(MEMPOOL_SENDER_LIMIT, held=self._by_sender[key], limit=self._sender_max)

    def admit(self, transaction: Transaction) -> bool:
        """Queues a checked transaction for the next own batch; False if it is here already."""
        if transaction.id in self._own:
            return False
        self._own[transaction.id] = transaction.key
        self._queued[transaction.id] = transaction
        self._held[self._department] += 1
        self._by_sender[transaction.key] += 1
        return True

    def take_queued(self, transactions_max: int) -> list[Transaction]:
        """The next transactions to be signed into a batch, oldest first."""
        taken = list(self._queued.values())[:transactions_max]
        for transaction in taken:
            del self._queued[transaction.id]
        return taken

    def add(self, batch: Batch) -> bool:
        """Takes a verified batch; False if it is here already or its department's share is full."""
        if batch.id in self._batches:
            return False
        if batch.department != self._department:
            if self._held[batch.department] + len(batch.transactions) > self._transactions_max:
                return False
            self._held[batch.department] += len(batch.transactions)
        self._batches[batch.id] = batch
        return True

    def holds(self, batch_id: bytes) -> bool:
        return batch_id in self._batches

    def oldest(self, count: int) -> list[Batch]:
        """Up to `count` waiting batches, longest waiting first."""
        return list(islice(self._batches.values(), count))

    def candidates(self, height: int, recent: Container[bytes], expiry_heights_max: int, bytes_max: int) -> list[Batch]:
        """Batches for block `height`, oldest first, each with something new in it, up to `bytes_max` in all."""
        chosen: list[Batch] = []
        taken: set[bytes] = set()
        size = 0
        for batch in self._batches.values():
            new = {
                transaction.id
                for transaction in batch.transactions
                if height <= transaction.expires_height <= height + expiry_heights_max and transaction.id not in recent
            }
            if size + len(batch.raw) > bytes_max:
                break
            if not new <= taken:
                chosen.append(batch)
                taken |= new
                size += len(batch.raw)
        return chosen

    def settle(self, height: int, recent: Container[bytes]) -> None:
        """Forgets the batches of which block `height` or an earlier one executed, or outlived, everything."""
        for batch in list(self._batches.values()):
            if not any(
                transaction.expires_height > height and transaction.id not in recent
                for transaction in batch.transactions
            ):
                self._drop(batch)

    def _drop(self, batch: Batch) -> None:
        del self._batches[batch.id]
        if batch.department != self._department:
            self._held[batch.department] -= len(batch.transactions)
            return
        for transaction in batch.transactions:
            if self._own.pop(transaction.id, None) is not None:
                self._held[self._department] -= 1
                self._by_sender[transaction.key] -= 1
                if not self._by_sender[transaction.key]:
                    del self._by_sender[transaction.key]

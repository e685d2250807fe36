"""What waits for a block: batches this node signed and batches other departments gossiped.

Pure bookkeeping; admission checks, signatures and sockets are others' business. Everything is bounded: per sender
at the node that admits, per department for what others send, in number and in bytes. Nothing stays that the next
block could not execute, so a mempool with batches is work that the primary can be asked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from chain.batch import Batch, ReadTransaction, batch_id
from chain.errors import KehuError, define
from chain.ledger import Ledger
from chain.transaction import Transaction
from contracts.work import WORK_MAX, work_of
from node.intake.custody import Custody

BYTES_MAX: Final = 64 << 20
"""Of one department's waiting transactions."""

SENDER_MIN: Final = 8
"""So many transactions may one key have waiting, whatever the pressure."""

MEMPOOL_FULL = define(
    "mempool.full",
    "the node holds as many uncommitted transactions as it may",
    "wait as Retry-After says and send the transaction again; sending it twice is safe",
)
MEMPOOL_SENDER_LIMIT = define(
    "mempool.sender_limit",
    "this key has as much uncommitted work at this node as one key may have (a call: 1; one that lists: 100)",
    "wait until some are committed, then send the transaction again",
)


@dataclass(frozen=True, slots=True)
class Window:
    """What the next block may execute. `recent` holds the ids that were executed before; `is_elsewhere` tells whether
    a transaction can't run in a batch of a department."""

    height: int
    recent: Container[bytes]
    expiry_heights_max: int
    is_elsewhere: Callable[[Transaction, str], bool]

    def admits(self, transaction: Transaction, department: str) -> bool:
        is_timely = self.height <= transaction.expires_height <= self.height + self.expiry_heights_max
        is_new = is_timely and transaction.id not in self.recent
        return is_new and not self.is_elsewhere(transaction, department)

    def admits_any(self, batch: Batch) -> bool:
        return any(self.admits(transaction, batch.department) for transaction in batch.transactions)

    def executable(self, batch: Batch) -> set[bytes]:
        """The ids of the batch's transactions that the block would really run."""
        return {transaction.id for transaction in batch.transactions if self.admits(transaction, batch.department)}


def next_window(ledger: Ledger) -> Window:
    """For the block after the ledger's head."""
    return Window(ledger.height + 1, ledger.recent, ledger.genesis.expiry_heights_max, ledger.elsewhere())


@dataclass(slots=True)
class _Share:
    """How much of one department's waits."""

    transactions: int = 0
    size: int = 0


class Mempool:
    """`transactions_max` bounds this node's own, and each other department's share, separately; `sender_max` what of
    one key waits, in units of work: whoever asks for more at a time makes the others wait longer."""

    def __init__(
        self,
        department: str,
        transactions_max: int,
        sender_max: int,
        bytes_max: int = BYTES_MAX,
        read_transaction: ReadTransaction = Transaction.from_bytes,
    ) -> None:
        self._department = department
        self._transactions_max = transactions_max
        self._sender_max = sender_max
        self._bytes_max = bytes_max
        self._read_transaction = read_transaction
        self._reserved: dict[bytes, Transaction] = {}
        self._queued: dict[bytes, Transaction] = {}
        self._own: dict[bytes, Transaction] = {}
        self._batches: dict[bytes, Batch] = {}
        self._work: dict[bytes, int] = {}
        self._custody: Custody[bytes] = Custody()
        self._shares: defaultdict[str, _Share] = defaultdict(_Share)
        self._by_sender: Counter[bytes] = Counter()
        """Work of own transactions by key; how many these are stands in `_number`, and the work of all beside it."""
        self._number: Counter[bytes] = Counter()
        self._own_work = 0
        self.is_pressed: Callable[[], bool] = bool
        """Whether so much waits that nobody may have more than the mean waiting (node/intake/pressure.py)."""

    def __contains__(self, transaction_id: object) -> bool:
        """Whether this node let it in and it still waits."""
        return transaction_id in self._own

    @property
    def has_batches(self) -> bool:
        return bool(self._batches)

    @property
    def transactions(self) -> int:
        """How many wait, reserved places included."""
        return sum(share.transactions for share in self._shares.values())

    # --- this node's own

    def reserve(self, transaction: Transaction) -> None:
        """Keeps a place for a transaction that is to be admitted; raises when this node may not take it in."""
        if transaction.id in self._reserved or transaction.id in self._own:
            return
        share, held = self._shares[self._department], self._by_sender[transaction.key]
        if share.transactions >= self._transactions_max:
            raise KehuError(MEMPOOL_FULL, held=share.transactions, limit=self._transactions_max)
        if share.size + len(transaction.raw) > self._bytes_max:
            raise KehuError(MEMPOOL_FULL, held_bytes=share.size, limit_bytes=self._bytes_max)
        if held >= (limit := self._sender_limit(transaction.key)):
            raise KehuError(MEMPOOL_SENDER_LIMIT, held=held, limit=limit)
        self._reserved[transaction.id] = transaction
        self._count(transaction)

    def _sender_limit(self, key: bytes) -> int:
        """How much work the key may have waiting; under pressure, and beyond a few transactions, no more than those who
        have any have in the mean."""
        if not self.is_pressed() or self._number[key] < SENDER_MIN:
            return self._sender_max
        return min(self._sender_max, self._own_work // len(self._by_sender))

    def release(self, transaction: Transaction) -> None:
        """Gives up a reserved place."""
        if self._reserved.pop(transaction.id, None) is not None:
            self._uncount(transaction)

    def admit(self, transaction: Transaction, window: Window) -> bool:
        """Queues a transaction with a reserved place for the next own batch; False if it is here already, or the next
        block could not execute it: with such a one the primary would be asked for work that there is not."""
        if transaction.id not in self._reserved or not window.admits(transaction, self._department):
            return False
        del self._reserved[transaction.id]
        self._own[transaction.id] = self._queued[transaction.id] = transaction
        return True

    def take_queued(self, transactions_max: int) -> list[Transaction]:
        """The next transactions to be signed into a batch, oldest first."""
        taken = list(islice(self._queued.values(), transactions_max))
        for transaction in taken:
            del self._queued[transaction.id]
        return taken

    def _count(self, transaction: Transaction) -> None:
        share = self._shares[self._department]
        share.transactions += 1
        share.size += len(transaction.raw)
        work = work_of([transaction])
        self._own_work += work
        self._by_sender[transaction.key] += work
        self._number[transaction.key] += 1

    def _uncount(self, transaction: Transaction) -> None:
        share = self._shares[self._department]
        share.transactions -= 1
        share.size -= len(transaction.raw)
        work = work_of([transaction])
        self._own_work -= work
        self._by_sender[transaction.key] -= work
        self._number[transaction.key] -= 1
        if not self._number[transaction.key]:
            del self._by_sender[transaction.key], self._number[transaction.key]

    # --- batches

    def add(self, batch: Batch) -> bool:
        """Takes a verified batch; False if it is here already, its department's share is full, or it is more work than
        a block may be: no honest node signs such a one."""
        if batch.id in self._batches or (work := work_of(batch.transactions)) > WORK_MAX:
            return False
        if batch.department == self._department:
            self._adopt(batch)
        elif not self._take_share(batch):
            return False
        self._batches[batch.id] = batch
        self._work[batch.id] = work
        self._custody.take(batch.id)
        return True

    def _adopt(self, batch: Batch) -> None:
        """An own batch; one that was signed before a restart comes back by gossip and is counted then."""
        for transaction in batch.transactions:
            if transaction.id not in self._own:
                self.release(transaction)
                self._own[transaction.id] = transaction
                self._count(transaction)

    def _take_share(self, batch: Batch) -> bool:
        share, count = self._shares[batch.department], len(batch.transactions)
        if share.transactions + count > self._transactions_max or share.size + len(batch.raw) > self._bytes_max:
            return False
        share.transactions += count
        share.size += len(batch.raw)
        return True

    def holds(self, batch_id: bytes) -> bool:
        return batch_id in self._batches

    def read_batch(self, raw: bytes) -> Batch:
        """The batch of these bytes, which mostly waits here already."""
        return self._batches.get(batch_id(raw)) or Batch.from_bytes(raw, self._read_transaction)

    @property
    def overtaken(self) -> int:
        """By how many blocks, at the most, a batch that waits here was passed over for later ones (custody.py)."""
        return self._custody.overtaken

    def oldest(self, count: int) -> list[Batch]:
        """Up to `count` waiting batches, longest waiting first."""
        return list(islice(self._batches.values(), count))

    def candidates(self, window: Window, bytes_max: int) -> list[Batch]:
        """Batches for the next block, oldest first, each with something new in it, up to `bytes_max` and WORK_MAX in
        all."""
        chosen: list[Batch] = []
        taken: set[bytes] = set()
        size = work = 0
        for batch in self._batches.values():
            if size + len(batch.raw) > bytes_max or work + self._work[batch.id] > WORK_MAX:
                break
            new = window.executable(batch)
            if not new <= taken:
                chosen.append(batch)
                taken |= new
                size += len(batch.raw)
                work += self._work[batch.id]
        return chosen

    def settle(self, window: Window, included: Iterable[bytes] = ()) -> None:
        """Forgets whatever the next block can't execute any more, or not yet; that comes again by gossip.

        `included`: the ids of the batches of the block that was appended.
        """
        for transaction in list(self._queued.values()):
            if not window.admits(transaction, self._department):
                del self._queued[transaction.id]
                self._forget_own(transaction)
        for batch in list(self._batches.values()):
            if not window.admits_any(batch):
                self._drop(batch)
        self._custody.appended(window.height - 1, included, self._batches)

    def keep_only(self, is_good: Callable[[Batch], bool]) -> None:
        """After a change of membership: batches of departments that left, or under a former key, are in no block."""
        for batch in [batch for batch in self._batches.values() if not is_good(batch)]:
            self._drop(batch)

    def _drop(self, batch: Batch) -> None:
        del self._batches[batch.id], self._work[batch.id]
        if batch.department == self._department:
            for transaction in batch.transactions:
                self._forget_own(transaction)
            return
        share = self._shares[batch.department]
        share.transactions -= len(batch.transactions)
        share.size -= len(batch.raw)

    def _forget_own(self, transaction: Transaction) -> None:
        if self._own.pop(transaction.id, None) is not None:
            self._uncount(transaction)

"""Signs what this node admits into batches and gossips them.

An idle node signs a transaction at once; under traffic, what came within a few milliseconds shares one signature.
Batches that wait too long are gossiped again, whoever signed them: a department that knows of work which the
primary does not know would otherwise blame the primary for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from chain.batch import BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, Batch, sign_batch
from chain.crypto import Signer
from chain.transaction import Transaction
from contracts.work import WORK_MAX, work_of
from node.intake.mempool import Mempool
from node.intake.verification import BatchVerifier

INTERVAL_S: Final = 0.005
REGOSSIP_S: Final = 0.7
REGOSSIP_BATCHES_MAX: Final = 50
REGOSSIP_BYTES_MAX: Final = 2 << 20
"""A node that is behind must not drown the links with what all others have anyway."""
_ROOM: Final = 8 << 10
"""What the department, the signature and the list framing may take of a batch."""


class Batcher:
    """`gossip` hands a batch to all peers; `work_came` tells the replica that the mempool is not empty."""

    def __init__(
        self,
        signer: Signer,
        chain_id: bytes,
        department: str,
        mempool: Mempool,
        verifier: BatchVerifier,
        gossip: Callable[[Batch], None],
        work_came: Callable[[], None],
    ) -> None:
        self._signer = signer
        self._chain_id = chain_id
        self._department = department
        self._mempool = mempool
        self._verifier = verifier
        self._gossip = gossip
        self._work_came = work_came
        self._signed_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._seen_waiting: dict[bytes, float] = {}

    def admitted(self) -> None:
        """Something new is queued in the mempool."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._signed_at + INTERVAL_S), self._sign)

    def _sign(self) -> None:
        self._timer = None
        self._signed_at = asyncio.get_running_loop().time()
        while queued := self._mempool.take_queued(BATCH_TRANSACTIONS_MAX):
            for part in _parts(queued):
                batch = sign_batch(self._signer, self._chain_id, self._department, part)
                self._verifier.remember(batch, self._signer.public)
                self._mempool.add(batch)
                self._gossip(batch)
        self._work_came()

    async def run(self) -> None:
        """Gossips again what has waited for a whole interval, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(REGOSSIP_S)
            waiting = self._mempool.oldest(REGOSSIP_BATCHES_MAX)
            now = loop.time()
            since = {batch.id: self._seen_waiting.get(batch.id, now) for batch in waiting}
            size = 0
            for batch in waiting:
                size += len(batch.raw)
                if now - since[batch.id] >= REGOSSIP_S / 2 and size <= REGOSSIP_BYTES_MAX:
                    self._gossip(batch)
            self._seen_waiting = since

    def close(self) -> None:
        """What is queued is signed and gossiped at once: others can still have it committed."""
        if self._timer is not None:
            self._timer.cancel()
            self._sign()


def _parts(transactions: list[Transaction]) -> list[list[Transaction]]:
    """Splits so that no batch exceeds its size limit, nor is more work than a block may be."""
    parts: list[list[Transaction]] = [[]]
    size = work = 0
    for transaction in transactions:
        more = work_of([transaction])
        if parts[-1] and (size + len(transaction.raw) > BATCH_BYTES_MAX - _ROOM or work + more > WORK_MAX):
            parts.append([])
            size = work = 0
        parts[-1].append(transaction)
        size += len(transaction.raw) + 8
        work += more
    return parts

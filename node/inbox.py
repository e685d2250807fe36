"""Batches that other departments gossip: decoded, verified off the loop, taken into the mempool. Bounded per peer."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

from chain.batch import Batch, batch_id
from chain.errors import KehuError
from chain.ledger import Ledger
from node.mempool import Mempool, next_window
from node.verification import BatchVerifier

UNREAD_PER_PEER_MAX: Final = 200

log = logging.getLogger("kehu.inbox")


class BatchInbox:
    """`work_came` tells the replica that the mempool is not empty."""

    def __init__(
        self,
        mempool: Mempool,
        verifier: BatchVerifier,
        ledger: Ledger,
        work_came: Callable[[], None],
    ) -> None:
        self._mempool = mempool
        self._verifier = verifier
        self._ledger = ledger
        self._work_came = work_came
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._unread: Counter[str] = Counter()
        self.dropped = 0

    def receive(self, sender: str, raw: bytes) -> None:
        """A gossiped batch; beyond the sender's share it is dropped, as whoever signed it gossips it again."""
        if self._unread[sender] >= UNREAD_PER_PEER_MAX:
            self.dropped += 1
            return
        self._unread[sender] += 1
        self._queue.put_nowait((sender, raw))

    async def run(self) -> None:
        while True:
            sender, raw = await self._queue.get()
            self._unread[sender] -= 1
            try:
                await self._take(raw)
            except KehuError as error:
                log.warning("batch from %s refused: %s", sender, error)

    async def _take(self, raw: bytes) -> None:
        if self._mempool.holds(batch_id(raw)):
            return
        batch = self._mempool.read_batch(raw)
        if not self._has_new(batch):
            return
        await self._verifier.verify_aside(batch, self._ledger.validators(self._ledger.height + 1))
        if self._has_new(batch) and self._mempool.add(batch):  # it may have been executed meanwhile
            self._work_came()

    def _has_new(self, batch: Batch) -> bool:
        return bool(next_window(self._ledger).executable(batch))

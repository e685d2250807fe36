"""Batches that other departments gossip: decoded, verified off the loop, taken into the mempool. Bounded per peer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from chain.batch import Batch, batch_id
from chain.errors import KehuError
from chain.ledger import Ledger
from chain.validators import ValidatorSet
from node.intake.mempool import Mempool, next_window
from node.intake.verification import BatchVerifier

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
        self._unread: dict[str, deque[bytes]] = {}
        """By sender, the next one first: they take turns, so what is slow to refuse holds up its own sender."""
        self._has_come = asyncio.Event()
        self.dropped = 0

    def receive(self, sender: str, raw: bytes) -> None:
        """A gossiped batch; beyond the sender's share it is dropped, as whoever signed it gossips it again."""
        unread = self._unread.setdefault(sender, deque())
        if len(unread) >= UNREAD_PER_PEER_MAX:
            self.dropped += 1
            return
        unread.append(raw)
        self._has_come.set()

    def _next(self) -> tuple[str, bytes]:
        """The oldest batch of the sender whose turn it is; what else it sent waits behind the others."""
        sender = next(iter(self._unread))
        unread = self._unread.pop(sender)
        raw = unread.popleft()
        if unread:
            self._unread[sender] = unread
        return sender, raw

    async def run(self) -> None:
        while True:
            while not self._unread:
                self._has_come.clear()
                await self._has_come.wait()
            sender, raw = self._next()
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
        await self._verifier.verify_aside(batch, self._members())
        # A block may have been appended meanwhile: it may hold the batch, or end the key that signed it.
        is_good = self._verifier.is_good(batch, self._members())
        if is_good and self._has_new(batch) and self._mempool.add(batch):
            self._work_came()

    def _members(self) -> ValidatorSet:
        return self._ledger.validators(self._ledger.height + 1)

    def _has_new(self, batch: Batch) -> bool:
        return next_window(self._ledger).admits_any(batch)

"""Who waits for what: futures for transactions, and one bounded queue per subscriber to appended blocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chain.blocks import BlockStore, ExecutedBlock
from chain.receipt import Receipt

EVENTS_QUEUED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Committed:
    """Where a transaction stands and what it gave; `index` counts the block's transactions from 0."""

    height: int
    index: int
    receipt: Receipt


def find_committed(blocks: BlockStore, transaction_id: bytes) -> Committed | None:
    location = blocks.find(transaction_id)
    if location is None:
        return None
    raw = blocks.receipt_bytes(location.height)[location.index]
    return Committed(location.height, location.index, Receipt.from_bytes(raw))


class Waiting:
    def __init__(self, blocks: BlockStore) -> None:
        self._blocks = blocks
        self._futures: dict[bytes, list[asyncio.Future[Committed | None]]] = {}
        self._subscribers: set[asyncio.Queue[Mapping[str, Any] | None]] = set()

    async def wait(self, transaction_id: bytes, timeout_s: float) -> Committed | None:
        """None when the time is up; the transaction may still commit."""
        found = find_committed(self._blocks, transaction_id)
        if found is not None:
            return found
        future: asyncio.Future[Committed | None] = asyncio.get_running_loop().create_future()
        waiting = self._futures.setdefault(transaction_id, [])
        waiting.append(future)
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            return None
        finally:
            waiting.remove(future)
            if not waiting and self._futures.get(transaction_id) is waiting:
                del self._futures[transaction_id]

    def block_appended(self, executed: ExecutedBlock) -> None:
        height, ran = executed.block.header.height, {id_ for id_, _ in executed.executed}
        for index, receipt in enumerate(executed.receipts):
            if receipt.transaction_id not in ran:
                continue
            ran.remove(receipt.transaction_id)
            for future in self._futures.get(receipt.transaction_id, ()):
                if not future.done():
                    future.set_result(Committed(height, index, receipt))
        if self._subscribers:
            self._publish(executed)

    def _publish(self, executed: ExecutedBlock) -> None:
        event = {
            "height": executed.block.header.height,
            "block_id": executed.block.id.hex(),
            "time_ms": executed.block.header.time_ms,
            "transactions": [receipt.transaction_id.hex() for receipt in executed.receipts],
        }
        for queue in list(self._subscribers):
            if queue.full():  # a subscriber that doesn't read is let go; it starts again from the height it knows
                self._subscribers.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    async def subscribe(self) -> AsyncIterator[Mapping[str, Any]]:
        queue: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue(EVENTS_QUEUED_MAX)
        self._subscribers.add(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._subscribers.discard(queue)

    def close(self) -> None:
        """Ends all subscriptions; who waits for a transaction is told that the time is up."""
        for queue in self._subscribers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
        for waiting in self._futures.values():
            for future in waiting:
                if not future.done():
                    future.set_result(None)

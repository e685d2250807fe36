"""Who waits for what: futures for transactions, and one bounded queue per subscriber to appended blocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chain.blocks import BlockStore, ExecutedBlock
from chain.execution import is_execution
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


@dataclass(slots=True, eq=False)
class _Group:
    """Transactions that somebody waits for together; `done` is set when none is `left`."""

    left: set[bytes]
    found: dict[bytes, Committed]
    done: asyncio.Future[None]

    def take(self, transaction_id: bytes, committed: Committed) -> None:
        self.found[transaction_id] = committed
        self.left.discard(transaction_id)
        if not self.left:
            self.end()

    def end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _nobody_knows(_transaction_id: bytes) -> bool:
    return False


class Waiting:
    """`is_pending` says of which transactions it is sure, without asking the disk, that they are not committed yet."""

    def __init__(self, blocks: BlockStore, is_pending: Callable[[bytes], bool] = _nobody_knows) -> None:
        self._blocks = blocks
        self._is_pending = is_pending
        self._groups: dict[bytes, list[_Group]] = {}
        self._subscribers: set[asyncio.Queue[Mapping[str, Any] | None]] = set()

    async def wait(self, transaction_id: bytes, timeout_s: float) -> Committed | None:
        """None when the time is up; the transaction may still commit."""
        return (await self.wait_all([transaction_id], timeout_s)).get(transaction_id)

    async def wait_all(self, transaction_ids: Iterable[bytes], timeout_s: float) -> dict[bytes, Committed]:
        """Those that are committed when all are, or when the time is up."""
        group = _Group(set(transaction_ids), {}, asyncio.get_running_loop().create_future())
        for transaction_id in list(group.left):
            found = None if self._is_pending(transaction_id) else find_committed(self._blocks, transaction_id)
            if found is not None:
                group.take(transaction_id, found)
        if not group.left:
            return group.found
        waited_for = list(group.left)
        for transaction_id in waited_for:
            self._groups.setdefault(transaction_id, []).append(group)
        try:
            async with asyncio.timeout(timeout_s):
                await group.done
        except TimeoutError:
            pass  # what is there by now is the answer
        finally:
            for transaction_id in waited_for:
                self._leave(transaction_id, group)
        return group.found

    def _leave(self, transaction_id: bytes, group: _Group) -> None:
        groups = self._groups[transaction_id]
        groups.remove(group)
        if not groups:
            del self._groups[transaction_id]

    def block_appended(self, executed: ExecutedBlock) -> None:
        height = executed.block.header.height
        for index, receipt in enumerate(executed.receipts):
            if not is_execution(receipt):
                continue
            for group in self._groups.get(receipt.transaction_id, ()):
                group.take(receipt.transaction_id, Committed(height, index, receipt))
        if self._subscribers:
            self._publish(executed)

    def _publish(self, executed: ExecutedBlock) -> None:
        event = {
            "height": executed.block.header.height,
            "block_id": executed.block.id.hex(),
            "time_ms": executed.block.header.time_ms,
            "transactions": [transaction_id.hex() for transaction_id, _ in executed.executed],
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
        for groups in self._groups.values():
            for group in groups:
                group.end()

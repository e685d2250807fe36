"""Who waits is told once, in time, and nobody who has gone or doesn't read is waited for."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.blocks import ExecutedBlock
from chain.crypto import digest
from chain.errors import KehuError
from chain.receipt import Receipt
from chain.transaction import Call, Transaction
from node.intake import waiting as waiting_module
from node.intake.admission import Admission
from node.intake.mempool import MEMPOOL_FULL
from node.intake.own_transactions import EXPIRY_HEIGHTS, OwnTransactions
from node.intake.waiting import Committed, Waiting, find_committed
from tests.node.cluster import eventually
from tests.node.node_kit import EXPIRY_HEIGHTS_MAX, LOGIN, Chain, batch_of, node_key, transact


class Desk:
    def __init__(self, folder: Path) -> None:
        self.chain = Chain(folder)
        self.waiting = Waiting(self.chain.blocks)

    def append(self, *transactions: Any) -> ExecutedBlock:
        executed = self.chain.append(*([batch_of(*transactions)] if transactions else []))
        self.waiting.block_appended(executed)
        return executed

    def listen(self, seen: list[Any]) -> asyncio.Task[None]:
        async def read() -> None:
            async for event in self.waiting.subscribe():
                seen.append(event)
            seen.append("end")

        return asyncio.create_task(read())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.chain.store.close()


async def test_who_is_cancelled_in_the_moment_of_the_commitment_is_cancelled(desk: Desk) -> None:
    """`asyncio.wait_for` of Python 3.11 lost the cancellation, and who waited for the task's end waited for ever."""
    transaction = transact()
    waiter = asyncio.create_task(desk.waiting.wait(transaction.id, 30))
    await asyncio.sleep(0)
    desk.append(transaction)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_everybody_who_waits_for_a_transaction_is_told(desk: Desk) -> None:
    transaction = transact()
    waiters = [asyncio.create_task(desk.waiting.wait(transaction.id, 30)) for _ in range(3)]
    await asyncio.sleep(0)
    executed = desk.append(transact(sender="wang"), transaction)
    expected = Committed(1, 1, executed.receipts[1])
    assert await asyncio.gather(*waiters) == [expected] * 3
    assert desk.waiting._groups == {}


async def test_what_is_committed_already_is_answered_at_once(desk: Desk) -> None:
    transaction = transact()
    executed = desk.append(transaction)
    assert await desk.waiting.wait(transaction.id, 0) == Committed(1, 0, executed.receipts[0])
    assert find_committed(desk.chain.blocks, transaction.id) == Committed(1, 0, executed.receipts[0])
    assert find_committed(desk.chain.blocks, digest("transaction", b"other")) is None


async def test_when_the_time_is_up_the_waiter_gets_none_and_is_forgotten(desk: Desk) -> None:
    transaction = transact()
    assert await desk.waiting.wait(transaction.id, 0.001) is None
    assert desk.waiting._groups == {}
    desk.append(transaction)
    assert await desk.waiting.wait(transaction.id, 0.001) is not None


async def test_a_waiter_that_goes_away_is_forgotten_and_the_others_are_told(desk: Desk) -> None:
    transaction = transact()
    gone, stays = (asyncio.create_task(desk.waiting.wait(transaction.id, 30)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    desk.append(transaction)
    assert await stays is not None
    assert desk.waiting._groups == {}


async def test_a_refused_duplicate_does_not_answer_for_the_execution(desk: Desk) -> None:
    transaction = transact()
    waiter = asyncio.create_task(desk.waiting.wait(transaction.id, 30))
    await asyncio.sleep(0)
    executed = desk.chain.append(batch_of(transaction), batch_of(transaction, transact(), department="finance"))
    desk.waiting.block_appended(executed)
    committed = await waiter
    assert committed == Committed(1, 0, executed.receipts[0])
    assert committed.receipt.is_ok


async def test_subscribers_hear_of_every_block_in_order_with_public_facts_only(desk: Desk) -> None:
    seen: list[Any] = []
    task = desk.listen(seen)
    await asyncio.sleep(0)
    blocks = [desk.append(transact(Call("access.login", {"purpose": "回访"}))) for _ in range(3)]
    await eventually(lambda: len(seen) == 3)
    assert [event["height"] for event in seen] == [1, 2, 3]
    assert set(seen[0]) == {"height", "block_id", "time_ms", "transactions"}
    assert seen[1]["transactions"] == [blocks[1].receipts[0].transaction_id.hex()]
    desk.waiting.close()
    await task
    assert seen[-1] == "end"


async def test_a_subscriber_that_does_not_read_is_let_go_and_the_others_go_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_module, "EVENTS_QUEUED_MAX", 2)
    slow = desk.waiting.subscribe()
    first = asyncio.create_task(anext(slow))
    seen: list[Any] = []
    task = desk.listen(seen)
    await asyncio.sleep(0)
    for height in range(1, 6):
        desk.append(transact(expires=20))
        await eventually(lambda height=height: len(seen) == height)
    assert (await first)["height"] == 1
    rest = [event["height"] async for event in slow]
    assert rest == [3]  # the queue was cut and the subscription ended; it starts again from the height it knows
    assert len(desk.waiting._subscribers) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_closing_ends_full_queues_too_and_tells_who_waits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "EVENTS_QUEUED_MAX", 1)
    slow = desk.waiting.subscribe()
    first = asyncio.create_task(anext(slow))
    waiter = asyncio.create_task(desk.waiting.wait(transact().id, 30))
    await asyncio.sleep(0)
    desk.append()
    await first
    desk.append()
    desk.waiting.close()
    assert await waiter is None
    assert [event async for event in slow] == []


# Transactions of the node itself


class Own:
    """Own transactions over an admission and an outcome that the test sets."""

    def __init__(self, desk: Desk, draw: Callable[[int], bytes] = bytes) -> None:
        self.sent: list[bytes] = []
        self.refusal: KehuError | None = None
        self.code: str | None = "ok"
        self.own = OwnTransactions(desk.chain.ledger, self.submit, self.wait, draw)

    async def submit(self, envelopes: Any, values: Any) -> list[Admission]:
        self.sent += envelopes
        return [Admission(bytes(32), self.refusal)]

    async def wait(self, transaction_id: bytes, timeout_s: float) -> Committed | None:
        return None if self.code is None else Committed(1, 0, Receipt(transaction_id, self.code))


async def test_an_own_transaction_is_signed_by_the_key_and_expires_within_the_limit(desk: Desk) -> None:
    own = Own(desk)
    desk.append()
    committed = await own.own.commit(node_key("sales"), [LOGIN])
    transaction = Transaction.from_bytes(own.sent[0])
    transaction.verify(desk.chain.ledger.genesis.chain_id)
    assert transaction.key == node_key("sales").public
    assert transaction.expires_height == 1 + min(EXPIRY_HEIGHTS, EXPIRY_HEIGHTS_MAX)
    assert committed.receipt.transaction_id == transaction.id


async def test_an_own_transaction_raises_what_became_of_it(desk: Desk) -> None:
    own = Own(desk)
    own.code = None
    with pytest.raises(KehuError, match=r"node\.outcome_unknown"):
        await own.own.commit(node_key("sales"), [LOGIN])
    own.code = "transaction.expired"
    with pytest.raises(KehuError, match=r"transaction\.expired"):
        await own.own.commit(node_key("sales"), [LOGIN])
    own.refusal = KehuError(MEMPOOL_FULL)
    with pytest.raises(KehuError, match=r"mempool\.full"):
        await own.own.commit(node_key("sales"), [LOGIN])


async def test_what_is_undecided_is_waited_for_again_and_not_sent_anew_however_long_a_quorum_is_lacking(
    desk: Desk,
) -> None:
    own = Own(desk, draw=secrets.token_bytes)
    own.code = None
    for _ in range(100):
        with pytest.raises(KehuError, match=r"node\.outcome_unknown"):
            await own.own.commit(node_key("sales"), [LOGIN])
    with pytest.raises(KehuError, match=r"node\.outcome_unknown"):
        await own.own.commit(node_key("finance"), [LOGIN])
    assert len(own.sent) == 101
    assert len(set(own.sent)) == 2
    own.code = "ok"
    committed = await own.own.commit(node_key("sales"), [LOGIN])
    assert committed.receipt.transaction_id == Transaction.from_bytes(own.sent[0]).id
    assert (await own.own.commit(node_key("sales"), [LOGIN])).receipt.transaction_id != committed.receipt.transaction_id


async def test_an_undecided_transaction_that_was_executed_or_has_expired_is_followed_by_a_new_one(desk: Desk) -> None:
    own = Own(desk, draw=secrets.token_bytes)

    async def undecided() -> Transaction:
        own.code = None
        with pytest.raises(KehuError, match=r"node\.outcome_unknown"):
            await own.own.commit(node_key("sales"), [LOGIN])
        return Transaction.from_bytes(own.sent[-1])

    first = await undecided()
    desk.chain.ledger.recent.add(0, [(first.id, first.expires_height)])
    second = await undecided()
    assert second.id != first.id
    assert (await undecided()).id == second.id
    for _ in range(EXPIRY_HEIGHTS_MAX):
        desk.append()
    assert (await undecided()).id != second.id


async def test_two_who_ask_at_once_have_a_transaction_each(desk: Desk) -> None:
    own = Own(desk, draw=secrets.token_bytes)
    own.code = None
    with pytest.raises(KehuError, match=r"node\.outcome_unknown"):
        await own.own.commit(node_key("sales"), [LOGIN])
    own.code = "ok"
    both = await asyncio.gather(*(own.own.commit(node_key("sales"), [LOGIN]) for _ in range(2)))
    assert len({one.receipt.transaction_id for one in both}) == 2

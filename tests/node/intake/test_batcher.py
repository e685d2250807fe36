"""Batches: signed quickly, within their limits, verified once, and never trusted because of who passes them on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chain import batch as batch_module
from chain import codec
from chain.batch import BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, Batch, sign_batch
from chain.crypto import digest
from chain.errors import KehuError
from chain.transaction import Call
from node.intake import batcher as batcher_module
from node.intake import verification
from node.intake.batcher import Batcher
from node.intake.inbox import UNREAD_PER_PEER_MAX, BatchInbox
from node.intake.mempool import Mempool
from node.intake.verification import INLINE_TRANSACTIONS_MAX, BatchVerifier
from tests.node.cluster import eventually
from tests.node.node_kit import CHAIN, GENESIS, Chain, admitted, batch_of, key_of, node_key, transact


class Desk:
    def __init__(self) -> None:
        self.mempool = Mempool("sales", 10_000, 10_000)
        self.verifier = BatchVerifier(CHAIN)
        self.gossiped: list[Batch] = []
        self.work = 0
        self.batcher = Batcher(
            node_key("sales"), CHAIN, "sales", self.mempool, self.verifier, self.gossiped.append, self.note_work
        )

    def note_work(self) -> None:
        self.work += 1

    def admit(self, *transactions: Any) -> None:
        admitted(self.mempool, *transactions)
        self.batcher.admitted()


async def test_what_comes_together_shares_one_signature() -> None:
    desk = Desk()
    transactions = [transact() for _ in range(20)]
    for transaction in transactions:
        desk.admit(transaction)
    await eventually(lambda: desk.gossiped)
    (batch,) = desk.gossiped
    assert batch.transactions == tuple(transactions)
    Batch.from_bytes(batch.raw).verify(GENESIS.validators, CHAIN)
    assert desk.work == 1


async def test_no_batch_exceeds_its_limits_in_number_or_bytes() -> None:
    desk = Desk()
    small = transact()
    large = [transact(Call("notes.put", {"text": "x" * 60_000, "n": number})) for number in range(40)]
    desk.admit(*large)
    desk.batcher._sign()
    assert len(desk.gossiped) >= 3
    desk.admit(small, *(transact(Call("n", {"n": number})) for number in range(BATCH_TRANSACTIONS_MAX + 5)))
    desk.batcher._sign()
    for batch in desk.gossiped:
        assert len(batch.raw) <= BATCH_BYTES_MAX
        assert Batch.from_bytes(batch.raw).id == batch.id
        assert len(batch.transactions) <= BATCH_TRANSACTIONS_MAX
    order = [item for batch in desk.gossiped for item in batch.transactions]
    assert order[:41] == [*large, small]
    assert len(order) == 40 + 1 + BATCH_TRANSACTIONS_MAX + 5


async def test_closing_signs_and_gossips_what_was_admitted() -> None:
    desk = Desk()
    transaction = transact()
    desk.admit(transaction)
    desk.batcher.close()
    assert [batch.transactions for batch in desk.gossiped] == [(transaction,)]


async def test_what_waits_too_long_is_gossiped_again_whoever_signed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "REGOSSIP_S", 0.001)
    desk = Desk()
    own, foreign = batch_of(), batch_of(department="finance")
    desk.mempool.add(own)
    desk.mempool.add(foreign)
    task = asyncio.create_task(desk.batcher.run())
    await eventually(lambda: {batch.id for batch in desk.gossiped} == {own.id, foreign.id})
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_gossiping_again_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "REGOSSIP_S", 0.001)
    desk = Desk()
    first, second, third = (batch_of(department="finance") for _ in range(3))
    monkeypatch.setattr(batcher_module, "REGOSSIP_BYTES_MAX", len(first.raw) + len(second.raw))
    for batch in (first, second, third):
        desk.mempool.add(batch)
    task = asyncio.create_task(desk.batcher.run())
    await eventually(lambda: len(desk.gossiped) >= 6)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert {batch.id for batch in desk.gossiped} == {first.id, second.id}


# Verification


@pytest.mark.parametrize("count", [1, INLINE_TRANSACTIONS_MAX + 1])
async def test_a_batch_is_verified_once_by_gossip_and_block_together(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    calls = []
    real = batch_module.Batch.verify

    def counting(self: Batch, *arguments: Any) -> None:
        calls.append(self.id)
        real(self, *arguments)

    monkeypatch.setattr(batch_module.Batch, "verify", counting)
    verifier, batch = BatchVerifier(CHAIN), batch_of(*(transact() for _ in range(count)))
    await verifier.verify_aside(batch, GENESIS.validators)
    await verifier.verify_aside(batch, GENESIS.validators)
    verifier.verify(batch, GENESIS.validators)
    assert calls == [batch.id]


async def test_a_bad_batch_is_not_remembered_as_good() -> None:
    verifier, batch = BatchVerifier(CHAIN), sign_batch(key_of("thief"), CHAIN, "sales", [transact()])
    for _ in range(2):
        with pytest.raises(KehuError, match=r"signature\.invalid"):
            await verifier.verify_aside(batch, GENESIS.validators)
        with pytest.raises(KehuError, match=r"signature\.invalid"):
            verifier.verify(batch, GENESIS.validators)


async def test_a_batch_that_was_good_under_another_key_is_verified_again() -> None:
    verifier, batch = BatchVerifier(CHAIN), sign_batch(key_of("thief"), CHAIN, "sales", [transact()])
    verifier.remember(batch, key_of("thief").public)
    with pytest.raises(KehuError, match=r"signature\.invalid"):
        verifier.verify(batch, GENESIS.validators)


def test_no_more_batches_are_remembered_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "REMEMBERED_MAX", 3)
    verifier = BatchVerifier(CHAIN)
    batches = [batch_of() for _ in range(5)]
    for batch in batches:
        verifier.verify(batch, GENESIS.validators)
    assert list(verifier._verified) == [batch.id for batch in batches[2:]]


# Inbox


class Inbox:
    def __init__(self, folder: Path) -> None:
        self.chain = Chain(folder)
        self.mempool = Mempool("sales", 100, 100)
        self.work = 0
        self.inbox = BatchInbox(self.mempool, BatchVerifier(CHAIN), self.chain.ledger, self.note_work)

    def note_work(self) -> None:
        self.work += 1


@asynccontextmanager
async def reading(folder: Path) -> AsyncIterator[Inbox]:
    desk = Inbox(folder)
    task = asyncio.create_task(desk.inbox.run())
    try:
        yield desk
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        desk.chain.store.close()


def forged_transaction() -> bytes:
    envelope = codec.encode_flat([transact().body, bytes(64)])
    payload = codec.encode_flat(["finance", digest("batch-transactions", codec.encode_flat([envelope]))])
    return codec.encode_flat(["finance", node_key("finance").sign("batch", CHAIN, payload), [envelope]])


async def test_bad_batches_of_a_peer_are_refused_and_the_next_good_one_is_taken(tmp_path: Path) -> None:
    bad = [
        b"",
        b"\xff" * 100,
        codec.encode_flat(["finance", bytes(64), []]),
        codec.encode_flat(["finance", bytes(64), [b"junk"]]),
        bytes(BATCH_BYTES_MAX + 1),
        sign_batch(key_of("thief"), CHAIN, "finance", [transact()]).raw,
        sign_batch(key_of("nobody"), CHAIN, "nobody", [transact()]).raw,
        batch_of(transact(chain=digest("genesis", b"other")), department="finance").raw,
        batch_of(transact(expires=0), department="finance").raw,
        batch_of(transact(expires=1_000), department="finance").raw,
        forged_transaction(),
    ]
    good = batch_of(department="finance")
    async with reading(tmp_path) as desk:
        for raw in bad:
            desk.inbox.receive("finance", raw)
        desk.inbox.receive("finance", good.raw)
        await eventually(lambda: desk.work == 1)
        assert desk.mempool.oldest(99) == [good]


async def test_a_batch_known_already_costs_no_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, other = batch_of(department="finance"), batch_of(department="finance")
    async with reading(tmp_path) as desk:
        desk.inbox.receive("finance", batch.raw)
        await eventually(lambda: desk.work == 1)
        decoded = []
        real = Batch.from_bytes
        monkeypatch.setattr(
            "node.intake.mempool.Batch.from_bytes", lambda raw, read: decoded.append(raw) or real(raw, read)
        )
        for _ in range(10):
            desk.inbox.receive("after_sales", batch.raw)
        desk.inbox.receive("after_sales", other.raw)
        await eventually(lambda: desk.work == 2)
        assert decoded == [other.raw]


async def test_one_peers_flood_is_bounded_and_costs_the_others_nothing(tmp_path: Path) -> None:
    desk = Inbox(tmp_path)
    for _ in range(UNREAD_PER_PEER_MAX + 30):
        desk.inbox.receive("after_sales", b"junk")
    assert desk.inbox.dropped == 30
    good = batch_of(department="finance")
    desk.inbox.receive("finance", good.raw)
    task = asyncio.create_task(desk.inbox.run())
    await eventually(lambda: desk.mempool.holds(good.id))
    desk.inbox.receive("after_sales", batch_of(department="after_sales").raw)
    await eventually(lambda: desk.work == 2)
    assert desk.inbox.dropped == 30
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    desk.chain.store.close()


async def test_a_batch_executed_while_it_was_verified_is_not_taken(tmp_path: Path) -> None:
    batch = batch_of(*(transact(sender="qian") for _ in range(INLINE_TRANSACTIONS_MAX + 1)))
    desk = Inbox(tmp_path)
    taking = asyncio.create_task(desk.inbox._take(batch.raw))
    await asyncio.sleep(0)  # it is being verified in a thread
    desk.chain.append(batch)
    await taking
    assert not desk.mempool.has_batches
    assert desk.work == 0
    desk.chain.store.close()

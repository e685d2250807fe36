"""What a node lets in, what it refuses and why, and that a refusal leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from chain import codec
from chain.batch import Batch
from chain.crypto import digest
from chain.errors import KehuError, define
from chain.transaction import Call, Transaction
from contracts.work import LOOK, WORK_MAX
from node.intake.admission import Admission, Admitter
from node.intake.batcher import Batcher
from node.intake.mempool import Mempool, next_window
from node.intake.verification import BatchVerifier
from node.storage.durable import STORAGE_IO, StorageFailure
from node.vault.commitments import digests_of
from node.vault.values import VaultValue
from tests.node.cluster import eventually
from tests.node.node_kit import CHAIN, EXPIRY_HEIGHTS_MAX, Chain, batch_of, node_key, transact

REFUSED = define("test.vault_refused", "the vault of these tests refuses", "don't")

LIST = Call("access.list", {"table": "customers", "after": 0, "limit": 100, "purpose": "x"})


class Desk:
    """An admitter over a real ledger; the vault is a list, and refuses or waits when it is told to."""

    def __init__(self, folder: Path, transactions_max: int = 100, sender_max: int = 50) -> None:
        self.chain = Chain(folder)
        self.mempool = Mempool("sales", transactions_max, sender_max)
        self.gossiped: list[Batch] = []
        self.work = 0
        self.batcher = Batcher(
            node_key("sales"), CHAIN, "sales", self.mempool, BatchVerifier(CHAIN), self.gossiped.append, self.note_work
        )
        self.admitter = Admitter(
            "sales", self.chain.ledger, self.chain.blocks, self.mempool, self.batcher, digests_of, self.safeguard
        )
        self.secured: list[tuple[bytes, tuple[VaultValue, ...]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: Exception | None = None

    def note_work(self) -> None:
        self.work += 1

    async def safeguard(self, pairs: Sequence[tuple[Transaction, Sequence[VaultValue]]]) -> list[KehuError | None]:
        self.secured += [(transaction.id, tuple(values)) for transaction, values in pairs]
        await self.gate.wait()
        if self.fault is not None and type(self.fault) is not KehuError:
            raise self.fault
        return [self.fault] * len(pairs)

    async def submit(self, *transactions: Transaction | bytes, values: Sequence[VaultValue] = ()) -> list[Admission]:
        raws = [item if isinstance(item, bytes) else item.raw for item in transactions]
        return await self.admitter.submit(raws, values)

    async def refusal(self, transaction: Transaction | bytes, values: Sequence[VaultValue] = ()) -> str:
        (admission,) = await self.submit(transaction, values=values)
        assert admission.error is not None
        return admission.error.code

    @property
    def admitted(self) -> list[bytes]:
        return [item.id for batch in self.gossiped for item in batch.transactions]

    def require_empty(self) -> None:
        assert self.mempool.transactions == 0
        assert self.mempool.take_queued(9) == []
        assert not self.mempool._by_sender
        assert not self.admitter._admitting


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
async def desk(folder: Path) -> Iterator[Desk]:  # type: ignore[misc]
    desk = Desk(folder)
    yield desk
    desk.batcher.close()
    desk.chain.store.close()


def register(customer: str = "c1") -> tuple[Transaction, list[VaultValue]]:
    values = [
        VaultValue("customers", customer, name, digest("salt", f"{customer} {name}".encode()), text)
        for name, text in (("name", "张三"), ("phone", "+8613800000001"))
    ]
    digests = {value.field: value.digest(CHAIN) for value in values}
    call = Call("customers.register", {"customer": customer, "fields": digests, "attestation": None, "temporary": True})
    return transact(call), values


async def test_a_value_that_the_sender_must_not_see_is_brought_by_the_node(desk: Desk) -> None:
    transaction, values = register()
    kept = {value.digest(CHAIN): value for value in values[1:]}
    desk.admitter.kept = kept.get
    assert await desk.submit(transaction, values=values[:1]) == [Admission(transaction.id)]
    assert [(id_, set(share)) for id_, share in desk.secured] == [(transaction.id, set(values))]


async def test_an_admitted_transaction_is_batched_and_gossiped(desk: Desk) -> None:
    transaction = transact()
    assert await desk.submit(transaction) == [Admission(transaction.id)]
    await eventually(lambda: desk.admitted == [transaction.id])
    assert desk.work == 1
    assert desk.mempool.candidates(next_window(desk.chain.ledger), 1 << 20) == desk.gossiped


def bad_signature() -> bytes:
    transaction = transact()
    return codec.encode_flat([transaction.body, transaction.signature[:-1] + bytes([transaction.signature[-1] ^ 1])])


REFUSALS = {
    "no bytes": (lambda: b"", "codec.malformed"),
    "garbage": (lambda: b"\xc1" * 100, "codec.malformed"),
    "not a transaction": (lambda: codec.encode_flat([1]), "codec.shape"),
    "more bytes behind": (lambda: transact().raw + b"\x00", "codec.malformed"),
    "a wrong signature": (bad_signature, "signature.invalid"),
    "another chain": (lambda: transact(chain=digest("genesis", b"x")).raw, "transaction.wrong_chain"),
    "expired": (lambda: transact(expires=2).raw, "transaction.expired"),
    "too much work": (lambda: transact(*[LIST] * (WORK_MAX // LOOK + 1)).raw, "transaction.too_much"),
    "expires too far": (lambda: transact(expires=3 + EXPIRY_HEIGHTS_MAX).raw, "transaction.expiry_too_far"),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_bad_transaction_is_refused_by_its_code_and_leaves_nothing(desk: Desk, kind: str) -> None:
    for _ in range(2):
        desk.chain.append()
    make, code = REFUSALS[kind]
    assert await desk.refusal(make()) == code
    desk.require_empty()
    assert desk.secured == []


async def test_bytes_beyond_the_limit_are_refused_before_they_are_looked_at(desk: Desk) -> None:
    assert await desk.refusal(bytes(1 << 17)) == "codec.too_large"


async def test_the_edges_of_expiry_are_let_in(desk: Desk) -> None:
    desk.chain.append()
    answers = await desk.submit(transact(expires=2), transact(expires=1 + EXPIRY_HEIGHTS_MAX))
    assert [answer.error for answer in answers] == [None, None]


async def test_one_bad_transaction_does_not_stop_its_neighbours(desk: Desk) -> None:
    good, late = transact(), transact(expires=0)
    answers = await desk.submit(b"junk", good, late)
    assert [answer.transaction_id for answer in answers] == [None, good.id, late.id]
    assert [answer.error and answer.error.code for answer in answers] == [
        "codec.malformed", None, "transaction.expired",
    ]  # fmt: skip
    assert good.id in desk.mempool


async def test_a_pending_transaction_sent_again_is_answered_well_and_queued_once(desk: Desk) -> None:
    transaction = transact()
    for _ in range(3):
        assert await desk.submit(transaction) == [Admission(transaction.id)]
    assert desk.mempool.transactions == 1
    assert len(desk.secured) == 1


async def test_a_committed_transaction_sent_again_is_answered_well_and_not_queued(desk: Desk) -> None:
    transaction = transact(expires=2)
    desk.chain.append(batch_of(transaction))
    assert await desk.submit(transaction) == [Admission(transaction.id)]
    for _ in range(3):
        desk.chain.append()
    assert await desk.submit(transaction) == [Admission(transaction.id)]  # also when it has expired since
    desk.require_empty()


async def test_the_same_transaction_twice_at_once_is_secured_once(desk: Desk) -> None:
    transaction, values = register()
    desk.gate.clear()
    first = asyncio.create_task(desk.submit(transaction, values=values))
    second = asyncio.create_task(desk.submit(transaction, transaction, values=values))
    await eventually(lambda: desk.secured)
    desk.gate.set()
    assert await first == [Admission(transaction.id)]
    assert await second == [Admission(transaction.id)] * 2
    assert len(desk.secured) == 1
    assert desk.mempool.transactions == 1


async def test_what_expires_while_its_values_are_secured_is_refused_and_asks_no_primary_for_work(desk: Desk) -> None:
    """On an idle network no block would take it out of the mempool again."""
    transaction, values = register()
    late = transact(expires=2)
    desk.gate.clear()
    submitted = asyncio.create_task(desk.submit(late, transaction, values=values))
    await eventually(lambda: desk.secured)
    for _ in range(2):
        desk.chain.append()
    desk.gate.set()
    answers = await submitted
    assert [answer.error and answer.error.code for answer in answers] == ["transaction.expired", None]
    await eventually(lambda: desk.gossiped)
    assert desk.admitted == [transaction.id]


async def test_what_is_committed_while_its_values_are_secured_is_answered_well_and_not_queued(desk: Desk) -> None:
    transaction = transact()
    desk.gate.clear()
    submitted = asyncio.create_task(desk.submit(transaction))
    await eventually(lambda: desk.secured)
    desk.chain.append(batch_of(transaction))
    desk.gate.set()
    assert await submitted == [Admission(transaction.id)]
    desk.require_empty()


async def test_who_waited_for_another_request_tries_itself_when_that_one_fails(desk: Desk) -> None:
    transaction, values = register()
    desk.gate.clear()
    first = asyncio.create_task(desk.submit(transaction, values=values))
    second = asyncio.create_task(desk.submit(transaction, values=values))
    await eventually(lambda: desk.secured)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    desk.gate.set()
    assert await second == [Admission(transaction.id)]
    assert len(desk.secured) == 2


async def test_values_go_to_the_vault_with_the_transaction_that_commits_to_them(desk: Desk) -> None:
    (one, ones), (two, twos) = register("c1"), register("c2")
    plain = transact()
    await desk.submit(one, plain, two, values=[*twos, *ones])
    secured = dict(desk.secured)
    assert {value.record for value in secured[one.id]} == {"c1"}
    assert {value.record for value in secured[two.id]} == {"c2"}
    assert secured[plain.id] == ()


async def test_a_value_that_nobody_commits_to_refuses_the_request_as_a_whole(desk: Desk) -> None:
    transaction, values = register()
    stray = replace(values[0], value="李四")
    with pytest.raises(KehuError) as caught:
        await desk.submit(transaction, values=[*values, stray])
    assert caught.value.code == "vault.value_uncommitted"
    assert "李四" not in str(caught.value)
    desk.require_empty()
    assert desk.secured == []


async def test_what_the_vault_refuses_is_not_admitted_and_gives_its_place_back(desk: Desk) -> None:
    transaction, values = register()
    desk.fault = KehuError(REFUSED)
    assert await desk.refusal(transaction, values) == REFUSED.code
    desk.require_empty()
    desk.fault = None
    assert await desk.submit(transaction, values=values) == [Admission(transaction.id)]


async def test_a_failing_disk_is_no_refusal(desk: Desk) -> None:
    transaction, values = register()
    desk.fault = StorageFailure(STORAGE_IO, path="vault")
    with pytest.raises(StorageFailure):
        await desk.submit(transaction, values=values)
    desk.require_empty()


async def test_a_store_that_fails_while_one_of_many_is_looked_up_refuses_none_of_them(desk: Desk) -> None:
    desk.chain.append()
    desk.chain.store.close()
    with pytest.raises(StorageFailure):
        await desk.submit(transact(expires=1), transact())


async def test_a_full_mempool_refuses_before_values_are_secured_anywhere(folder: Path) -> None:
    desk = Desk(folder, transactions_max=2)
    desk.gate.clear()
    waiting = asyncio.create_task(desk.submit(transact(), transact(sender="wang")))
    await eventually(lambda: len(desk.secured) == 2)
    assert await desk.refusal(transact(sender="stranger")) == "mempool.full"
    assert len(desk.secured) == 2
    desk.gate.set()
    await waiting
    assert desk.mempool.transactions == 2
    desk.chain.store.close()


async def test_one_key_over_its_limit_is_refused_and_others_are_not(folder: Path) -> None:
    desk = Desk(folder, sender_max=3)
    answers = await desk.submit(*(transact() for _ in range(5)), transact(sender="wang"))
    codes = [answer.error and answer.error.code for answer in answers]
    assert codes == [None, None, None, "mempool.sender_limit", "mempool.sender_limit", None]
    assert desk.mempool.transactions == 4
    desk.chain.store.close()


async def test_a_request_is_admitted_in_its_order_however_long_each_vault_takes(desk: Desk) -> None:
    first, values = register()
    rest = [transact() for _ in range(3)]

    async def slow(pairs: Sequence[tuple[Transaction, Sequence[VaultValue]]]) -> list[KehuError | None]:
        for _ in range(5):
            await asyncio.sleep(0)
        return [None] * len(pairs)

    desk.admitter._safeguard = slow
    await desk.submit(first, *rest, values=values)
    assert [item.id for item in desk.mempool.take_queued(9)] == [item.id for item in (first, *rest)]


async def test_a_large_request_is_checked_aside_and_answered_in_order(desk: Desk) -> None:
    transactions = [transact() for _ in range(40)]
    transactions[7] = transact(expires=0)
    answers = await desk.submit(*transactions)
    assert [answer.transaction_id for answer in answers] == [item.id for item in transactions]
    assert [place for place, answer in enumerate(answers) if answer.error is not None] == [7]

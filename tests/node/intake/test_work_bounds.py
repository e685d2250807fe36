"""However much work people hand in, each block of an honest primary is little enough to be decided within a view."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.batch import Batch
from chain.block import BLOCK_BYTES_MAX, Block
from chain.errors import KehuError
from chain.protocol import NEWEST
from chain.transaction import CALLS_MAX, Call, Transaction
from consensus.events import ProposalBuilt
from contracts.work import LOOK, WORK_MAX, work_of
from node.intake.batcher import Batcher
from node.intake.mempool import SENDER_MIN, Mempool, next_window
from node.intake.verification import BatchVerifier
from node.vault.retention import ERASED_AT_ONCE
from tests.node.node_kit import CHAIN, Chain, admitted, batch_of, node_key, transact
from tests.node.peer_kit import until
from tests.node.replica.test_agreement import Bench

LOGIN = Call("access.login", {})
LIST = Call("access.list", {"table": "customers", "after": 0, "limit": 100, "purpose": "x"})
FULL = WORK_MAX // CALLS_MAX
"""So many transactions of as many calls as may be are as much as a block may be."""


def heavy(sender: str = "li") -> Transaction:
    return transact(*[LOGIN] * CALLS_MAX, sender=sender)


def test_a_call_that_looks_at_many_rows_is_as_much_work_as_a_hundred_others() -> None:
    assert work_of([transact(LOGIN)]) == 1
    assert work_of([transact(LIST, LOGIN), transact(LOGIN)]) == LOOK + 2


def test_an_erasure_is_as_much_work_as_what_goes_or_is_let_go_with_the_record() -> None:
    def erasing(table: object, call: str = "erasure.expire") -> int:
        return work_of([transact(Call(call, {"table": table, "record": "x"}))])

    for table in ("customers", "projects"):
        assert erasing(table) == erasing(table, "erasure.order") == LOOK
        assert erasing(table, "erasure.confirm") == 1
        assert ERASED_AT_ONCE * erasing(table) <= WORK_MAX  # what a node has erased by itself fits into a block
    assert [erasing(table) for table in ("demands", ["customers"], None)] == [1, 1, 1]


async def test_erasures_of_more_than_a_block_may_be_are_refused_once_nobody_counts_them_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [Call("erasure.expire", {"table": "customers", "record": "x"})] * (WORK_MAX // LOOK)
    bench = Bench(tmp_path)
    block = bench.other.build(*[batch_of(transact(*calls), department=name) for name in ("sales", "finance")]).block
    assert (await bench.validate(block.raw, block.id)).problem == "proposal.too_much"
    monkeypatch.setattr("contracts.work.BOUNDED_WALKS", NEWEST + 1)  # an older release may have proposed it
    assert (await bench.validate(block.raw, block.id)).is_valid


async def test_a_node_signs_no_batch_that_is_more_work_than_a_block_may_be() -> None:
    mempool, gossiped = Mempool("sales", 1_000, 1_000_000), list[Batch]()
    batcher = Batcher(
        node_key("sales"), CHAIN, "sales", mempool, BatchVerifier(CHAIN), gossiped.append, lambda: None
    )  # fmt: skip
    admitted(mempool, *[heavy() for _ in range(2 * FULL + 1)])
    batcher.admitted()
    await until(lambda: gossiped)
    assert [len(batch.transactions) for batch in gossiped] == [FULL, FULL, 1]
    assert all(mempool.holds(batch.id) for batch in gossiped)


def test_a_batch_of_another_department_that_is_more_work_is_not_taken(tmp_path: Path) -> None:
    mempool = Mempool("sales", 1_000, 1_000)
    assert not mempool.add(batch_of(*[heavy() for _ in range(FULL + 1)], department="finance"))
    assert mempool.add(batch_of(*[heavy() for _ in range(FULL)], department="finance"))


def test_a_block_takes_the_oldest_batches_as_far_as_their_work_goes(tmp_path: Path) -> None:
    mempool, chain = Mempool("sales", 1_000, 1_000), Chain(tmp_path)
    batches = [batch_of(*[heavy("qian") for _ in range(FULL // 2)]) for _ in range(3)]
    for batch in batches:
        assert mempool.add(batch)
    assert mempool.candidates(next_window(chain.ledger), BLOCK_BYTES_MAX) == batches[:2]


def test_what_one_person_may_have_waiting_is_counted_by_its_work() -> None:
    mempool = Mempool("sales", 1_000, 2 * CALLS_MAX)
    admitted(mempool, heavy(), heavy())
    with pytest.raises(KehuError) as caught:
        mempool.reserve(transact())
    assert caught.value.code == "mempool.sender_limit"
    mempool.reserve(transact(sender="wang"))


def test_under_pressure_who_looks_at_much_may_have_as_much_waiting_as_others_who_do() -> None:
    mempool = Mempool("sales", 10_000, 20 * LOOK)
    admitted(mempool, *[transact(LIST, sender=name) for name in ("li", "wang", "wu") for _ in range(3)])
    mempool.is_pressed = lambda: True
    admitted(mempool, *[transact(LIST, sender="li") for _ in range(SENDER_MIN - 3)])
    with pytest.raises(KehuError) as caught:
        mempool.reserve(transact(LIST, sender="li"))
    assert caught.value.code == "mempool.sender_limit"
    assert caught.value.details["limit"] == (SENDER_MIN + 2 * 3) * LOOK // 3


async def test_a_proposal_that_is_more_work_is_refused_and_one_that_was_prepared_already_is_not(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    heaviest = [batch_of(*[heavy() for _ in range(FULL // 2 + 1)], department=name) for name in ("sales", "finance")]
    block = bench.other.build(*heaviest).block
    refused = await bench.validate(block.raw, block.id)
    assert (refused.is_valid, refused.problem) == (False, "proposal.too_much")
    assert (await bench.validate(block.raw, block.id, is_prepared=True)).is_valid

    for batch in heaviest:
        assert bench.mempool.add(batch)
    built = await bench.build()
    assert isinstance(built, ProposalBuilt)
    assert len(Block.from_bytes(built.body).batches) == 1

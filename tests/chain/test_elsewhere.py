"""Nobody uses up what others' people signed: in a batch of another department it is not executed, and stays free."""

from __future__ import annotations

import pytest

from chain.audit import Auditor
from chain.blocks import ExecutedBlock, past_puts
from chain.errors import KehuError
from chain.execution import HOME_ONLY
from chain.export import ExportBlock, ExportReader
from chain.genesis import Genesis
from chain.transaction import Call, Transaction
from tools.sample_chain import Notes, SampleChain, make_genesis


def chain_by(protocol: int) -> SampleChain:
    """ "li" belongs to sales from the first block on."""
    chain = SampleChain(Genesis.from_value({**make_genesis().value, "protocol": protocol}))
    chain.append(chain.batch(move(chain, "sales")))
    return chain


def move(chain: SampleChain, department: str) -> Transaction:
    return chain.transact(Call("notes.move", {"department": department}))


def codes(executed: ExecutedBlock) -> list[str]:
    return [receipt.code for receipt in executed.receipts]


def test_what_another_department_signs_into_its_batch_runs_later_in_that_of_its_sender() -> None:
    chain = chain_by(HOME_ONLY)
    wanted = chain.put("a")
    assert codes(chain.append(chain.batch(wanted, department="finance"))) == ["transaction.elsewhere"]
    assert chain.blocks.find(wanted.id) is None
    assert codes(chain.append(chain.batch(wanted))) == ["ok"]
    found = chain.blocks.find(wanted.id)
    assert found is not None
    assert (found.height, found.index) == (3, 0)
    assert codes(chain.append(chain.batch(wanted, chain.put("b")))) == ["transaction.duplicate", "ok"]


def test_before_that_version_it_was_used_up_and_such_chains_replay() -> None:
    chain = chain_by(HOME_ONLY - 1)
    wanted = chain.put("a")
    assert codes(chain.append(chain.batch(wanted, department="finance"))) == ["ok"]
    with pytest.raises(KehuError, match=r"block\.idle_batch"):
        chain.ledger.build("sales", chain.genesis.time_ms + 9_000, [chain.batch(wanted)])


def test_in_one_block_it_runs_in_the_senders_batch_wherever_the_other_stands() -> None:
    for foreign_first in (True, False):
        chain = chain_by(HOME_ONLY)
        wanted = chain.put("a")
        other = chain.transact(Call("notes.put", {"id": "b"}), sender="qian")
        batches = [chain.batch(wanted, other, department="finance"), chain.batch(wanted)]
        executed = chain.append(*(batches if foreign_first else reversed(batches)))
        found = chain.blocks.find(wanted.id)
        assert found is not None
        assert executed.receipts[found.index].is_ok
        assert {id_ for id_, _ in executed.executed} == {wanted.id, other.id}
        certificate = chain.blocks.certificate(2)
        taken_over = past_puts(executed.block, executed.receipt_bytes, certificate)
        assert taken_over == {key: chain.store.get(key) for key in taken_over}


def test_a_sender_who_moves_earlier_in_the_block_makes_no_batch_idle() -> None:
    chain = chain_by(HOME_ONLY)
    batches = [chain.batch(move(chain, "finance")), chain.batch(chain.put("a")), chain.batch(chain.put("b"))]
    assert codes(chain.append(*batches)) == ["ok", "transaction.elsewhere", "transaction.elsewhere"]


def test_the_next_block_can_be_asked_whose_batch_may_carry_a_transaction() -> None:
    chain = chain_by(HOME_ONLY)
    own, stranger = chain.put("a"), chain.transact(Call("notes.fail", {"id": "b"}), sender="stranger")
    is_elsewhere = chain.ledger.elsewhere()
    assert [is_elsewhere(own, name) for name in ("sales", "finance")] == [False, True]
    assert not is_elsewhere(stranger, "finance")
    assert not chain_by(HOME_ONLY - 1).ledger.elsewhere()(own, "finance")


def test_an_auditor_finds_nothing_in_a_chain_with_such_batches() -> None:
    chain = chain_by(HOME_ONLY)
    wanted = chain.put("a")
    chain.append(chain.batch(wanted, department="finance"), chain.batch(wanted))
    auditor = Auditor.at_genesis(chain.genesis.raw, Notes())
    for frame in ExportReader().feed(chain.export()):
        assert not isinstance(frame, ExportBlock) or auditor.step(frame).finding is None
    assert auditor.height == 2

"""A department that signs others' transactions into batches of its own gets nothing done by it, and stops nobody."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from chain.batch import Batch
from consensus.effects import ValidateProposal
from consensus.events import ProposalValidated
from node.intake.mempool import next_window
from node.intake.waiting import Waiting
from tests.node.intake.test_admission import Desk as FrontDesk
from tests.node.intake.test_batch_inbox import Desk
from tests.node.node_kit import Chain, admitted, batch_of, transact
from tests.node.vault_network import network


def taken_by_finance(*, beside: bool) -> tuple[Batch, Batch]:
    """The batch of "li", who belongs to sales, and finance's with the same transaction."""
    wanted = transact(expires=30)
    return batch_of(wanted), batch_of(wanted, *[transact(sender="qian")] * beside, department="finance")


async def test_a_batch_of_nothing_but_others_transactions_is_not_taken(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "administration")
    own, foreign = taken_by_finance(beside=False)
    for batch in (foreign, own):
        await desk.inbox._take(batch.raw)
    assert desk.mempool.oldest(9) == [own]


async def test_a_transaction_that_another_department_got_into_a_block_first_is_proposed_again(tmp_path: Path) -> None:
    made, desk = Chain(tmp_path / "made"), Desk(tmp_path / "desk", "sales")
    own, foreign = taken_by_finance(beside=True)
    await desk.inbox._take(own.raw)
    block = made.append(foreign).block
    answer = await desk.agreement.validate(ValidateProposal(1, 0, block.id, block.raw, is_prepared=False))
    assert isinstance(answer, ProposalValidated)
    assert answer.is_valid, answer.problem
    await desk.append(made, 1)
    assert desk.mempool.oldest(9) == [own]
    assert (await desk.build()).height == 2
    assert made.append(own).receipts[0].is_ok
    await desk.append(made, 2)
    assert not desk.mempool.has_batches


async def test_whoever_waits_is_told_of_the_execution_and_not_of_the_other(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    own, foreign = taken_by_finance(beside=True)
    waiting = Waiting(chain.blocks)
    waiting.block_appended(chain.append(foreign))
    wanted = own.transactions[0].id
    assert await waiting.wait(wanted, 0) is None
    waiting.block_appended(chain.append(own))
    committed = await waiting.wait(wanted, 0)
    assert committed is not None
    assert (committed.height, committed.receipt.code) == (2, "ok")


async def test_listeners_hear_of_the_block_that_executed_it_and_not_of_it_in_the_other(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    own, foreign = taken_by_finance(beside=True)
    waiting = Waiting(chain.blocks)
    events = waiting.subscribe()
    heard = asyncio.create_task(anext(events))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    waiting.block_appended(chain.append(foreign))
    waiting.block_appended(chain.append(own))
    (wanted,), (_, beside) = own.transactions, foreign.transactions
    assert [(await heard)["transactions"], (await anext(events))["transactions"]] == [
        [beside.id.hex()],
        [wanted.id.hex()],
    ]


async def test_a_node_does_not_let_in_what_only_another_department_can_have_executed(tmp_path: Path) -> None:
    desk = FrontDesk(tmp_path)
    assert await desk.refusal(transact(sender="qian")) == "transaction.elsewhere"
    assert desk.secured == []
    assert desk.mempool.transactions == 0
    (admission,) = await desk.submit(transact(sender="stranger"))
    assert admission.error is None


async def test_what_waits_of_somebody_who_does_not_belong_here_any_more_goes(tmp_path: Path) -> None:
    desk = FrontDesk(tmp_path)
    li, wang, queued = transact(expires=30), transact(sender="wang", expires=30), transact(expires=30)
    await desk.submit(li)
    desk.batcher.close()
    await desk.submit(wang)
    desk.batcher.close()
    admitted(desk.mempool, queued)
    now = next_window(desk.chain.ledger)
    desk.mempool.settle(replace(now, is_elsewhere=lambda one, department: (one.key, department) == (li.key, "sales")))
    assert [batch.transactions for batch in desk.mempool.oldest(9)] == [(wang,)]
    assert desk.mempool.transactions == 1
    assert desk.mempool.take_queued(9) == []


async def test_values_of_a_transaction_that_stood_elsewhere_first_are_kept_when_it_runs(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        await net.nodes["sales"].exchange.safeguard(transaction, values)
        (refused,) = await net.append([transaction], via="finance")
        assert refused.code == "transaction.elsewhere"
        assert net.nodes["sales"].staged()
        (receipt,) = await net.append([transaction], via="sales")
        assert receipt.is_ok
        await net.holds("sales", "name", "phone", "position")

"""Batches that come while something else happens: other senders' batches, a change of the membership."""

from __future__ import annotations

import asyncio
from pathlib import Path

from chain.batch import BATCH_TRANSACTIONS_MAX, sign_batch
from chain.blocks import ExecutedBlock
from chain.state import View
from chain.transaction import Call
from consensus.effects import BuildProposal, ValidateProposal
from consensus.events import ProposalBuilt, ProposalValidated
from contracts.deciding.subjects import POSSESSION_PURPOSE, possession_payload
from contracts.departments.changes import effect_of
from node.intake.inbox import UNREAD_PER_PEER_MAX, BatchInbox
from node.intake.mempool import Mempool
from node.intake.verification import BatchVerifier
from node.replica.agreement import Agreement
from tests.node.cluster import eventually
from tests.node.intake.test_batcher import forged_transaction, reading
from tests.node.node_kit import CHAIN, GENESIS, Chain, batch_of, certify, key_of, node_key, transact
from tests.node.replica.test_agreement import Silent

PEOPLE = {"boss": "administration", "li": "sales", "qian": "finance", "wu": "after_sales"}
NEW_KEY = "finance 2"


class Desk:
    """What a node has between gossip and agreement, on a chain of its own."""

    def __init__(self, folder: Path, department: str) -> None:
        self.department, self.chain = department, Chain(folder)
        self.mempool, verifier = Mempool(department, 9_999, 9_999), BatchVerifier(CHAIN)
        self.agreement = Agreement(
            department, self.chain.ledger, self.chain.blocks, self.mempool, verifier, Silent(),
            lambda: GENESIS.time_ms + 3_000,
        )  # fmt: skip
        self.inbox = BatchInbox(self.mempool, verifier, self.chain.ledger, lambda: None)

    async def append(self, made: Chain, height: int) -> None:
        block = made.blocks.block(height)
        await self.agreement.append_certified(block, certify(block))

    async def build(self) -> ProposalBuilt:
        head = self.chain.ledger.head
        built = await self.agreement.build(BuildProposal(head.height + 1, 0, head.block_id))
        assert isinstance(built, ProposalBuilt)
        return built


def rotate(chain: Chain) -> int:
    """Accepts a new key of finance and goes on to the block before it counts; the height from which it does."""
    key = key_of(NEW_KEY)
    possession = key.sign(POSSESSION_PURPOSE, CHAIN, possession_payload("finance", key.public.hex()))
    change = {"kind": "rotate", "department": "finance", "key": key.public.hex(), "possession": possession}
    effect = effect_of(View(chain.ledger.state.get), change)
    said(chain, "boss", Call("governance.propose", {"proposal": "p1", "change": change, "effect": effect}))
    for name in ("boss", "li", "wu"):
        said(chain, name, Call("governance.approve", {"proposal": "p1", "effect": effect}))
    activation: int = View(chain.ledger.state.get).get("proposals", "p1")["activation_height"]
    while chain.ledger.height < activation - 1:
        chain.append(batch_of(transact(expires=chain.ledger.height + 9)))
    return activation


def said(chain: Chain, person: str, call: Call) -> ExecutedBlock:
    return chain.append(batch_of(transact(call, sender=person), department=PEOPLE[person]))


async def test_a_batch_that_was_verified_while_the_key_under_it_ended_is_not_proposed(tmp_path: Path) -> None:
    made = Chain(tmp_path / "made")
    activation = rotate(made)
    desks = [Desk(tmp_path / name, name) for name in ("administration", "after_sales", "sales")]
    former = [transact(sender="qian", expires=activation + 20) for _ in range(BATCH_TRANSACTIONS_MAX)]
    batch = sign_batch(node_key("finance"), CHAIN, "finance", former)
    for desk in desks:
        for height in range(1, activation - 1):
            await desk.append(made, height)
        taking = asyncio.create_task(desk.inbox._take(batch.raw))
        await asyncio.sleep(0)  # a thread verifies it now
        await desk.append(made, activation - 1)
        await taking
        assert desk.chain.ledger.validators(activation).key_of("finance") == key_of(NEW_KEY).public
        await desk.inbox._take(batch_of(transact(expires=activation + 20)).raw)

    built = await desks[0].build()
    for backup in desks[1:]:
        asked = ValidateProposal(built.height, 0, built.block_id, built.body, is_prepared=False)
        answer = await backup.agreement.validate(asked)
        assert isinstance(answer, ProposalValidated)
        assert answer.is_valid, answer.problem
    assert not any(desk.mempool.holds(batch.id) for desk in desks)


async def test_batches_that_take_long_to_refuse_hold_up_nobody_but_their_own_sender(tmp_path: Path) -> None:
    good, bad = batch_of(department="after_sales"), forged_transaction()
    taken: list[bytes] = []
    async with reading(tmp_path) as desk:
        take = desk.inbox._take

        async def noted(raw: bytes) -> None:
            taken.append(raw)
            await take(raw)

        desk.inbox._take = noted  # type: ignore[method-assign]
        for _ in range(UNREAD_PER_PEER_MAX):
            desk.inbox.receive("finance", bad)
        desk.inbox.receive("after_sales", good.raw)
        await eventually(lambda: desk.mempool.holds(good.id))
    assert taken.index(good.raw) <= 1

"""The replica's hands on the chain: a real ledger, real contracts and a real LevelDB; proposals of every bad kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from chain import codec
from chain.batch import sign_batch
from chain.block import Block, Header, batches_root
from chain.blocks import ExecutedBlock
from chain.certificate import Certificate
from chain.crypto import digest
from chain.errors import InvariantError, KehuError
from consensus.effects import Accuse, BuildProposal, Decide, ValidateProposal
from consensus.events import NothingToPropose, ProposalBuilt, ProposalValidated
from node.intake.mempool import Mempool
from node.intake.verification import BatchVerifier
from node.replica.agreement import Agreement
from tests.node.node_kit import (
    CHAIN,
    DEPARTMENTS,
    EXPIRY_HEIGHTS_MAX,
    GENESIS,
    Chain,
    batch_of,
    certify,
    key_of,
    node_key,
    transact,
)


class Silent:
    def send(self, department: str, message: bytes) -> None: ...
    def broadcast(self, message: bytes) -> None: ...


class Bench:
    """An agreement over a fresh chain, and a second chain on which others make blocks."""

    def __init__(self, folder: Path) -> None:
        self.chain, self.other = Chain(folder / "own"), Chain(folder / "other")
        self.mempool = Mempool("sales", 1_000, 1_000)
        self.now_ms = GENESIS.time_ms + 3_000
        self.heard: list[int] = []
        self.agreement = Agreement(
            "sales", self.chain.ledger, self.chain.blocks, self.mempool, BatchVerifier(CHAIN), Silent(),
            lambda: self.now_ms,
        )  # fmt: skip
        self.agreement.listeners.append(self.hear)

    async def hear(self, executed: ExecutedBlock) -> None:
        assert self.chain.ledger.height == executed.block.header.height
        self.heard.append(executed.block.header.height)

    async def build(self, view: int = 0) -> ProposalBuilt | NothingToPropose:
        ledger = self.chain.ledger
        return await self.agreement.build(BuildProposal(ledger.height + 1, view, ledger.head.block_id))

    async def validate(self, body: bytes, block_id: bytes, *, is_prepared: bool = False) -> ProposalValidated:
        return await self.agreement.validate(
            ValidateProposal(self.chain.ledger.height + 1, 0, block_id, body, is_prepared)
        )

    async def decide(self, block: Block) -> None:
        event = await self.agreement.decide(Decide(block.header.height, block.id, block.raw, certify(block)))
        assert event.height == self.chain.ledger.height
        assert event.block_id == self.chain.ledger.head.block_id


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.chain.store.close()
    bench.other.store.close()


async def test_a_built_block_is_decided_stored_and_told_to_the_listeners(bench: Bench) -> None:
    bench.mempool.add(batch_of())
    built = await bench.build()
    assert isinstance(built, ProposalBuilt)
    await bench.decide(Block.from_bytes(built.body))
    assert bench.chain.blocks.head() == (1, built.block_id)
    assert bench.heard == [1]
    assert not bench.mempool.has_batches
    assert not bench.agreement.has_work()


async def test_with_an_empty_mempool_there_is_nothing_to_propose(bench: Bench) -> None:
    assert await bench.build() == NothingToPropose(1, 0)


async def test_a_batch_whose_transactions_were_executed_is_not_proposed_again(bench: Bench) -> None:
    batch = batch_of()
    bench.mempool.add(batch)
    built = await bench.build()
    assert isinstance(built, ProposalBuilt)
    await bench.decide(Block.from_bytes(built.body))
    bench.mempool.add(batch)
    assert await bench.build() == NothingToPropose(2, 0)


async def test_a_question_for_another_height_or_parent_builds_nothing(bench: Bench) -> None:
    bench.mempool.add(batch_of())
    head = bench.chain.ledger.head.block_id
    for height, parent in ((0, head), (2, head), (1, digest("block", b"other"))):
        assert await bench.agreement.build(BuildProposal(height, 3, parent)) == NothingToPropose(height, 3)


async def test_a_good_proposal_of_another_is_valid_and_decided_without_executing_again(bench: Bench) -> None:
    block = bench.other.build().block
    assert (await bench.validate(block.raw, block.id)).is_valid
    bench.chain.ledger.check = None  # type: ignore[assignment]  # whoever executes again fails
    await bench.decide(block)
    assert bench.chain.ledger.height == 1


async def test_a_decided_block_that_was_never_validated_is_executed_then(bench: Bench) -> None:
    block = bench.other.build().block
    await bench.decide(block)
    assert bench.chain.ledger.state.root == block.header.state_root


async def test_a_fetched_block_that_was_validated_as_a_proposal_is_not_executed_again(bench: Bench) -> None:
    block = bench.other.build().block
    assert (await bench.validate(block.raw, block.id)).is_valid
    bench.chain.ledger.check = None  # type: ignore[assignment]  # whoever executes again fails
    hollow = Block.of(block.header, block.parent_certificate, [])
    with pytest.raises(KehuError, match="batches_root"):
        await bench.agreement.append_certified(hollow, certify(block))
    assert await bench.agreement.append_certified(block, certify(block)) is not None
    assert bench.chain.blocks.block_bytes(1) == block.raw


@pytest.mark.parametrize("is_fetched", [True, False])
async def test_only_a_block_that_was_not_fetched_overtakes_what_waits_here(bench: Bench, is_fetched: bool) -> None:
    """Who comes back gets today's work at once and yesterday's blocks after it: no primary passed anything over."""
    bench.mempool.add(batch_of(transact(sender="wang")))
    for _ in range(6):
        block = bench.other.append(batch_of(transact(sender="li"))).block
        if is_fetched:
            await bench.agreement.append_certified(block, certify(block))
        else:
            await bench.decide(block)
    assert bench.agreement.appended().overtaken == (0 if is_fetched else 4)


async def test_a_block_that_catch_up_has_appended_is_not_applied_twice(bench: Bench) -> None:
    block = bench.other.append().block
    assert (await bench.validate(block.raw, block.id)).is_valid
    assert await bench.agreement.append_certified(block, certify(block)) is not None
    root = bench.chain.ledger.state.root
    await bench.decide(block)
    assert await bench.agreement.append_certified(block, certify(block)) is None
    assert (bench.chain.ledger.height, bench.chain.ledger.state.root) == (1, root)
    assert bench.heard == [1]
    following = bench.other.append().block
    await bench.decide(following)
    await bench.decide(block)  # late, of a lower height
    assert bench.heard == [1, 2]


async def test_another_block_than_the_stored_one_decided_at_its_height_stops_the_node(bench: Bench) -> None:
    twin = bench.chain.build(batch_of(transact(sender="wang"))).block
    await bench.decide(bench.other.append().block)
    with pytest.raises(InvariantError, match="height 1"):
        await bench.agreement.decide(Decide(1, twin.id, twin.raw, certify(twin)))


async def test_a_certificate_of_another_block_never_reaches_the_store(bench: Bench) -> None:
    block, twin = bench.other.build().block, bench.other.build(batch_of(transact(sender="wang"))).block
    with pytest.raises(KehuError):
        await bench.agreement.decide(Decide(1, block.id, block.raw, certify(twin)))
    assert bench.chain.blocks.head() == (0, bench.chain.ledger.head.block_id)


def altered(block: Block, **changes: object) -> Block:
    """The block under another header."""
    return Block.of(replace(block.header, **changes), block.parent_certificate, block.batches)  # type: ignore[arg-type]


@dataclass
class Bad:
    """A proposal that must be refused with `code`: `make(bench, a good block)` gives body bytes and block id."""

    code: str
    make: Callable[[Bench, Block], tuple[bytes, bytes]]


def whole(make: Callable[[Bench, Block], Block]) -> Callable[[Bench, Block], tuple[bytes, bytes]]:
    def both(bench: Bench, good: Block) -> tuple[bytes, bytes]:
        block = make(bench, good)
        return block.raw, block.id

    return both


def with_batch(bench: Bench, batch: object) -> Block:
    """A block whose header commits to the batch as an honest primary would have computed it."""
    return bench.other.ledger.build("administration", bench.now_ms, [batch]).block  # type: ignore[list-item]


def forged_sender(bench: Bench, good: Block) -> Block:
    """A transaction under a wrong signature, in a batch that a department signed."""
    transaction = transact()
    raw = codec.encode_flat([transaction.body, bytes(64)])
    unsigned = msgspec.structs.replace(transaction, raw=raw)
    return with_batch(bench, sign_batch(node_key("sales"), CHAIN, "sales", [unsigned]))


def idle(bench: Bench, good: Block) -> Block:
    """The parent's only batch once more, with a header that says it changed nothing."""
    (batch,) = bench.other.blocks.block(bench.other.ledger.height).batches
    return Block.of(replace(good.header, batches_root=batches_root([batch])), good.parent_certificate, [batch])


OTHER = digest("block", b"something else")
BAD = {
    "no bytes": Bad("codec.malformed", lambda _, good: (b"", good.id)),
    "garbage": Bad("codec.malformed", lambda _, good: (b"\xff" * 500, good.id)),
    "cut short": Bad("codec.malformed", lambda _, good: (good.raw[:-1], good.id)),
    "too long": Bad("codec.malformed", lambda _, good: (good.raw + b"\x00", good.id)),
    "not a block": Bad("codec.shape", lambda _, good: (codec.encode_flat([1, 2]), good.id)),
    "too large": Bad("codec.too_large", lambda _, good: (bytes((1 << 22) + 1), good.id)),
    "another body": Bad("proposal.other_body", lambda bench, good: (bench.other.build().block.raw, OTHER)),
    "another chain": Bad("block.mismatch", whole(lambda _, good: altered(good, chain_id=OTHER))),
    "a lower height": Bad("block.mismatch", whole(lambda bench, _: bench.other.blocks.block(1))),
    "a higher height": Bad("block.mismatch", whole(lambda _, good: altered(good, height=good.header.height + 1))),
    "another parent": Bad("block.mismatch", whole(lambda _, good: altered(good, parent_id=OTHER))),
    "another state": Bad("block.mismatch", whole(lambda _, good: altered(good, state_root=OTHER))),
    "other receipts": Bad("block.mismatch", whole(lambda _, good: altered(good, receipts_root=OTHER))),
    "other batches": Bad("block.mismatch", whole(lambda _, good: altered(good, batches_root=OTHER))),
    "other validators": Bad("block.mismatch", whole(lambda _, good: altered(good, validators_digest=OTHER))),
    "an unknown primary": Bad("block.mismatch", whole(lambda _, good: altered(good, primary="nobody"))),
    "no parent certificate": Bad(
        "block.mismatch", whole(lambda _, good: Block.of(good.header, None, good.batches))
    ),
    "another certificate digest": Bad(
        "block.mismatch", whole(lambda _, good: altered(good, parent_certificate_digest=OTHER))
    ),
    "a time before its parent's": Bad("block.time", whole(lambda _, good: altered(good, time_ms=1))),
    "a time far ahead": Bad(
        "block.time",
        whole(lambda bench, good: altered(good, time_ms=bench.now_ms + GENESIS.clock_skew_ms_max + 1)),
    ),
    "an idle batch": Bad("block.idle_batch", whole(idle)),
    "a forged batch": Bad(
        "signature.invalid",
        whole(lambda bench, _: with_batch(bench, sign_batch(key_of("thief"), CHAIN, "sales", [transact()]))),
    ),
    "a stranger's batch": Bad(
        "batch.unknown_department",
        whole(lambda bench, _: with_batch(bench, sign_batch(key_of("x"), CHAIN, "nobody", [transact()]))),
    ),
    "a forged transaction": Bad("signature.invalid", whole(forged_sender)),
    "a transaction of another chain": Bad(
        "transaction.wrong_chain", whole(lambda bench, _: with_batch(bench, batch_of(transact(chain=OTHER))))
    ),
    "an expired transaction only": Bad(
        "block.idle_batch",
        whole(
            lambda bench, good: Block.of(
                replace(good.header, batches_root=batches_root([EXPIRED])), good.parent_certificate, [EXPIRED]
            )
        ),
    ),
}  # fmt: skip
EXPIRED = batch_of(transact(expires=0))


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_proposal_is_refused_with_its_code_and_never_raises(bench: Bench, kind: str) -> None:
    parent = bench.other.append().block
    await bench.decide(parent)
    good = bench.other.build().block
    body, block_id = BAD[kind].make(bench, good)
    outcome = await bench.validate(body, block_id)
    assert (outcome.is_valid, outcome.problem) == (False, BAD[kind].code)
    assert bench.chain.ledger.height == 1
    assert (await bench.validate(good.raw, good.id)).is_valid


async def test_a_parent_certificate_by_too_few_is_refused(bench: Bench) -> None:
    executed = bench.other.build()
    await bench.decide(executed.block)
    weak = certify(executed.block, members=DEPARTMENTS[:2])
    bench.other.blocks.append(executed, weak)
    bench.other.ledger.advance(executed, weak)
    block = bench.other.build().block
    outcome = await bench.validate(block.raw, block.id)
    assert (outcome.is_valid, outcome.problem) == (False, "certificate.no_quorum")


async def test_a_prepared_block_is_not_refused_for_its_age_or_the_clock(bench: Bench) -> None:
    block = bench.other.build().block
    bench.now_ms = block.header.time_ms - GENESIS.clock_skew_ms_max - 1
    assert (await bench.validate(block.raw, block.id)).problem == "block.time"
    assert (await bench.validate(block.raw, block.id, is_prepared=True)).is_valid


async def test_what_a_peer_sends_is_appended_only_with_a_right_certificate(bench: Bench) -> None:
    block = bench.other.build().block
    twin = bench.other.build(batch_of(transact(sender="wang"))).block
    wrong: list[Certificate] = [
        certify(twin),
        certify(block, members=DEPARTMENTS[:2]),
        certify(block, epoch=1),
        replace(certify(block), phase="prepare"),
        replace(certify(block), view=7),
    ]
    for certificate in wrong:
        with pytest.raises(KehuError):
            await bench.agreement.append_certified(block, certificate)
    hollow = Block.of(block.header, block.parent_certificate, [])
    with pytest.raises(KehuError, match="batches_root"):
        await bench.agreement.append_certified(hollow, certify(block))
    assert bench.chain.blocks.head() == (0, bench.chain.ledger.head.block_id)
    assert await bench.agreement.append_certified(block, certify(block)) is not None


async def test_a_certified_block_that_gives_another_root_here_stops_the_node(bench: Bench) -> None:
    lie = altered(bench.other.build().block, state_root=OTHER)
    with pytest.raises(InvariantError, match="certified block 1"):
        await bench.agreement.append_certified(lie, certify(lie))
    assert bench.chain.blocks.head() == (0, bench.chain.ledger.head.block_id)


async def test_a_restart_finds_what_was_appended(bench: Bench, tmp_path: Path) -> None:
    for _ in range(3):
        await bench.decide(bench.other.append().block)
    root = bench.chain.ledger.state.root
    bench.chain.store.close()
    again = Chain(tmp_path / "own")
    assert (again.ledger.height, again.ledger.state.root) == (3, root)
    bench.chain = again


async def test_the_time_of_a_block_never_goes_back(bench: Bench) -> None:
    parent = bench.other.append().block
    await bench.decide(parent)
    bench.now_ms = 0
    bench.mempool.add(batch_of())
    built = await bench.build()
    assert isinstance(built, ProposalBuilt)
    header: Header = Block.from_bytes(built.body).header
    assert header.time_ms == parent.header.time_ms


async def test_a_batch_that_expires_at_the_last_moment_is_still_proposed(bench: Bench) -> None:
    bench.mempool.add(batch_of(transact(expires=1), transact(expires=1 + EXPIRY_HEIGHTS_MAX)))
    assert isinstance(await bench.build(), ProposalBuilt)


async def test_building_while_a_block_is_being_appended_leaves_nothing_stale(bench: Bench) -> None:
    block = bench.other.append().block
    bench.mempool.add(batch_of(transact(sender="wang")))
    built, _ = await asyncio.gather(bench.build(), bench.decide(block))
    assert not isinstance(built, ProposalBuilt) or built.height == 1
    following = await bench.build()
    assert isinstance(following, ProposalBuilt)
    assert following.height == 2
    await bench.decide(Block.from_bytes(following.body))


async def test_another_body_under_the_id_of_a_block_that_is_known_as_good_is_refused(bench: Bench) -> None:
    good = bench.other.build().block
    assert (await bench.validate(good.raw, good.id)).is_valid
    hollow = Block.of(good.header, good.parent_certificate, [])
    assert (await bench.validate(hollow.raw, good.id)).problem == "block.mismatch"


async def test_a_department_that_offends_all_the_time_hides_nobody_else(bench: Bench) -> None:
    for height in range(1, 2_001):
        bench.agreement.accuse(Accuse("finance", "message.malformed", f"height {height}"))
    bench.agreement.accuse(Accuse("sales", "vote.equivocation", "height 7"))
    expected = {("finance", "message.malformed"): 2_000, ("sales", "vote.equivocation"): 1}
    assert bench.agreement.accusations == expected

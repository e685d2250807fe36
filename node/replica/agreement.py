"""The replica's hands on the chain: builds, validates and appends blocks.

The one place of a node where the ledger moves. Building and checking execute over the state and keep the result
by block id, so a block that is decided is appended without executing it again. Appending is: store in one durable
step, advance the ledger, clear the mempool, tell whoever listens.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from chain.block import BLOCK_BYTES_MAX, BLOCK_MISMATCH, Block, batches_root, certificate_digest
from chain.blocks import BlockStore, ExecutedBlock
from chain.certificate import Certificate
from chain.errors import InvariantError, KehuError, define
from chain.ledger import Ledger
from consensus.effects import (
    Accuse,
    BuildProposal,
    Decide,
    FetchBlocks,
    ObserverChanged,
    ValidateProposal,
    ViewEntered,
)
from consensus.events import Appended, NothingToPropose, ProposalBuilt, ProposalValidated
from contracts.work import WORK_MAX, work_of
from node.aside import Blocking
from node.intake.mempool import Mempool, next_window
from node.intake.verification import BatchVerifier
from node.members.protocol import require_spoken
from node.replica.catch_up import CatchUp
from node.storage.durable import StorageFailure
from node.storage.wal import require_voted

_BLOCK_ROOM: Final = 1 << 17
"""What header, certificate and framing may take of a block."""
EXECUTED_KEPT_MAX: Final = 8

PROPOSAL_OTHER_BODY = define(
    "proposal.other_body",
    "a proposal's content is not that of the block whose id its primary signed",
    "don't accept it; the primary is faulty, or the content was altered on its way",
)

PROPOSAL_TOO_MUCH = define(
    "proposal.too_much",
    "a proposal's transactions are more work than a block may be, and might take longer than a view lasts",
    "don't accept it; the primary is faulty, or of a version that did not know this bound yet",
)

log = logging.getLogger("kehu.agreement")


class Network(Protocol):
    def send(self, department: str, message: bytes) -> None: ...
    def broadcast(self, message: bytes) -> None: ...


class Agreement:
    """`clock_ms` is wall time in UTC ms. `listeners` hear of every appended block, in order, on the event loop; a slow
    one holds up the chain, which is better than a backlog without end. They must not wait for a later block."""

    def __init__(
        self,
        department: str,
        ledger: Ledger,
        blocks: BlockStore,
        mempool: Mempool,
        verifier: BatchVerifier,
        network: Network,
        clock_ms: Callable[[], int],
        blocking: Blocking = asyncio.to_thread,
    ) -> None:
        self._department = department
        self._ledger = ledger
        self._blocks = blocks
        self._mempool = mempool
        self._verifier = verifier
        self._network = network
        self._clock_ms = clock_ms
        self._blocking = blocking
        self._executed: dict[bytes, ExecutedBlock] = {}
        self.catch_up: CatchUp | None = None
        self.voted_height: Callable[[], int | None] = _unknown
        """The highest that the vote log knows of; None where there is nothing to compare."""
        self.listeners: list[Callable[[ExecutedBlock], Awaitable[None]]] = []
        self.accusations: Counter[tuple[str, str]] = Counter()
        """How often each department was accused of each offence."""
        self.on_accuse: Callable[[Accuse], None] = lambda _accusation: None
        self.view: ViewEntered | None = None
        self.observer: ObserverChanged | None = None

    @property
    def is_observer(self) -> bool:
        """Whether this node does not vote, because its vote log is missing."""
        return self.observer is not None and self.observer.is_observer

    def send(self, department: str, message: bytes) -> None:
        self._network.send(department, message)

    def broadcast(self, message: bytes) -> None:
        self._network.broadcast(message)

    async def build(self, effect: BuildProposal) -> ProposalBuilt | NothingToPropose:
        ledger = self._ledger
        if effect.height != ledger.height + 1 or effect.parent_id != ledger.head.block_id:
            return NothingToPropose(effect.height, effect.view)
        batches = self._mempool.candidates(next_window(ledger), BLOCK_BYTES_MAX - _BLOCK_ROOM)
        if not batches:
            return NothingToPropose(effect.height, effect.view)
        executed = ledger.build(self._department, self._clock_ms(), batches)
        self._keep(executed)
        return ProposalBuilt(effect.height, effect.view, executed.block.id, executed.block.raw)

    async def validate(self, effect: ValidateProposal) -> ProposalValidated:
        problem = ""
        try:
            await self._check(effect)
        except KehuError as error:
            problem = error.code
            log.warning("proposal for height %d in view %d refused: %s", effect.height, effect.view, error)
        return ProposalValidated(effect.height, effect.view, effect.block_id, not problem, problem)

    async def _check(self, effect: ValidateProposal) -> None:
        known = self._executed.get(effect.block_id)
        if known is not None and known.block.raw == effect.body:
            return
        block = Block.from_bytes(effect.body, self._mempool.read_batch)
        if block.id != effect.block_id:  # the primary's signature covers the id alone
            raise KehuError(PROPOSAL_OTHER_BODY, height=effect.height, expected=effect.block_id, actual=block.id)
        protocol = self._ledger.protocol(self._ledger.height + 1)
        work = sum(work_of(batch.transactions, protocol) for batch in block.batches)
        if work > WORK_MAX and not effect.is_prepared:
            raise KehuError(PROPOSAL_TOO_MUCH, height=effect.height, work=work, limit=WORK_MAX)
        now_ms = None if effect.is_prepared else self._clock_ms()
        self._keep(await self._execute(block, now_ms))

    async def _execute(self, block: Block, now_ms: int | None) -> ExecutedBlock:
        validators = self._ledger.validators(self._ledger.height + 1)
        for batch in block.batches:
            await self._verifier.verify_aside(batch, validators)
        return self._ledger.check(block, self._verifier.verify, now_ms)

    def _keep(self, executed: ExecutedBlock) -> None:
        self._executed[executed.block.id] = executed
        while len(self._executed) > EXECUTED_KEPT_MAX:
            del self._executed[next(iter(self._executed))]

    async def decide(self, effect: Decide) -> Appended:
        if effect.height <= self._ledger.height:
            if self._blocks.block(effect.height).id != effect.block_id:
                raise InvariantError(f"another block than the decided one stands at height {effect.height}")
            return self.appended()
        executed = self._executed.get(effect.block_id)
        if executed is None:
            executed = await self._execute_final(Block.from_bytes(effect.body, self._mempool.read_batch))
        return await self._append(executed, effect.certificate)

    async def append_certified(self, block: Block, certificate: Certificate) -> Appended | None:
        """A block that a peer sent: checked as if this node were to vote on it, then appended.

        Raises KehuError when certificate or block don't check; None when the block is not the next one. A certificate
        with a vote of this node that its log does not know ends the node (`votelog.old`): it was put back from a copy.
        """
        height = block.header.height
        if height != self._ledger.height + 1:
            return None
        certificate.require("commit", height, block.id)
        certificate.verify(self._ledger.validators(height), self._ledger.genesis.chain_id)
        voted = self.voted_height()
        if voted is not None:
            require_voted(self._department, certificate, voted)
        _require_whole(block)
        executed = self._executed.get(block.id)  # as a proposal whose votes have not come
        return await self._append(executed or await self._execute_final(block), certificate, is_fetched=True)

    async def _execute_final(self, block: Block) -> ExecutedBlock:
        """Executes what a quorum has certified: if it doesn't check here, this node is the one that differs."""
        try:
            return await self._execute(block, None)
        except StorageFailure:
            raise
        except KehuError as error:
            raise InvariantError(f"a quorum certified block {block.header.height}, here it fails: {error}") from error

    async def _append(self, executed: ExecutedBlock, certificate: Certificate, *, is_fetched: bool = False) -> Appended:
        certificate.require("commit", executed.block.header.height, executed.block.id)
        await self._blocking(self._blocks.append, executed, certificate)
        self._ledger.advance(executed, certificate)
        following = self._ledger.validators(self._ledger.height + 1)
        if following.digest != executed.block.header.validators_digest:
            self._mempool.keep_only(lambda batch: self._verifier.is_good(batch, following))
        self._executed.clear()
        # What waits here may have come when a fetched block had long been decided: that one passed over nothing.
        included = [] if is_fetched else [batch.id for batch in executed.block.batches]
        self._mempool.settle(next_window(self._ledger), included)
        for listener in self.listeners:
            await listener(executed)
        require_spoken(self._ledger)
        return self.appended()

    def appended(self) -> Appended:
        """What the replica is to know about the head."""
        ledger, certificate = self._ledger, self._ledger.head.certificate
        if certificate is None:
            raise InvariantError("the genesis block is never decided")
        validators = ledger.validators(ledger.height + 1)
        mempool = self._mempool
        return Appended(
            ledger.height, ledger.head.block_id, certificate, validators, mempool.has_batches, mempool.overtaken
        )

    def has_work(self) -> bool:
        return self._mempool.has_batches

    def fetch_blocks(self, effect: FetchBlocks) -> None:
        if self.catch_up is not None:
            self.catch_up.start(effect.to_height, effect.departments)

    def accuse(self, effect: Accuse) -> None:
        log.warning("%s accused of %s: %s", effect.department, effect.offence, effect.detail)
        self.accusations[effect.department, effect.offence] += 1
        self.on_accuse(effect)

    def note(self, effect: ViewEntered | ObserverChanged) -> None:
        if isinstance(effect, ViewEntered):
            self.view = effect
            log.info("height %d view %d primary %s active %s", effect.height, effect.view, effect.primary,
                     effect.is_active)  # fmt: skip
        else:
            self.observer = effect
            log.info("observer %s, votes from height %d", effect.is_observer, effect.votes_from_height)


def _unknown() -> int | None:
    return None


def _require_whole(block: Block) -> None:
    """Raises unless certificate and batches are those that the header commits to."""
    header, actual = block.header, batches_root(block.batches)
    if actual != header.batches_root:
        raise KehuError(
            BLOCK_MISMATCH, field="batches_root", height=header.height, expected=header.batches_root, actual=actual
        )
    expected, actual = header.parent_certificate_digest, certificate_digest(block.parent_certificate)
    if actual != expected:
        raise KehuError(
            BLOCK_MISMATCH, field="parent_certificate_digest", height=header.height, expected=expected, actual=actual
        )

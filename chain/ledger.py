"""The tip of the chain and the one way to move it: build or check a block, then append it.

The primary builds, the backups check, catch-up and the auditor check too: all of them execute through here.
`check` recomputes every root and compares each before anything is kept; an error names what differed and both
values. After `advance`, height, head, state and root belong together; they are taken from one object.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chain import merkle, protocol, trie
from chain.batch import Batch
from chain.block import BLOCK_MISMATCH, Block, Header, batches_root, certificate_digest
from chain.blocks import BlockStore, ExecutedBlock
from chain.certificate import Certificate
from chain.crypto import ZERO_DIGEST
from chain.errors import InvariantError, KehuError, define
from chain.execution import BlockFacts, Contracts, Execution, execute, is_elsewhere
from chain.genesis import Genesis
from chain.recent import RecentTransactions
from chain.state import State, View, decode_shared, state_key
from chain.store import Store
from chain.stored_state import STORAGE_STATE, Scratch
from chain.transaction import Transaction
from chain.validators import ValidatorSet, last_scheduled, scheduled_at

BLOCK_TIME = define(
    "block.time",
    "a block's time is before its parent's or too far ahead of this node's clock",
    "check the clocks of the primary's machine and of this one",
)
BLOCK_IDLE_BATCH = define(
    "block.idle_batch",
    "a block carries a batch in which every transaction is expired or was executed before",
    "don't accept the block; its primary should have left the batch out",
)
VerifyBatch = Callable[[Batch, ValidatorSet], None]
"""Raises unless the batch's signatures are good; a node remembers those it has verified."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest appended block; `certificate` is its commit certificate (None for genesis)."""

    block_id: bytes
    header: Header
    certificate: Certificate | None

    @property
    def height(self) -> int:
        return self.header.height


class Ledger:
    def __init__(self, genesis: Genesis, contracts: Contracts, state: State, recent: RecentTransactions, head: Head):
        self.genesis = genesis
        self.contracts = contracts
        self.state = state
        self.recent = recent
        self.head = head

    @property
    def height(self) -> int:
        return self.head.height

    @classmethod
    def at_genesis(cls, genesis: Genesis, contracts: Contracts) -> tuple[Ledger, ExecutedBlock]:
        """A ledger whose head is the genesis block (height 0), and that block to store. Errors: protocol.too_new."""
        protocol.require_supported(genesis.protocol, 0)
        view = View(lambda _key: None)
        schedule = {"sets": [[0, genesis.validators.to_value()]]}
        view.put("validators", "schedule", schedule)
        if genesis.protocol > protocol.FIRST:
            view.put(protocol.TABLE, protocol.SCHEDULE, protocol.schedule_of(genesis.protocol))
        contracts.write_genesis(view, genesis)
        state = State()
        after = state.preview(view.writes)
        header = Header(
            version=genesis.protocol,
            chain_id=genesis.chain_id,
            height=0,
            parent_id=ZERO_DIGEST,
            time_ms=genesis.time_ms,
            primary="",
            batches_root=merkle.root([]),
            receipts_root=merkle.root([]),
            state_root=trie.digest_of(after),
            validators_digest=genesis.validators.digest,
            parent_certificate_digest=ZERO_DIGEST,
        )
        block = Block.of(header, None, [])
        state.apply(view.writes, after)
        ledger = cls(
            genesis,
            contracts,
            state,
            RecentTransactions(),
            Head(block.id, header, None),
        )
        return ledger, ExecutedBlock(block, [], [], view.writes, after, [])

    @classmethod
    def open(
        cls, genesis: Genesis, contracts: Contracts, store: Store, scratch: Scratch | None = None
    ) -> tuple[Ledger, BlockStore]:
        """The ledger as it lies in `store`, or a new one; refuses a store whose state doesn't fit its head."""
        blocks = BlockStore(store)
        if blocks.head() is None:
            blocks.write_genesis(genesis.raw, cls.at_genesis(genesis, contracts)[1])
        blocks.require_genesis(genesis.raw)
        height, block_id = blocks.require_head()
        header = blocks.block(height).header
        state = blocks.load_state(scratch)
        if state.root != header.state_root or header.id != block_id:
            raise KehuError(STORAGE_STATE, height=height, expected=header.state_root, actual=state.root)
        recent = RecentTransactions()
        for past in range(max(1, height - genesis.expiry_heights_max), height + 1):
            recent.add(height, blocks.executed_ids(past))
        return cls(genesis, contracts, state, recent, Head(block_id, header, blocks.certificate(height))), blocks

    def validators(self, height: int) -> ValidatorSet:
        """Who decides block `height`; known up to the next height and, once scheduled, beyond."""
        return scheduled_at(self._schedule(), height)

    def newest_validators(self) -> tuple[int, ValidatorSet]:
        """The last set of the schedule and the height that it decides first, which may lie ahead."""
        return last_scheduled(self._schedule())

    def _schedule(self) -> dict[str, Any]:
        raw = self.state.get(state_key("validators", "schedule"))
        if raw is None:
            raise InvariantError("the state has no validator schedule")
        return decode_shared(raw)

    def protocol(self, height: int) -> int:
        """The version of the rules at `height`, known as the validators are. Errors: none, even if this software does
        not speak it."""
        return protocol.version_at(self.protocol_schedule(), height)

    def protocol_schedule(self) -> dict[str, Any] | None:
        """The value of `protocol/schedule`."""
        raw = self.state.get(state_key(protocol.TABLE, protocol.SCHEDULE))
        return None if raw is None else decode_shared(raw)

    def require_supported(self) -> None:
        """Raises unless this software speaks the version of the next height. Errors: protocol.*."""
        height = self.height + 1
        protocol.require_supported(self.protocol(height), height)

    def elsewhere(self) -> Callable[[Transaction, str], bool]:
        """Tells whether a batch of the department, in the next block, can't execute the transaction. Counts until that
        block is appended."""
        version, view = self.protocol(self.height + 1), View(self.state.get)
        return lambda transaction, department: is_elsewhere(self.contracts, view, version, transaction, department)

    def facts(self, time_ms: int) -> BlockFacts:
        """Of the next block, if its time were this."""
        height = self.height + 1
        limit = self.genesis.expiry_heights_max
        return BlockFacts(self.protocol(height), self.genesis.chain_id, height, time_ms, limit)

    def build(self, primary: str, time_ms: int, batches: Sequence[Batch]) -> ExecutedBlock:
        """The next block over `batches`, executed. Its time is `time_ms`, or the parent's if that is later."""
        time_ms = max(time_ms, self.head.header.time_ms)
        execution = self._execute(time_ms, batches)
        after = self.state.preview(execution.writes)
        header = Header(
            version=self.protocol(self.height + 1),
            chain_id=self.genesis.chain_id,
            height=self.height + 1,
            parent_id=self.head.block_id,
            time_ms=time_ms,
            primary=primary,
            batches_root=batches_root(batches),
            receipts_root=merkle.root(execution.receipt_bytes),
            state_root=trie.digest_of(after),
            validators_digest=self.validators(self.height + 1).digest,
            parent_certificate_digest=certificate_digest(self.head.certificate),
        )
        return _executed(Block.of(header, self.head.certificate, batches), execution, after)

    def check(self, block: Block, verify_batch: VerifyBatch, now_ms: int | None = None) -> ExecutedBlock:
        """Executes a block that somebody else made; raises unless everything its header says is right.

        `now_ms` is this replica's clock when it is about to vote. Catch-up and replay leave it out: what a
        quorum has certified is not refused for its time.
        """
        self._check_place(block)
        self._check_time(block.header, now_ms)
        validators = self.validators(block.header.height)
        for batch in block.batches:
            verify_batch(batch, validators)
        execution = self._execute(block.header.time_ms, block.batches)
        _require_equal(block.header, "receipts_root", merkle.root(execution.receipt_bytes))
        after = self.state.preview(execution.writes)
        _require_equal(block.header, "state_root", trie.digest_of(after))
        return _executed(block, execution, after)

    def _check_place(self, block: Block) -> None:
        """What can be compared without executing: the block's place, its parent's certificate, its batches."""
        header, head, validators = block.header, self.head, self.validators(self.height + 1)
        _require_equal(header, "chain_id", self.genesis.chain_id)
        _require_equal(header, "height", head.height + 1)
        _require_equal(header, "version", self.protocol(head.height + 1))
        _require_equal(header, "parent_id", head.block_id)
        _require_equal(header, "validators_digest", validators.digest)
        _require_equal(header, "parent_certificate_digest", certificate_digest(block.parent_certificate))
        _require_equal(header, "batches_root", batches_root(block.batches))
        if validators.key_of(header.primary) is None:
            raise KehuError(BLOCK_MISMATCH, field="primary", height=header.height, actual=header.primary)
        if (block.parent_certificate is None) != (head.height == 0):
            raise KehuError(BLOCK_MISMATCH, field="parent_certificate", height=header.height)
        if block.parent_certificate is not None and block.parent_certificate != head.certificate:
            block.parent_certificate.require("commit", head.height, head.block_id)
            validators = self.validators(head.height)
            block.parent_certificate.verify(validators, self.genesis.chain_id, known=head.certificate)

    def _check_time(self, header: Header, now_ms: int | None) -> None:
        """The parent's time is never too late: where all clocks were set back, time stands still and blocks go on."""
        earliest = self.head.header.time_ms
        latest = None if now_ms is None else max(earliest, now_ms + self.genesis.clock_skew_ms_max)
        if header.time_ms < earliest or (latest is not None and header.time_ms > latest):
            raise KehuError(BLOCK_TIME, height=header.height, actual=header.time_ms, earliest=earliest, latest=latest)

    def _execute(self, time_ms: int, batches: Sequence[Batch]) -> Execution:
        """The one place that executes; no block is built, voted on, appended or audited by rules that are not known."""
        self.require_supported()
        facts = self.facts(time_ms)
        execution = execute(View(self.state.get), self.contracts, facts, batches, self.recent)
        if execution.idle_batches:
            raise KehuError(BLOCK_IDLE_BATCH, height=facts.height, batch=execution.idle_batches[0])
        return execution

    def advance(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        """Makes an executed block the head. The caller has stored it before (or, auditing, stores nothing)."""
        header = executed.block.header
        if header.height != self.height + 1 or header.parent_id != self.head.block_id:
            raise InvariantError(f"block {header.height} does not follow head {self.height}")
        certificate.require("commit", header.height, executed.block.id)
        self.state.apply(executed.writes, executed.trie)
        self.recent.add(header.height, executed.executed)
        self.head = Head(executed.block.id, header, certificate)


def _executed(block: Block, execution: Execution, after: trie.Node) -> ExecutedBlock:
    return ExecutedBlock(
        block, execution.receipts, execution.receipt_bytes, execution.writes, after, execution.executed
    )


def _require_equal(header: Header, field: str, expected: object) -> None:
    actual = getattr(header, field)
    if actual != expected:
        raise KehuError(BLOCK_MISMATCH, field=field, height=header.height, expected=expected, actual=actual)

"""What a block does to the state: every transaction in order, each all or nothing.

`execute` is a function of the state before, the contracts, the block's facts and its batches; every
department, the auditor and the simulator call this one. Which contracts exist is an argument.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from chain import codec
from chain.batch import Batch
from chain.errors import ErrorSpec, KehuError, define, shown_details
from chain.genesis import Genesis
from chain.receipt import OK, RECEIPT_BYTES_MAX, Receipt
from chain.state import View, Writes
from chain.transaction import Call, Transaction

TRANSACTION_EXPIRED = define(
    "transaction.expired",
    "the transaction came into a block after the height at which it expires; it changed nothing",
    "sign it again with a later expiry",
)
TRANSACTION_TOO_FAR = define(
    "transaction.expiry_too_far",
    "the transaction expires further ahead than the network remembers ids; it changed nothing",
    "sign it again with an expiry within the network's limit (`expiry_heights_max` in genesis)",
)
TRANSACTION_DUPLICATE = define(
    "transaction.duplicate",
    "this transaction was executed before; it changed nothing this time",
    "look at the first one's receipt: `kehu tx show ID`",
)
TRANSACTION_ELSEWHERE = define(
    "transaction.elsewhere",
    "the transaction came in through a node of another department than its sender belongs to; it was not executed",
    "hand it in at the node of the sender's department; the same one will do, it is not used up",
)
CONTRACT_FAULT = define(
    "contract.fault",
    "a contract failed on these arguments in a way it did not foresee; the transaction changed nothing",
    "report it with the transaction id: this is a defect of the contract",
)

RECEIPT_TOO_LARGE = define(
    "receipt.too_large",
    "the transaction's results are larger than a receipt may be, or than its block has room for; it changed nothing",
    "ask for less at a time, or send it again for a later block",
)

RESULTS_BYTES_MAX: Final = 1 << 24
"""What the receipts of one block may take before further results are refused. Without it a block of reads, each a
few bytes, could make receipts that no node can store and no export can carry."""

UNEXECUTED: Final = frozenset(
    spec.code for spec in (TRANSACTION_EXPIRED, TRANSACTION_TOO_FAR, TRANSACTION_DUPLICATE, TRANSACTION_ELSEWHERE)
)
"""Receipts with these codes stand for transactions that were not run at all. The same one may have run elsewhere in the
chain, or in the same block, before or behind."""

HOME_ONLY: Final = 3
"""The version since which no department can use up what others' people signed by having it in a batch of its own."""

FAULTS: Final = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """What contracts may know of the block they run in. `time_ms` is the block's time, UTC milliseconds; `protocol`
    the version of the rules that count at this height (chain.protocol)."""

    protocol: int
    chain_id: bytes
    height: int
    time_ms: int
    expiry_heights_max: int


class CallContext(msgspec.Struct, frozen=True, gc=False):
    """Who calls, where and when: `key` signed the transaction, `admitted_by` is the department whose node
    let it in, `call_index` counts the calls of one transaction from 0. `protocol`: as in `BlockFacts`; a rule that
    came with a later version asks for it."""

    protocol: int
    chain_id: bytes
    height: int
    time_ms: int
    transaction_id: bytes
    key: bytes
    admitted_by: str
    call_index: int


class Contracts(Protocol):
    """The contract table. `call` raises `KehuError` to refuse; what it wrote before is undone."""

    def write_genesis(self, view: View, genesis: Genesis) -> None: ...

    def home_of(self, view: View, transaction: Transaction) -> str | None:
        """The only department whose batches may carry it, or None where any may."""
        ...

    def begin_block(self, facts: BlockFacts, view: View) -> None:
        """What falls due at this height by itself, before the block's transactions. Refuses nothing."""
        ...

    def call(self, context: CallContext, view: View, call: Call) -> codec.Value: ...

    def end_block(self, view: View) -> None:
        """What is written once for all of a block's transactions, after the last one. Refuses nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Execution:
    """`executed` lists (id, expires_height) of the transactions that were really run, also failed ones;
    `idle_batches` the ids of batches in which every transaction was expired or a duplicate. (Whose sender belongs
    elsewhere may have come to do so earlier in the same block, so such a transaction makes no batch idle.)"""

    receipts: list[Receipt]
    receipt_bytes: list[bytes]
    writes: Writes
    executed: list[tuple[bytes, int]]
    idle_batches: list[bytes]


def execute(
    view: View, contracts: Contracts, facts: BlockFacts, batches: Sequence[Batch], recent: Container[bytes]
) -> Execution:
    """Runs all transactions over `view`. `recent` holds the ids executed in earlier blocks."""
    receipts: list[Receipt] = []
    encoded: list[bytes] = []
    executed: dict[bytes, int] = {}
    idle: list[bytes] = []
    bytes_left = RESULTS_BYTES_MAX
    contracts.begin_block(facts, view)
    view.keep()
    for batch in batches:
        is_idle = True
        for transaction in batch.transactions:
            refusal = _refusal(transaction, facts, recent, executed)
            is_idle = is_idle and refusal is not None
            if refusal is None and is_elsewhere(contracts, view, facts.protocol, transaction, batch.department):
                refusal = TRANSACTION_ELSEWHERE
            if refusal is not None:
                receipt = Receipt(transaction.id, refusal.code)
                raw = receipt.to_bytes()
            else:
                executed[transaction.id] = transaction.expires_height
                outcome = _run(transaction, batch.department, view, contracts, facts)
                receipt, raw = _settle(outcome, view, min(bytes_left, RECEIPT_BYTES_MAX))
            receipts.append(receipt)
            encoded.append(raw)
            bytes_left -= len(raw)
        if is_idle:
            idle.append(batch.id)
    contracts.end_block(view)
    view.keep()
    return Execution(receipts, encoded, view.writes, list(executed.items()), idle)


def _refusal(
    transaction: Transaction, facts: BlockFacts, recent: Container[bytes], executed: Container[bytes]
) -> ErrorSpec | None:
    if transaction.expires_height < facts.height:
        return TRANSACTION_EXPIRED
    if transaction.expires_height > facts.height + facts.expiry_heights_max:
        return TRANSACTION_TOO_FAR
    if transaction.id in executed or transaction.id in recent:
        return TRANSACTION_DUPLICATE
    return None


def is_elsewhere(contracts: Contracts, view: View, protocol: int, transaction: Transaction, department: str) -> bool:
    """Whether a batch of `department` can't execute this transaction."""
    return protocol >= HOME_ONLY and contracts.home_of(view, transaction) not in (None, department)


def is_execution(receipt: Receipt) -> bool:
    """Whether the receipt tells what the transaction did, or only that it was not run there."""
    return receipt.code not in UNEXECUTED


def _run(transaction: Transaction, admitted_by: str, view: View, contracts: Contracts, facts: BlockFacts) -> Receipt:
    results: list[codec.Value] = []
    for index, call in enumerate(transaction.calls):
        context = context_of(facts, transaction.id, transaction.key, admitted_by, index)
        try:
            results.append(contracts.call(context, view, call))
        except KehuError as error:
            return Receipt(transaction.id, error.code, index, details=shown_details(error))
        except FAULTS as error:
            return _fault(transaction.id, index, type(error).__name__)
    return Receipt(transaction.id, OK, results=results)


def context_of(facts: BlockFacts, transaction_id: bytes, key: bytes, admitted_by: str, index: int) -> CallContext:
    """Of the call at `index` of a transaction in that block."""
    return CallContext(
        facts.protocol, facts.chain_id, facts.height, facts.time_ms, transaction_id, key, admitted_by, index
    )


def _settle(receipt: Receipt, view: View, bytes_max: int) -> tuple[Receipt, bytes]:
    """Keeps or undoes what the transaction wrote, and gives its receipt with its bytes.

    A result that has no encoding is the contract's fault; one that has no room left makes the transaction fail.
    """
    try:
        raw = receipt.to_bytes()
    except KehuError as error:
        receipt = _fault(receipt.transaction_id, receipt.failed_call, error.code)
        raw = receipt.to_bytes()
    if receipt.is_ok and len(raw) > bytes_max:
        receipt = Receipt(receipt.transaction_id, RECEIPT_TOO_LARGE.code)
        raw = receipt.to_bytes()
    if receipt.is_ok:
        view.keep()
    else:
        view.roll_back()
    return receipt, raw


def _fault(transaction_id: bytes, failed_call: int | None, fault: str) -> Receipt:
    return Receipt(transaction_id, CONTRACT_FAULT.code, failed_call, details={"fault": fault})

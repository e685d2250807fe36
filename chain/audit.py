"""The audit: replay from genesis, trusting nobody, and name the first thing that is wrong.

An `Auditor` takes the frames of an export in order and moves a `chain.ledger.Ledger`, the same one that nodes
move. Nothing in a frame is believed: receipts and roots are computed again and compared, the certificate is
checked against the validator set that the replayed state names for its height.

Signatures are most of the work and depend on nothing, so `step` hands them out instead of checking them;
`check_signatures` checks a chunk, in this process or another. A height is verified when its step found nothing
and its signatures are good. `chain.findings.first` says which of two findings comes first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from chain import codec
from chain.batch import Batch
from chain.block import Block, Header
from chain.blocks import ExecutedBlock
from chain.certificate import Certificate
from chain.crypto import signed_message, verify_raw
from chain.errors import SIGNATURE_INVALID, KehuError, define
from chain.execution import FAULTS, Contracts
from chain.export import EXPORT_FRAME, ExportBlock
from chain.findings import AuditCounts, AuditFinding
from chain.genesis import GENESIS_INVALID, Genesis
from chain.ledger import BLOCK_IDLE_BATCH, Ledger
from chain.receipt import decode_receipts
from chain.transaction import Transaction, transaction_id
from chain.validators import ValidatorSet

_BRIEF_BYTES: Final = 256

AUDIT_RECEIPTS = define(
    "audit.receipts",
    "the receipts that came with a block are not those that executing it gives",
    "don't rely on these receipts: whoever made the export changed them or holds damaged ones",
)

SignatureCheck: TypeAlias = tuple[int, str, int, bytes, bytes, bytes]
"""(height, purpose, index of the transaction or -1, key, signed message, signature): plain, so it travels cheaply."""
_CHECKS: Final = msgspec.msgpack.Decoder(list[SignatureCheck])


def pack_checks(checks: Sequence[SignatureCheck]) -> bytes:
    """A chunk on its way to another process."""
    return codec.encode_flat(list(checks))


def check_packed(chunk: bytes) -> AuditFinding | None:
    """`check_signatures`, of what `pack_checks` gave."""
    return check_signatures(_CHECKS.decode(chunk))


def check_signatures(checks: Sequence[SignatureCheck]) -> AuditFinding | None:
    """The first signature of a chunk that does not verify."""
    for height, purpose, index, key, message, signature in checks:
        if not verify_raw(key, message, signature):
            error = KehuError(SIGNATURE_INVALID, purpose=purpose, key=key, signature=signature)
            body = message[len(signed_message(purpose, bytes(32), b"")) :]
            id_ = transaction_id(body) if purpose == "transaction" else None
            return AuditFinding.of(error, height, "certificate" if purpose == "commit" else "signatures", index, id_)
    return None


@dataclass(frozen=True, slots=True)
class Step:
    """What one frame gave: signatures still to check, and what was found wrong without them."""

    signatures: list[SignatureCheck]
    finding: AuditFinding | None


class _Collector:
    """Stands where `verify` stands, says yes, and remembers what there is to check."""

    def __init__(self, height: int) -> None:
        self.height = height
        self.checks: list[SignatureCheck] = []
        self.transactions = 0

    def __call__(self, key: bytes, purpose: str, chain_id: bytes, payload: bytes, signature: bytes) -> bool:
        index = -1
        if purpose == "transaction":
            index, self.transactions = self.transactions, self.transactions + 1
        message = signed_message(purpose, chain_id, payload)
        self.checks.append((self.height, purpose, index, key, message, signature))
        return True


class Auditor:
    """Replays frames through a ledger. After a finding it must not be used further."""

    def __init__(self, ledger: Ledger, counts: AuditCounts | None = None) -> None:
        self.ledger = ledger
        self.counts = counts or AuditCounts()

    @classmethod
    def at_genesis(cls, genesis: bytes, contracts: Contracts) -> Auditor:
        """Errors: genesis.*, validators.*, codec.* and what the contracts refuse in a genesis."""
        try:
            return cls(Ledger.at_genesis(Genesis.from_bytes(genesis), contracts)[0])
        except FAULTS as error:
            raise KehuError(GENESIS_INVALID, problem=type(error).__name__) from error

    @property
    def height(self) -> int:
        return self.ledger.height

    def step(self, frame: ExportBlock) -> Step:
        """Checks everything about the next height but its signatures, and moves the ledger on.

        Errors: protocol.* where this software does not speak the version of the height. That says nothing about the
        chain, so it is no finding.
        """
        self.ledger.require_supported()
        height = self.height + 1
        if frame.height != height:
            error = KehuError(EXPORT_FRAME, field="height", expected=height, actual=frame.height)
            return Step([], AuditFinding.of(error, height, "export"))
        collector = _Collector(height)
        try:
            block = Block.from_bytes(frame.block)
        except KehuError as error:
            return Step([], AuditFinding.of(error, height, "block", _malformed_index(frame.block)))
        validators = self.ledger.validators(height)
        executed = self._execute(block, frame, collector)
        if isinstance(executed, AuditFinding):
            return Step(collector.checks, executed)
        finding = _compare_receipts(executed, frame) or self._certify(executed, frame, validators, collector)
        if finding is None:
            self.counts.add(executed)
            self.counts.signatures += len(collector.checks)
        return Step(collector.checks, finding)

    def _execute(self, block: Block, frame: ExportBlock, collector: _Collector) -> ExecutedBlock | AuditFinding:
        def collect(batch: Batch, validators: ValidatorSet) -> None:
            batch.verify(validators, self.ledger.genesis.chain_id, collector)

        try:
            return self.ledger.check(block, collect)
        except KehuError as error:
            check, index = _stage(error), -1
            if error.code.startswith("transaction."):  # the one before whose signature the checks broke off
                index = collector.transactions
            elif error.details.get("field") == "receipts_root":
                index = self._differing_receipt(block, frame)
            id_ = block.transactions()[index][1].id if index >= 0 else None
            return AuditFinding.of(error, frame.height, check, index, id_)

    def _differing_receipt(self, block: Block, frame: ExportBlock) -> int:
        """Which transaction's outcome is not what the header commits to, where the export's receipts tell."""
        ours = self.ledger.build(block.header.primary, block.header.time_ms, block.batches).receipt_bytes
        index, _ = _first_difference(ours, frame.receipts)
        return index if index < len(ours) else -1

    def _certify(
        self, executed: ExecutedBlock, frame: ExportBlock, validators: ValidatorSet, collector: _Collector
    ) -> AuditFinding | None:
        header: Header = executed.block.header
        try:
            certificate = Certificate.from_bytes(frame.certificate)
            certificate.require("commit", header.height, executed.block.id)
            certificate.verify(validators, header.chain_id, collector)
        except KehuError as error:
            return AuditFinding.of(error, header.height, "certificate")
        self.ledger.advance(executed, certificate)
        return None


def _stage(error: KehuError) -> str:
    if error.code == BLOCK_IDLE_BATCH.code or error.details.get("field") in ("receipts_root", "state_root"):
        return "execution"
    return "signatures" if error.code.startswith(("batch.", "transaction.", "signature.")) else "block"


def _compare_receipts(executed: ExecutedBlock, frame: ExportBlock) -> AuditFinding | None:
    if codec.encode_flat(executed.receipt_bytes) == frame.receipts:
        return None
    index, theirs = _first_difference(executed.receipt_bytes, frame.receipts)
    there = 0 <= index < len(executed.receipt_bytes)
    ours = executed.receipt_bytes[index] if there else None
    error = KehuError(AUDIT_RECEIPTS, expected=_brief(ours), actual=_brief(theirs))
    id_ = executed.receipts[index].transaction_id if there else None
    return AuditFinding.of(error, frame.height, "receipts", index if there else -1, id_)


def _brief(receipt: bytes | None) -> str | None:
    """A receipt as hex, or the SHA-256 of a long one."""
    if receipt is None or len(receipt) <= _BRIEF_BYTES:
        return None if receipt is None else receipt.hex()
    return f"{len(receipt)} bytes with SHA-256 {hashlib.sha256(receipt).hexdigest()}"


def _first_difference(ours: list[bytes], theirs: bytes) -> tuple[int, bytes | None]:
    """(index, their receipt) of the first receipt that differs; -1 where theirs can't be read at all or none
    differs, their receipt None where the list is shorter."""
    try:
        receipts = decode_receipts(theirs)
    except KehuError:
        return -1, None
    for index in range(max(len(ours), len(receipts))):
        our = ours[index] if index < len(ours) else None
        their = receipts[index] if index < len(receipts) else None
        if our != their:
            return index, their
    return -1, None


def _malformed_index(block: bytes) -> int:
    """Which transaction of a block that can't be decoded is the malformed one; -1 if it is something else."""
    try:
        _, _, batches = codec.decode(block, len(block))
        envelopes = [envelope for raw in batches for envelope in codec.decode(raw, len(raw))[2]]
    except (KehuError, TypeError, ValueError, LookupError):
        return -1
    for index, envelope in enumerate(envelopes):
        try:
            Transaction.from_bytes(envelope)
        except (KehuError, TypeError):
            return index
    return -1

"""What an audit says: the first wrong thing it found, and what the blocks it replayed hold."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

from chain.batch import Batch
from chain.blocks import ExecutedBlock
from chain.errors import KehuError, shown_details
from chain.evidence import REPORT_CALL, Evidence
from chain.receipt import OK, Receipt
from chain.transaction import Transaction

CHECKS: Final = ("export", "genesis", "block", "signatures", "execution", "receipts", "certificate")
"""What is checked at a height, in this order; a finding names one of them."""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """The first wrong thing. `expected` is what follows from the chain, `actual` what stands there, both as text
    (bytes as hex). `code` is an entry of the error catalogue; `details` are its other compared values."""

    height: int
    check: str
    code: str
    cause: str
    field: str | None = None
    transaction_index: int | None = None
    transaction_id: str | None = None
    expected: str | None = None
    actual: str | None = None
    details: dict[str, object] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, error: KehuError, height: int, check: str, index: int = -1, id_: bytes | None = None) -> AuditFinding:
        details = shown_details(error)
        compared = {name: details.pop(name, None) for name in ("field", "expected", "actual")}
        shown = {name: None if value is None else str(value) for name, value in compared.items()}
        return cls(
            height=height,
            check=check,
            code=error.code,
            cause=error.spec.cause,
            transaction_index=None if index < 0 else index,
            transaction_id=None if id_ is None else id_.hex(),
            details=details,
            **shown,
        )

    @property
    def rank(self) -> tuple[int, int, int]:
        index = -1 if self.transaction_index is None else self.transaction_index
        return self.height, CHECKS.index(self.check), index

    def to_value(self) -> dict[str, Any]:
        """As a map for JSON; the names are part of the contract of `kehu audit --json`."""
        return {
            "height": self.height,
            "check": self.check,
            "code": self.code,
            "cause": self.cause,
            "field": self.field,
            "transaction_index": self.transaction_index,
            "transaction_id": self.transaction_id,
            "expected": self.expected,
            "actual": self.actual,
            "details": self.details,
        }


def first(*findings: AuditFinding | None) -> AuditFinding | None:
    """The one that comes first in the chain's order; None where there is none."""
    there = [finding for finding in findings if finding is not None]
    return min(there, key=lambda finding: finding.rank) if there else None


@dataclass
class DepartmentCounts:
    """What came in by one department's node."""

    batches: int = 0
    transactions: int = 0
    failed: int = 0


@dataclass
class AuditCounts:
    """What the audited blocks hold. `failed` counts receipts whose code is not ok, `failed_by_code` tells them
    apart; `signatures` counts all kinds; `evidence` the equivocations proven on the record, by department."""

    blocks: int = 0
    batches: int = 0
    transactions: int = 0
    failed: int = 0
    signatures: int = 0
    by_department: dict[str, DepartmentCounts] = dataclasses.field(default_factory=dict)
    failed_by_code: dict[str, int] = dataclasses.field(default_factory=dict)
    evidence: dict[str, int] = dataclasses.field(default_factory=dict)

    def add(self, executed: ExecutedBlock) -> None:
        self.blocks += 1
        receipts = iter(executed.receipts)
        for batch in executed.block.batches:
            self._add_batch(batch, [next(receipts) for _ in batch.transactions])

    def _add_batch(self, batch: Batch, receipts: list[Receipt]) -> None:
        codes = [receipt.code for receipt in receipts if receipt.code != OK]
        department = self.by_department.setdefault(batch.department, DepartmentCounts())
        for counts in (self, department):
            counts.batches += 1
            counts.transactions += len(receipts)
            counts.failed += len(codes)
        for code in codes:
            self.failed_by_code[code] = self.failed_by_code.get(code, 0) + 1
        for transaction, receipt in zip(batch.transactions, receipts, strict=True):
            if receipt.code == OK:
                self._add_evidence(transaction)

    def _add_evidence(self, transaction: Transaction) -> None:
        for call in transaction.calls:
            if call.name == REPORT_CALL:
                accused = Evidence.from_bytes(call.args["evidence"]).department
                self.evidence[accused] = self.evidence.get(accused, 0) + 1

    def to_value(self) -> dict[str, Any]:
        return {
            "blocks": self.blocks,
            "batches": self.batches,
            "transactions": self.transactions,
            "failed": self.failed,
            "signatures": self.signatures,
            "by_department": {
                name: {"batches": counts.batches, "transactions": counts.transactions, "failed": counts.failed}
                for name, counts in sorted(self.by_department.items())
            },
            "failed_by_code": dict(sorted(self.failed_by_code.items())),
            "evidence": dict(sorted(self.evidence.items())),
        }

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> AuditCounts:
        departments = {name: DepartmentCounts(**counts) for name, counts in value["by_department"].items()}
        copied = {name: dict(value.get(name, {})) for name in ("failed_by_code", "evidence")}
        return cls(**{**value, "by_department": departments, **copied})

"""A batch: transactions that one department's node admitted and signed together.

batch  [department, signature, [envelope bytes, ...]]; the signature (purpose "batch") covers the department
and digest("batch-transactions", encode([envelope bytes, ...])). A block is a list of batches, so the chain
shows by whose node everybody came in, for one extra signature per batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from chain import codec
from chain.crypto import Signer, Verifier, digest, verify
from chain.errors import SIGNATURE_INVALID, KehuError, define
from chain.transaction import Transaction
from chain.validators import ValidatorSet

BATCH_BYTES_MAX: Final = 1 << 20
BATCH_TRANSACTIONS_MAX: Final = 1000

ReadTransaction: TypeAlias = Callable[[bytes], Transaction]
"""Gives the transaction that an envelope is; whoever has decoded it before need not do it again."""

BATCH_UNKNOWN_DEPARTMENT = define(
    "batch.unknown_department",
    "a batch is signed in the name of a department that is not in the validator set of its height",
    "have the department admitted by a governance transaction, or correct its id",
)


def batch_id(raw: bytes) -> bytes:
    return digest("batch", raw)


@dataclass(frozen=True, slots=True)
class Batch:
    raw: bytes
    id: bytes
    department: str
    signature: bytes
    transactions: tuple[Transaction, ...]

    @classmethod
    def from_bytes(cls, raw: bytes, read_transaction: ReadTransaction = Transaction.from_bytes) -> Batch:
        department, signature, envelopes = codec.fields(
            codec.decode(raw, BATCH_BYTES_MAX), "batch", codec.is_text, codec.is_signature, _are_envelopes
        )
        transactions = tuple(read_transaction(envelope) for envelope in envelopes)
        return cls(raw, batch_id(raw), department, signature, transactions)

    def payload(self) -> bytes:
        return _payload(self.department, [transaction.raw for transaction in self.transactions])

    def verify(self, validators: ValidatorSet, chain_id: bytes, check: Verifier = verify) -> None:
        """Raises unless the department signed it and every transaction in it is signed for this chain."""
        key = validators.key_of(self.department)
        if key is None:
            raise KehuError(BATCH_UNKNOWN_DEPARTMENT, department=self.department)
        if not check(key, "batch", chain_id, self.payload(), self.signature):
            raise KehuError(SIGNATURE_INVALID, purpose="batch", key=key)
        for transaction in self.transactions:
            transaction.verify(chain_id, check)


def _are_envelopes(value: codec.Value) -> bool:
    return (
        type(value) is list and 1 <= len(value) <= BATCH_TRANSACTIONS_MAX and all(type(item) is bytes for item in value)
    )


def _payload(department: str, envelopes: list[bytes]) -> bytes:
    return codec.encode_flat([department, digest("batch-transactions", codec.encode_flat(envelopes))])


def sign_batch(signer: Signer, chain_id: bytes, department: str, transactions: Sequence[Transaction]) -> Batch:
    envelopes = [transaction.raw for transaction in transactions]
    signature = signer.sign("batch", chain_id, _payload(department, envelopes))
    raw = codec.encode_flat([department, signature, envelopes])
    return Batch(raw, batch_id(raw), department, signature, tuple(transactions))

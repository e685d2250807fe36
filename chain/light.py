"""Verification without a node: that a value stands, or does not stand, in the certified state; that a receipt
was given. Pure functions over a header, its commit certificate and a path; the verifier brings the chain id
and the validator set, which for an unchanged network both follow from the genesis file.

state proof    [header bytes, certificate bytes, [[16 digests], ...], [[key digest, value digest], ...]]
receipt proof  [header bytes, certificate bytes, receipt bytes, index, count, [sibling digest, ...]]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chain import codec, merkle, trie
from chain.block import Header, block_id
from chain.certificate import Certificate
from chain.errors import KehuError, define
from chain.receipt import Receipt
from chain.state import State, key_digest, state_key, value_digest
from chain.validators import ValidatorSet

PROOF_BYTES_MAX: Final = 1 << 21

PROOF_INVALID = define(
    "proof.invalid",
    "the proof does not lead from this value to a header that a quorum of departments certified",
    "don't rely on the answer; ask another department's node",
)


@dataclass(frozen=True, slots=True)
class StateProof:
    header_bytes: bytes
    certificate: Certificate
    branches: list[list[bytes]]
    leaf: list[tuple[bytes, bytes]]

    def to_bytes(self) -> bytes:
        leaf = [[key, value] for key, value in self.leaf]
        return codec.encode_flat([self.header_bytes, self.certificate.to_bytes(), self.branches, leaf])

    @classmethod
    def from_bytes(cls, raw: bytes) -> StateProof:
        row = codec.list_of(codec.is_digest, trie.ARITY)
        header, certificate, branches, leaf = codec.fields(
            codec.decode(raw, PROOF_BYTES_MAX),
            "state proof",
            codec.is_bytes,
            codec.is_bytes,
            codec.list_of(row, trie.DEPTH_MAX),
            codec.list_of(codec.list_of(codec.is_digest, 2), trie.LEAF_ENTRIES_MAX),
        )
        pairs = [codec.fields(entry, "entry", codec.is_digest, codec.is_digest) for entry in leaf]
        return cls(header, Certificate.from_bytes(certificate), branches, [(key, value) for key, value in pairs])

    def verify(self, validators: ValidatorSet, chain_id: bytes, table: str, key: str, value: bytes | None) -> Header:
        """The certified header under which `table/key` has these canonical bytes (None: is absent)."""
        header = verify_header(self.header_bytes, self.certificate, validators, chain_id)
        wanted = key_digest(state_key(table, key))
        root = trie.fold_proof(wanted, self.branches, self.leaf)
        if root != header.state_root:
            raise KehuError(PROOF_INVALID, field="state_root", expected=header.state_root, actual=root)
        found = dict(self.leaf).get(wanted)
        expected = None if value is None else value_digest(value)
        if found != expected:
            raise KehuError(PROOF_INVALID, field="value", expected=expected, actual=found)
        return header


@dataclass(frozen=True, slots=True)
class ReceiptProof:
    header_bytes: bytes
    certificate: Certificate
    receipt_bytes: bytes
    index: int
    count: int
    path: list[bytes]

    def to_bytes(self) -> bytes:
        return codec.encode_flat(
            [self.header_bytes, self.certificate.to_bytes(), self.receipt_bytes, self.index, self.count, self.path]
        )

    @classmethod
    def from_bytes(cls, raw: bytes) -> ReceiptProof:
        b, u = codec.is_bytes, codec.is_uint
        header, certificate, receipt, index, count, path = codec.fields(
            codec.decode(raw, PROOF_BYTES_MAX), "receipt proof", b, b, b, u, u, codec.list_of(codec.is_digest, 64)
        )
        return cls(header, Certificate.from_bytes(certificate), receipt, index, count, path)

    def verify(self, validators: ValidatorSet, chain_id: bytes) -> tuple[Header, Receipt]:
        """The receipt and the certified header it stands under."""
        header = verify_header(self.header_bytes, self.certificate, validators, chain_id)
        if not merkle.verify(header.receipts_root, self.receipt_bytes, self.index, self.count, self.path):
            raise KehuError(PROOF_INVALID, field="receipts_root", expected=header.receipts_root)
        return header, Receipt.from_bytes(self.receipt_bytes)


def verify_header(header_bytes: bytes, certificate: Certificate, validators: ValidatorSet, chain_id: bytes) -> Header:
    """The header, once a quorum of `validators` is shown to have committed it."""
    header = Header.from_bytes(header_bytes)
    for field, expected, actual in (
        ("chain_id", chain_id, header.chain_id),
        ("validators_digest", validators.digest, header.validators_digest),
    ):
        if expected != actual:
            raise KehuError(PROOF_INVALID, field=field, expected=expected, actual=actual)
    certificate.require("commit", header.height, block_id(header_bytes))
    certificate.verify(validators, chain_id)
    return header


def prove_state(state: State, header: Header, certificate: Certificate, table: str, key: str) -> StateProof:
    """Shows what `table/key` is, or that it is not, in the state that `header` certifies."""
    branches, leaf = trie.prove(state.trie, key_digest(state_key(table, key)))
    return StateProof(header.to_bytes(), certificate, branches, leaf)


def prove_receipt(header: Header, certificate: Certificate, receipts: Sequence[bytes], index: int) -> ReceiptProof:
    return ReceiptProof(
        header.to_bytes(), certificate, receipts[index], index, len(receipts), merkle.prove(receipts, index)
    )

"""Blocks: a header that commits to everything, the parent's commit certificate, and the batches.

header  [version, chain_id, height, parent_id, time_ms, primary, batches_root, receipts_root, state_root,
         validators_digest, parent_certificate_digest]
block   [header bytes, parent certificate bytes or nil, [batch bytes, ...]]
id      digest("block", header bytes)

The state root is the state *after* the block, so a department that computes something else finds out before
it votes. The header names no view: after a view change the same block is proposed again under the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from chain import codec, merkle
from chain.batch import Batch
from chain.certificate import Certificate
from chain.crypto import ZERO_DIGEST, digest
from chain.errors import define
from chain.protocol import require_supported
from chain.transaction import Transaction

HEADER_BYTES_MAX: Final = 1024
BLOCK_BYTES_MAX: Final = 1 << 22

ReadBatch: TypeAlias = Callable[[bytes], Batch]
"""Gives the batch that certain bytes are; whoever has decoded them before need not do it again."""

BLOCK_MISMATCH = define(
    "block.mismatch",
    "a block's header says something else than what follows from the chain and the block's content",
    "don't accept the block; whoever made it is faulty, or runs another release",
)


@dataclass(frozen=True, slots=True)
class Header:
    """`version` is that of the rules by which the block was made (chain.protocol). All so far have these fields."""

    version: int
    chain_id: bytes
    height: int
    parent_id: bytes
    time_ms: int
    primary: str
    batches_root: bytes
    receipts_root: bytes
    state_root: bytes
    validators_digest: bytes
    parent_certificate_digest: bytes

    def to_bytes(self) -> bytes:
        return codec.encode_flat(
            [
                self.version,
                self.chain_id,
                self.height,
                self.parent_id,
                self.time_ms,
                self.primary,
                self.batches_root,
                self.receipts_root,
                self.state_root,
                self.validators_digest,
                self.parent_certificate_digest,
            ]
        )

    @classmethod
    def from_bytes(cls, raw: bytes) -> Header:
        """Errors: codec.*, protocol.too_new, protocol.too_old; of a version that is not known nothing else is read."""
        u, d = codec.is_uint, codec.is_digest
        value = codec.decode(raw, HEADER_BYTES_MAX)
        if type(value) is list and value and codec.is_uint(value[0]):
            require_supported(value[0], None)
        return cls(*codec.fields(value, "header", u, d, u, d, u, codec.is_text, d, d, d, d, d))

    @property
    def id(self) -> bytes:
        return block_id(self.to_bytes())


def block_id(header_bytes: bytes) -> bytes:
    return digest("block", header_bytes)


def certificate_digest(certificate: Certificate | None) -> bytes:
    """What the header says of its parent's certificate; zeros at height 1, whose parent needs none."""
    return ZERO_DIGEST if certificate is None else digest("certificate", certificate.to_bytes())


def batches_root(batches: Sequence[Batch]) -> bytes:
    return merkle.root([batch.raw for batch in batches])


@dataclass(frozen=True, slots=True)
class Block:
    raw: bytes
    id: bytes
    header: Header
    parent_certificate: Certificate | None
    batches: tuple[Batch, ...]

    @classmethod
    def of(cls, header: Header, parent_certificate: Certificate | None, batches: Sequence[Batch]) -> Block:
        header_bytes = header.to_bytes()
        certificate = parent_certificate.to_bytes() if parent_certificate else None
        raw = codec.encode_flat([header_bytes, certificate, [batch.raw for batch in batches]])
        return cls(raw, block_id(header_bytes), header, parent_certificate, tuple(batches))

    @classmethod
    def from_bytes(cls, raw: bytes, read_batch: ReadBatch = Batch.from_bytes) -> Block:
        header_bytes, certificate, batches = codec.fields(
            codec.decode(raw, BLOCK_BYTES_MAX),
            "block",
            codec.is_bytes,
            codec.optional(codec.is_bytes),
            codec.list_of(codec.is_bytes),
        )
        return cls(
            raw,
            block_id(header_bytes),
            Header.from_bytes(header_bytes),
            Certificate.from_bytes(certificate) if certificate is not None else None,
            tuple(read_batch(batch) for batch in batches),
        )

    def transactions(self) -> list[tuple[str, Transaction]]:
        """(admitting department, transaction) in the order they are executed."""
        return [(batch.department, transaction) for batch in self.batches for transaction in batch.transactions]

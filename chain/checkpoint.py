"""How far an audit has come, as bytes: the state, the head and the counts of a chain audited so far.

  MAGIC, then parts, each a 4-byte big-endian length and canonical bytes:
    [1, chain id, header bytes, certificate bytes or nil, counts]
    [[state key, value bytes], ...]     any number of these parts, each of up to `PART_PAIRS`
    nil
    [[transaction id, expires height], ...]    any number, likewise
    nil
  and SHA-256 of everything before

So a later audit of the grown chain goes on where this one stopped. The digest finds damage; the state must
have the root that the header says, and the header the certificate of a quorum. It is the auditor's own note:
whoever can write the file could have stopped the auditor in other ways, so keep it where only the auditor writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from chain import codec
from chain.audit import Auditor
from chain.block import Header, block_id
from chain.certificate import Certificate
from chain.errors import KehuError, define
from chain.execution import Contracts
from chain.findings import AuditCounts
from chain.genesis import Genesis
from chain.ledger import Head, Ledger
from chain.recent import RecentTransactions
from chain.state import State

MAGIC: Final = b"KEHU-AUDIT-1\n"
PART_PAIRS: Final = 10_000
PART_BYTES_MAX: Final = 1 << 32
_VERSION: Final = 1

CHECKPOINT_DAMAGED = define(
    "checkpoint.damaged",
    "the audit checkpoint is not whole: its digest, its form or its state root is wrong",
    "delete it and audit from genesis again",
)
CHECKPOINT_OTHER_CHAIN = define(
    "checkpoint.other_chain",
    "the audit checkpoint is of another chain than the export",
    "name the checkpoint that belongs to this network, or none",
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose digest and form are right; `restore` checks what it means."""

    chain_id: bytes
    header_bytes: bytes
    certificate: Certificate | None
    counts: AuditCounts
    values: dict[bytes, bytes]
    recent: list[tuple[bytes, int]]

    @property
    def height(self) -> int:
        return Header.from_bytes(self.header_bytes).height

    @property
    def block_id(self) -> bytes:
        return block_id(self.header_bytes)

    def restore(self, genesis: Genesis, contracts: Contracts) -> Auditor:
        """An auditor that goes on from here. Errors: checkpoint.*, certificate.*."""
        if genesis.chain_id != self.chain_id:
            raise KehuError(CHECKPOINT_OTHER_CHAIN, expected=self.chain_id, actual=genesis.chain_id)
        header = Header.from_bytes(self.header_bytes)
        state = State(dict(self.values))
        if state.root != header.state_root:
            raise KehuError(CHECKPOINT_DAMAGED, field="state_root", expected=header.state_root, actual=state.root)
        recent = RecentTransactions()
        recent.add(header.height, self.recent)
        head = Head(self.block_id, header, self.certificate)
        ledger = Ledger(genesis, contracts, state, recent, head)
        if self.certificate is None:
            if header.id != Ledger.at_genesis(genesis, contracts)[0].head.block_id:
                raise KehuError(CHECKPOINT_DAMAGED, field="certificate", height=header.height)
        else:
            self.certificate.require("commit", header.height, head.block_id)
            self.certificate.verify(ledger.validators(header.height), genesis.chain_id)
        return Auditor(ledger, self.counts)


def checkpoint_chunks(auditor: Auditor) -> Iterator[bytes]:
    """The checkpoint of an auditor all of whose signatures so far have been checked, in chunks to be written."""
    ledger, sha = auditor.ledger, hashlib.sha256(MAGIC)
    yield MAGIC
    certificate = ledger.head.certificate.to_bytes() if ledger.head.certificate else None
    top = [_VERSION, ledger.genesis.chain_id, ledger.head.header.to_bytes(), certificate, auditor.counts.to_value()]
    for part in (
        top,
        *_parts(list(ledger.state.items())),
        *_parts(ledger.recent.pairs()),
    ):
        raw = codec.encode(part)
        chunk = len(raw).to_bytes(4, "big") + raw
        sha.update(chunk)
        yield chunk
    yield sha.digest()


def _parts(pairs: list[tuple[bytes, Any]]) -> Iterator[list[Any] | None]:
    for begin in range(0, len(pairs), PART_PAIRS):
        yield [list(pair) for pair in pairs[begin : begin + PART_PAIRS]]
    yield None


def read_checkpoint(data: bytes) -> Checkpoint:
    """The checkpoint in `data`. Errors: checkpoint.damaged."""
    body, digest = data[:-32], data[-32:]
    if not body.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        raise KehuError(CHECKPOINT_DAMAGED, field="digest", expected=hashlib.sha256(body).digest(), actual=digest)
    try:
        parts = _split(body)
        version, chain_id, header, certificate, counts = codec.fields(
            next(parts), "checkpoint", codec.is_uint, codec.is_digest, codec.is_bytes,
            codec.optional(codec.is_bytes), codec.is_map,
        )  # fmt: skip
        if version != _VERSION:
            raise KehuError(CHECKPOINT_DAMAGED, field="version", expected=_VERSION, actual=version)
        return Checkpoint(
            chain_id=chain_id,
            header_bytes=header,
            certificate=None if certificate is None else Certificate.from_bytes(certificate),
            counts=AuditCounts.from_value(counts),
            values=dict(_gather(parts, codec.is_bytes)),
            recent=list(_gather(parts, codec.is_uint)),
        )
    except (StopIteration, AttributeError, TypeError, KeyError, ValueError) as error:
        raise KehuError(CHECKPOINT_DAMAGED, field="form", actual=type(error).__name__) from None


def _split(body: bytes) -> Iterator[codec.Value]:
    at = len(MAGIC)
    while at < len(body):
        length = int.from_bytes(body[at : at + 4], "big")
        raw = body[at + 4 : at + 4 + length]
        yield codec.decode(raw, PART_BYTES_MAX)
        at += 4 + length


def _gather(parts: Iterator[codec.Value], is_right: codec.Check) -> Iterator[tuple[bytes, Any]]:
    """The [bytes, value] pairs of one section; `is_right` is asked of each value."""
    for part in parts:
        if part is None:
            return
        (pairs,) = codec.fields([part], "checkpoint part", codec.is_list)
        for pair in pairs:
            name, value = codec.fields(pair, "checkpoint pair", codec.is_bytes, is_right)
            yield name, value
    raise KehuError(CHECKPOINT_DAMAGED, field="form", actual="ends early")

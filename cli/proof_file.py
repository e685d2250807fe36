"""A proof file: what somebody read, so that it checks on any machine, without a node and without trusting one.

  KEHU-PROOF-1\\n
  encode([chain id, [read, ...], [entry, ...]])
  SHA-256 of all that stands before it

If other departments than those of genesis decided one of its heights, it begins with KEHU-PROOF-2 and the list has a
fourth element, the changes: [receipt proof bytes, ...], from the first on (chain/following.py).

  read   [receipt proof bytes, [[table, record, field, salt, value], ...]]
  entry  [table, key, state value bytes or nil, state proof bytes]

A read has a receipt that the departments agreed on, and those of its values that the owner chose to show. An entry is
one value of the state, or that there is none. The digest at the end finds damage; the proofs find lies. Pure
functions: the verifier brings the genesis (docs/spec/proof-file.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chain import codec
from chain.block import Header
from chain.errors import KehuError, define
from chain.following import CHANGES_MAX, KnownSets
from chain.genesis import Genesis
from chain.light import ReceiptProof, StateProof
from cli.verify import check_fields, check_state
from node.vault.values import VaultValue

MAGIC: Final = b"KEHU-PROOF-1\n"
MAGIC_CHANGES: Final = b"KEHU-PROOF-2\n"
FILE_BYTES_MAX: Final = 16 << 20
READS_MAX: Final = 256
ENTRIES_MAX: Final = 1_024
VALUES_MAX: Final = 3_200
_DIGEST_BYTES: Final = 32

PROOF_FILE_MALFORMED = define(
    "proof.file_malformed",
    "this is not a proof file, or it was damaged on its way",
    "ask for the file again; the digest at its end covers every byte before it",
)
PROOF_FILE_OTHER_CHAIN = define(
    "proof.other_chain",
    "the proof is of another network than the genesis",
    "verify it with the genesis.json of the network that it is of",
)
PROOF_VALUE_UNREAD = define(
    "proof.value_unread",
    "the file shows a value that the departments did not let its reader see in this read",
    "don't rely on the file",
)
PROOF_NOTHING = define(
    "proof.nothing_shown",
    "the file shows no record and no entry of the state, so there is nothing that it could prove",
    "don't take it for a proof; ask whoever gave it to you for one of what you want to know",
)


@dataclass(frozen=True, slots=True)
class Read:
    """`receipt_proof`: of a transaction with access calls. `values`: those of the values to be shown."""

    receipt_proof: bytes
    values: tuple[VaultValue, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """`value`: canonical bytes; None: there is no such entry."""

    table: str
    key: str
    value: bytes | None
    proof: bytes


@dataclass(frozen=True, slots=True)
class ProofFile:
    chain_id: bytes
    reads: tuple[Read, ...]
    entries: tuple[Entry, ...]
    changes: tuple[bytes, ...] = ()
    """Receipt proofs of the changes of membership up to the heights that the file is about."""

    def to_bytes(self) -> bytes:
        reads: codec.Value = [[item.receipt_proof, [value.to_value() for value in item.values]] for item in self.reads]
        entries: codec.Value = [[item.table, item.key, item.value, item.proof] for item in self.entries]
        parts: list[codec.Value] = [self.chain_id, reads, entries]
        if self.changes:
            parts.append(list(self.changes))
        content = (MAGIC_CHANGES if self.changes else MAGIC) + codec.encode_flat(parts)
        return content + hashlib.sha256(content).digest()

    @classmethod
    def from_bytes(cls, raw: bytes) -> ProofFile:
        """Errors: proof.file_malformed."""
        content, digest = raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
        if not content.startswith((MAGIC, MAGIC_CHANGES)) or hashlib.sha256(content).digest() != digest:
            raise KehuError(PROOF_FILE_MALFORMED, bytes=len(raw))
        has_changes = content.startswith(MAGIC_CHANGES)
        try:
            chain_id, reads, entries, *changes = codec.fields(
                codec.decode(content[len(MAGIC) :], FILE_BYTES_MAX),
                "proof file",
                codec.is_digest,
                codec.list_of(codec.is_list, READS_MAX),
                codec.list_of(codec.is_list, ENTRIES_MAX),
                *([_is_changes] if has_changes else []),
            )
            return cls(chain_id, tuple(map(_read_of, reads)), tuple(map(_entry_of, entries)), *map(tuple, changes))
        except KehuError as error:
            raise KehuError(PROOF_FILE_MALFORMED, bytes=len(raw), problem=error.code) from None


def _is_changes(value: codec.Value) -> bool:
    return codec.list_of(codec.is_bytes, CHANGES_MAX)(value) and bool(value)


def _read_of(value: codec.Value) -> Read:
    proof, values = codec.fields(value, "read", codec.is_bytes, codec.list_of(codec.is_list, VALUES_MAX))
    return Read(proof, tuple(map(VaultValue.from_value, values)))


def _entry_of(value: codec.Value) -> Entry:
    return Entry(
        *codec.fields(value, "entry", codec.is_text, codec.is_text, codec.optional(codec.is_bytes), codec.is_bytes)
    )


@dataclass(frozen=True, slots=True)
class ProvenRecord:
    """What a read showed of one record under `header`; `fields`: the chosen ones with their values."""

    header: Header
    transaction_id: bytes
    table: str
    record: str
    version: int
    facts: dict[str, Any]
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """`value` is None where it is proven that there is no such entry."""

    header: Header
    table: str
    key: str
    value: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Proven:
    records: tuple[ProvenRecord, ...]
    entries: tuple[ProvenEntry, ...]


def pack(known: KnownSets, chain_id: bytes, reads: tuple[Read, ...], entries: tuple[Entry, ...]) -> ProofFile:
    """With the changes of membership that its heights need. Errors: codec.*."""
    proofs = [ReceiptProof.from_bytes(read.receipt_proof).header_bytes for read in reads]
    proofs += [StateProof.from_bytes(entry.proof).header_bytes for entry in entries]
    last = max((Header.from_bytes(raw).height for raw in proofs), default=0)
    return ProofFile(chain_id, reads, entries, known.changes_to(last))


def verify_proof_file(genesis: Genesis, raw: bytes) -> Proven:
    """What the file proves. Errors: proof.*, certificate.*, codec.*."""
    file = ProofFile.from_bytes(raw)
    if file.chain_id != genesis.chain_id:
        raise KehuError(PROOF_FILE_OTHER_CHAIN, expected=genesis.chain_id, actual=file.chain_id)
    known = KnownSets(genesis, file.changes)
    records = tuple(record for read in file.reads for record in _prove_read(genesis, read, known))
    if not records and not file.entries:
        raise KehuError(PROOF_NOTHING, reads=len(file.reads))
    return Proven(records, tuple(_prove_entry(genesis, entry, known) for entry in file.entries))


def _prove_read(genesis: Genesis, read: Read, known: KnownSets) -> Iterator[ProvenRecord]:
    proof = ReceiptProof.from_bytes(read.receipt_proof)
    header, receipt = proof.verify(known.at(Header.from_bytes(proof.header_bytes).height), genesis.chain_id)
    shown: set[tuple[str, str, str]] = set()
    for record in records_of(receipt.results):
        found = check_fields(genesis, record, read.values)
        fields = {name: str(field.value) for name, field in found.items() if field.state == "shown"}
        shown.update((record["table"], record["record"], name) for name in fields)
        facts = dict(record.get("facts", {}))
        yield ProvenRecord(
            header, receipt.transaction_id, record["table"], record["record"], record["version"], facts, fields
        )
    # Each value once: of two for one field, only one would have been held against its digest.
    if sorted(shown) != sorted((value.table, value.record, value.field) for value in read.values):
        raise KehuError(
            PROOF_VALUE_UNREAD, transaction=receipt.transaction_id, expected=len(shown), actual=len(read.values)
        )


def _prove_entry(genesis: Genesis, entry: Entry, known: KnownSets) -> ProvenEntry:
    value, header = check_state(genesis, entry.table, entry.key, entry.value, entry.proof, known)
    return ProvenEntry(header, entry.table, entry.key, value)


def records_of(results: Any) -> Iterator[Mapping[str, Any]]:
    """The records that access calls answered about, in the order of the receipt."""
    for result in results if isinstance(results, list) else ():
        several = result.get("records") if isinstance(result, dict) else None
        for record in several if isinstance(several, list) else [result]:
            if isinstance(record, dict) and {"table", "record", "version", "fields"} <= set(record):
                yield record

"""Who decides a height, and what proof files show: written from docs/spec (membership.md, proof-file.md) alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from tools.verifier.chain_verifier import (
    Header,
    Validators,
    chain_id_of,
    first_validators,
    verify_receipt_proof,
    verify_state_proof,
)
from tools.verifier.primitives import checked, decode, digest, encode, require, structure

MAGIC, MAGIC_CHANGES = b"KEHU-PROOF-1\n", b"KEHU-PROOF-2\n"
FILE_BYTES_MAX = 16_777_216


@dataclass
class Sets:
    """[(activation height, set)] in order, as far as they are proven."""

    chain_id: bytes
    known: list[tuple[int, Validators]] = field(default_factory=list)

    def at(self, height: int) -> Validators:
        return [validators for activation, validators in self.known if activation <= height][-1]

    def take(self, accepted: Validators, activation: Any, height: int) -> None:
        """The next set, which a receipt of that height shows to be accepted."""
        require(type(activation) is int and activation > height, "change: activation height")
        require(activation > self.known[-1][0], "change: not after the one before")
        require(accepted.epoch == self.known[-1][1].epoch + 1, "change: epoch")
        self.known.append((activation, accepted))


def accepted_in(receipt: list[Any]) -> dict[str, Any] | None:
    """The result that shows an accepted set, if exactly one of the receipt's does."""
    found = [item for item in receipt[3] if type(item) is dict and "accepted_set" in item]
    return found[0] if receipt[1] == "ok" and len(found) == 1 else None


def follow(genesis: bytes, changes: list[bytes]) -> Sets:
    """membership.md, "Following changes without replay"."""
    sets = Sets(chain_id_of(genesis), [(0, first_validators(genesis))])
    for proof in changes:
        decided_by = sets.at(height_of(proof, 6))
        header, receipt = verify_receipt_proof(proof, sets.chain_id, decided_by)
        found = accepted_in(receipt)
        require(found is not None, "change: no receipt of an accepted set")
        if found is not None:
            sets.take(Validators.of(found["accepted_set"]), found.get("activation_height"), header.height)
    return sets


def height_of(proof: bytes, parts: int) -> int:
    """Of the header that a state or receipt proof (of so many parts) stands under; nothing is verified yet."""
    value = decode(proof, 2_097_152)
    require(type(value) is list and len(value) == parts and type(value[0]) is bytes, "proof: no header")
    return Header.of(value[0]).height


def verify_proof_file(file: bytes, genesis: bytes) -> tuple[list[Any], list[Any]]:
    """([table, record, {field: value}], [table, key, state value or None]) of a proof file."""
    content, end = file[:-32], file[-32:]
    has_changes = content.startswith(MAGIC_CHANGES)
    require(has_changes or content.startswith(MAGIC), "proof file: not one")
    require(hashlib.sha256(content).digest() == end, "proof file: not whole")
    kinds = (32, list, list, list) if has_changes else (32, list, list)
    chain_id, reads, entries, *changes = structure(content[len(MAGIC) :], "proof file", FILE_BYTES_MAX, *kinds)
    require(chain_id == chain_id_of(genesis), "proof file: another chain")
    listed = changes[0] if has_changes else []
    require(not has_changes or 1 <= len(listed) <= 1_024, "proof file: number of changes")
    require(all(type(item) is bytes for item in listed), "proof file: changes")
    sets = follow(genesis, listed)
    found = [_read(read, sets) for read in reads]
    require(any(count for count, _ in found) or entries != [], "proof file: it shows nothing")
    records = [record for _, shown in found for record in shown]
    return records, [_entry(entry, sets) for entry in entries]


def _entry(entry: Any, sets: Sets) -> list[Any]:
    require(type(entry) is list and len(entry) == 4, "entry: not a list of 4")
    table, key, value, proof = entry
    decided_by = sets.at(height_of(proof, 4))
    verify_state_proof(proof, sets.chain_id, decided_by, f"{table}/{key}", value)
    return [table, key, None if value is None else decode(value, 1 << 20)]


def _read(read: Any, sets: Sets) -> tuple[int, list[Any]]:
    """How many records the receipt is about, and those of which the file shows values."""
    proof, values = checked(read, "read", bytes, list)
    _, receipt = verify_receipt_proof(proof, sets.chain_id, sets.at(height_of(proof, 6)))
    records: dict[tuple[str, str], dict[str, Any]] = {}
    for result in receipt[3]:
        several = result.get("records", [result]) if type(result) is dict else []
        for item in several:
            if type(item) is dict and {"table", "record", "fields"} <= item.keys():
                records[item["table"], item["record"]] = item["fields"]
    shown: dict[tuple[str, str], dict[str, Any]] = {}
    for value in values:
        table, record, name, salt, plain = checked(value, "value", str, str, str, 32, str)
        said = records.get((table, record), {}).get(name, {})
        require(said.get("allowed") is True, "value: its reader was not let see it")
        expected = digest("field", encode([sets.chain_id, table, record, name, salt, plain]))
        require(expected == said["digest"], "value: another one than the chain commits to")
        require(name not in shown.setdefault((table, record), {}), "value: a second one of its field")
        shown[table, record][name] = plain
    return len(records), [[*place, fields] for place, fields in shown.items()]

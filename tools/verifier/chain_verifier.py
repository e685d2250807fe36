"""Genesis, validator sets, certificates, blocks, proofs and exports, written from docs/spec and nothing else.

It has no contracts, so it does not execute: it checks that what a quorum certified hangs together, that everything
is signed, and what proofs prove. A change of departments it follows by the state proof of `validators/schedule`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tools.verifier.primitives import (
    ZEROS,
    checked,
    decode,
    digest,
    encode,
    is_in_merkle_tree,
    is_signed,
    is_usable_key,
    merkle_root,
    require,
    root_of_state_proof,
    structure,
)

MAGIC = b"KEHU-EXPORT-1\n"
FRAME_BYTES_MAX = 71_368_768
VERSIONS = (1, 2, 3)
HEADER_KINDS = (int, 32, int, 32, int, str, 32, 32, 32, 32, 32)


@dataclass(frozen=True)
class Validators:
    """certificates.md: a validator set."""

    epoch: int
    keys: dict[str, bytes]
    digest: bytes

    @classmethod
    def of(cls, value: Any) -> Validators:
        epoch, members = checked(value, "validator set", int, list)
        pairs = [checked(member, "member", str, 32) for member in members]
        names = [name for name, _ in pairs]
        require(len(names) >= 4 and names == sorted(set(names)), "validator set: names")
        require(len({key for _, key in pairs}) == len(names), "validator set: keys")
        require(all(is_usable_key(key) for _, key in pairs), "validator set: an unusable key")
        return cls(epoch, dict(pairs), digest("validators", encode(value)))

    @property
    def quorum(self) -> int:
        n = len(self.keys)
        return (n + (n - 1) // 3) // 2 + 1


@dataclass(frozen=True)
class Header:
    raw: bytes
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

    @classmethod
    def of(cls, raw: bytes) -> Header:
        value = decode(raw, 1_024)
        is_known = type(value) is list and value[:1] in ([version] for version in VERSIONS)
        require(is_known, "header: a version that this verifier does not know")
        return cls(raw, *structure(raw, "header", 1_024, *HEADER_KINDS))

    @property
    def id(self) -> bytes:
        return digest("block", self.raw)


def chain_id_of(genesis: bytes) -> bytes:
    decode(genesis, 1_048_576)
    return digest("genesis", genesis)


def first_validators(genesis: bytes) -> Validators:
    departments = sorted(decode(genesis, 1_048_576)["departments"], key=lambda item: item["id"].encode())
    return Validators.of([0, [[item["id"], bytes.fromhex(item["key"])] for item in departments]])


def verify_certificate(raw: bytes, header: Header, validators: Validators) -> None:
    """A good commit certificate of that header's block by that set."""
    phase, epoch, height, view, block_id, signatures = structure(
        raw, "certificate", 65_536, str, int, int, int, 32, list
    )
    require((phase, height, block_id) == ("commit", header.height, header.id), "certificate: of another block")
    require(epoch == validators.epoch, "certificate: of another epoch")
    pairs = [checked(item, "certificate signature", str, 64) for item in signatures]
    names = [name for name, _ in pairs]
    require(names == sorted(set(names)), "certificate: signers are not ascending")
    require(len(names) >= validators.quorum, "certificate: no quorum")
    for name, signature in pairs:
        require(name in validators.keys, "certificate: unknown signer")
        payload = encode([epoch, height, view, block_id])
        is_good = is_signed(validators.keys[name], phase, header.chain_id, payload, signature)
        require(is_good, f"certificate: signature of {name}")


def verify_transaction(envelope: bytes, chain_id: bytes) -> bytes:
    """The id of a well-formed transaction that is signed for this chain."""
    body, signature = structure(envelope, "transaction", 65_536, bytes, 64)
    version, its_chain, key, _nonce, _expires, calls = structure(body, "body", 65_536, int, 32, 32, 16, int, list)
    require(version == 1 and its_chain == chain_id, "transaction: version or chain")
    require(1 <= len(calls) <= 100, "transaction: number of calls")
    for call in calls:
        checked(call, "call", str, dict)
    require(is_signed(key, "transaction", chain_id, body, signature), "transaction: signature")
    return digest("transaction", body)


def verify_batch(raw: bytes, chain_id: bytes, validators: Validators) -> list[bytes]:
    """The ids of a batch's transactions."""
    department, signature, envelopes = structure(raw, "batch", 1_048_576, str, 64, list)
    require(1 <= len(envelopes) <= 1_000 and all(type(item) is bytes for item in envelopes), "batch: transactions")
    require(department in validators.keys, "batch: unknown department")
    payload = encode([department, digest("batch-transactions", encode(envelopes))])
    require(is_signed(validators.keys[department], "batch", chain_id, payload, signature), "batch: signature")
    return [verify_transaction(envelope, chain_id) for envelope in envelopes]


def verify_certified(header_raw: bytes, certificate: bytes, chain_id: bytes, validators: Validators) -> Header:
    header = Header.of(header_raw)
    require(header.chain_id == chain_id, "header: of another chain")
    require(header.validators_digest == validators.digest, "header: another validator set decides this height")
    verify_certificate(certificate, header, validators)
    return header


def verify_state_proof(raw: bytes, chain_id: bytes, validators: Validators, path: str, value: bytes | None) -> Header:
    """state.md: `path` is table/key, `value` its bytes or None where it must be absent."""
    header_raw, certificate, branches, leaf = structure(raw, "state proof", 2_097_152, bytes, bytes, list, list)
    header = verify_certified(header_raw, certificate, chain_id, validators)
    for branch in branches:
        checked(branch, "branch", *[32] * 16)
    for entry in leaf:
        checked(entry, "entry", 32, 32)
    wanted = digest("state-key", path.encode())
    require(root_of_state_proof(wanted, branches, leaf) == header.state_root, "state proof: state root")
    found = dict(leaf).get(wanted)
    require(found == (None if value is None else digest("state-value", value)), "state proof: another value")
    return header


def verify_receipt_proof(raw: bytes, chain_id: bytes, validators: Validators) -> tuple[Header, list[Any]]:
    """receipts.md: the header and the receipt that is proven."""
    header_raw, certificate, receipt, index, count, path = structure(
        raw, "receipt proof", 2_097_152, bytes, bytes, bytes, int, int, list
    )
    header = verify_certified(header_raw, certificate, chain_id, validators)
    checked(path, "path", *[32] * len(path))
    require(is_in_merkle_tree(header.receipts_root, receipt, index, count, path), "receipt proof: receipts root")
    return header, decode(receipt, 1_048_576, 1_048_576)


@dataclass
class Verified:
    """What a verified export holds."""

    chain_id: bytes
    height: int = 0
    block_id: bytes = ZEROS
    transactions: int = 0
    failed: int = 0
    state_roots: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class ScheduleProof:
    """A state proof of `validators/schedule` and the value that it proves."""

    value: bytes
    proof: bytes


def verify_export(data: bytes, schedules: list[ScheduleProof]) -> Verified:
    """Everything that can be verified without contracts in an export from height 1 on."""
    frames = _frames(data)
    genesis = next(frames)
    verified, validators = Verified(chain_id_of(genesis)), first_validators(genesis)
    parent: Header | None = None
    for frame in frames:
        height, block, certificate, receipts = structure(frame, "frame", FRAME_BYTES_MAX, int, bytes, bytes, bytes)
        header_raw, parent_certificate, batches = _block(block)
        header = Header.of(header_raw)
        before = validators
        if header.validators_digest != validators.digest:
            validators = _next_validators(header, parent, validators, schedules)
        _verify_links(header, parent, verified, height, parent_certificate, before)
        verify_certified(header_raw, certificate, verified.chain_id, validators)
        require(header.primary in validators.keys, "header: primary")
        require(merkle_root(batches) == header.batches_root, "header: batches root")
        ids = [id_ for batch in batches for id_ in verify_batch(batch, verified.chain_id, validators)]
        verified.failed += _verify_receipts(receipts, header, ids)
        verified.transactions += len(ids)
        verified.height, verified.block_id, parent = height, header.id, header
        verified.state_roots[height] = header.state_root
    return verified


def _block(raw: bytes) -> tuple[bytes, bytes | None, list[bytes]]:
    value = decode(raw, 4_194_304)
    require(type(value) is list and len(value) == 3, "block: not a list of 3")
    header, certificate, batches = value
    require(type(header) is bytes and (certificate is None or type(certificate) is bytes), "block: kinds")
    require(type(batches) is list and all(type(batch) is bytes for batch in batches), "block: batches")
    return header, certificate, batches


def _verify_links(
    header: Header,
    parent: Header | None,
    verified: Verified,
    height: int,
    certificate: bytes | None,
    before: Validators,
) -> None:
    require(height == header.height == verified.height + 1, "heights have a gap")
    require(header.chain_id == verified.chain_id, "header: of another chain")
    if parent is None:
        require(certificate is None and header.parent_certificate_digest == ZEROS, "block 1: parent certificate")
        return
    require(header.version >= parent.version, "header: the version falls")
    require(header.parent_id == parent.id and header.time_ms >= parent.time_ms, "header: parent or time")
    require(certificate is not None, "block: no parent certificate")
    if certificate is not None:
        require(header.parent_certificate_digest == digest("certificate", certificate), "header: parent certificate")
        verify_certificate(certificate, parent, before)


def _next_validators(
    header: Header, parent: Header | None, known: Validators, schedules: list[ScheduleProof]
) -> Validators:
    """certificates.md: the set that the state after the parent names for this height."""
    for schedule in schedules:
        header_raw = structure(schedule.proof, "state proof", 2_097_152, bytes, bytes, list, list)[0]
        if parent is None or header_raw != parent.raw:
            continue
        verify_state_proof(schedule.proof, header.chain_id, known, "validators/schedule", schedule.value)
        sets = [value for activation, value in decode(schedule.value, 1 << 20)["sets"] if activation <= header.height]
        return Validators.of(sets[-1])
    require(False, f"height {header.height} is decided by a set that no proof was given for")
    raise AssertionError


def _verify_receipts(raw: bytes, header: Header, ids: list[bytes]) -> int:
    """How many of the block's transactions failed."""
    receipts = decode(raw, 67_108_864)
    require(type(receipts) is list and all(type(item) is bytes for item in receipts), "receipts: kinds")
    require(merkle_root(receipts) == header.receipts_root, "header: receipts root")
    decoded = [decode(item, 1_048_576, 1_048_576) for item in receipts]
    require([item[0] for item in decoded] == ids, "receipts: of other transactions")
    return sum(item[1] != "ok" for item in decoded)


def _frames(data: bytes) -> Iterator[bytes]:
    """export.md: genesis, then the frame of every height; the end is checked here."""
    require(data.startswith(MAGIC), "not an export")
    at = len(MAGIC)
    frames: list[bytes] = []
    while True:
        length = int.from_bytes(data[at : at + 4], "big")
        require(length <= (FRAME_BYTES_MAX if frames else 1_048_576), "a frame is too long")
        frame = data[at + 4 : at + 4 + length]
        require(at + 4 <= len(data) and len(frame) == length, "truncated")
        value = decode(frame, FRAME_BYTES_MAX)
        if frames and type(value) is list and value[:1] == ["end"]:
            break
        frames.append(frame)
        at += 4 + length
    _, height, sha = checked(value, "end", str, int, 32)
    require(sha == hashlib.sha256(data[:at]).digest(), "end: digest")
    require(at + 4 + length == len(data), "bytes follow the end")
    require(len(frames) == 1 or decode(frames[-1], FRAME_BYTES_MAX)[0] == height, "end: height")
    yield from frames

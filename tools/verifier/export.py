"""Exports, written from docs/spec (export.md, batches-blocks.md, membership.md) alone.

It has no contracts, so it does not execute: it checks that what a quorum certified hangs together and that everything
is signed. Who decides a height it knows from the receipts that come before it. It holds one height in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from tools.verifier.chain_verifier import (
    Header,
    Validators,
    chain_id_of,
    first_validators,
    verify_batch,
    verify_certificate,
    verify_certified,
    verify_state_proof,
)
from tools.verifier.following import Sets, accepted_in
from tools.verifier.primitives import ZEROS, checked, decode, digest, merkle_root, require, structure

MAGIC = b"KEHU-EXPORT-1\n"
FRAME_BYTES_MAX = 71_368_768


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


def verify_export(file: BinaryIO, schedules: Sequence[ScheduleProof] = ()) -> Verified:
    """Everything that can be verified without contracts in an export from height 1 on.

    `schedules`: the other way of certificates.md to a set, for chains of contracts whose receipts do not show it.
    """
    frames = _frames(file)
    genesis, _ = next(frames)
    verified = Verified(chain_id_of(genesis))
    sets = Sets(verified.chain_id, [(0, first_validators(genesis))])
    parent: Header | None = None
    for _, frame in frames:
        height, block, certificate, receipts = checked(frame, "frame", int, bytes, bytes, bytes)
        header_raw, parent_certificate, batches = _block(block)
        header = Header.of(header_raw)
        require(height == header.height == verified.height + 1, "heights have a gap")
        if header.validators_digest != sets.at(height).digest:
            sets.known.append((height, _scheduled(header, parent, sets, schedules)))
        validators = sets.at(height)
        _verify_links(header, parent, verified.chain_id, parent_certificate, sets)
        verify_certified(header_raw, certificate, verified.chain_id, validators)
        require(header.primary in validators.keys, "header: primary")
        require(merkle_root(batches) == header.batches_root, "header: batches root")
        ids = [id_ for batch in batches for id_ in verify_batch(batch, verified.chain_id, validators)]
        decoded = _receipts(receipts, header, ids)
        for receipt in decoded:
            _follow(receipt, height, sets)
        verified.failed += sum(receipt[1] != "ok" for receipt in decoded)
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
    header: Header, parent: Header | None, chain_id: bytes, certificate: bytes | None, sets: Sets
) -> None:
    require(header.chain_id == chain_id, "header: of another chain")
    if parent is None:
        require(certificate is None and header.parent_certificate_digest == ZEROS, "block 1: parent certificate")
        return
    require(header.version >= parent.version, "header: the version falls")
    require(header.parent_id == parent.id and header.time_ms >= parent.time_ms, "header: parent or time")
    require(certificate is not None, "block: no parent certificate")
    if certificate is not None:
        require(header.parent_certificate_digest == digest("certificate", certificate), "header: parent certificate")
        verify_certificate(certificate, parent, sets.at(parent.height))


def _scheduled(header: Header, parent: Header | None, sets: Sets, schedules: Sequence[ScheduleProof]) -> Validators:
    """certificates.md: the set that the state after the parent names for this height."""
    for schedule in schedules:
        header_raw = structure(schedule.proof, "state proof", 2_097_152, bytes, bytes, list, list)[0]
        if parent is None or header_raw != parent.raw:
            continue
        decided_by = sets.at(parent.height)
        verify_state_proof(schedule.proof, header.chain_id, decided_by, "validators/schedule", schedule.value)
        named = [value for activation, value in decode(schedule.value, 1 << 20)["sets"] if activation <= header.height]
        return Validators.of(named[-1])
    require(False, f"height {header.height} is decided by a set that nothing before it shows to be accepted")
    raise AssertionError


def _receipts(raw: bytes, header: Header, ids: list[bytes]) -> list[list[Any]]:
    receipts = decode(raw, 67_108_864)
    require(type(receipts) is list and all(type(item) is bytes for item in receipts), "receipts: kinds")
    require(merkle_root(receipts) == header.receipts_root, "header: receipts root")
    decoded = [decode(item, 1_048_576, 1_048_576) for item in receipts]
    require(all(type(item) is list and len(item) == 5 and type(item[3]) is list for item in decoded), "receipt: form")
    require([item[0] for item in decoded] == ids, "receipts: of other transactions")
    return decoded


def _follow(receipt: list[Any], height: int, sets: Sets) -> None:
    """membership.md: an accepted set counts; one of the epoch that is known is no step (a move, a new protocol)."""
    found = accepted_in(receipt)
    if found is None:
        return
    accepted = Validators.of(found["accepted_set"])
    if accepted.epoch != sets.known[-1][1].epoch:
        sets.take(accepted, found.get("activation_height"), height)


def _frames(file: BinaryIO) -> Iterator[tuple[bytes, Any]]:
    """export.md: genesis, then the frame of every height, each with its value; at the end that is checked."""
    sha = hashlib.sha256()
    require(file.read(len(MAGIC)) == MAGIC, "not an export")
    sha.update(MAGIC)
    number = last = 0
    while True:
        prefix = file.read(4)
        length = int.from_bytes(prefix, "big")
        require(length <= (FRAME_BYTES_MAX if number else 1_048_576), "a frame is too long")
        frame = file.read(length)
        require(len(prefix) == 4 and len(frame) == length, "truncated")
        value = decode(frame, FRAME_BYTES_MAX)
        if number and type(value) is list and value[:1] == ["end"]:
            break
        sha.update(prefix + frame)
        yield frame, value
        last = value[0] if number else 0
        number += 1
    _, height, digest_ = checked(value, "end", str, int, 32)
    require(digest_ == sha.digest(), "end: digest")
    require(not file.read(1), "bytes follow the end")
    require(height == last, "end: height")

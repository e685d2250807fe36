"""Genesis, validator sets, certificates, headers, batches and proofs, written from docs/spec and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tools.verifier.primitives import (
    checked,
    decode,
    digest,
    encode,
    is_in_merkle_tree,
    is_signed,
    is_usable_key,
    require,
    root_of_state_proof,
    structure,
)

VERSIONS = (1, 2, 3, 4)
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

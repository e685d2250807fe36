"""Evidence as the command shows it. Pure functions; nothing here trusts a node."""

from __future__ import annotations

from typing import Any, Final

from chain.errors import KehuError, define
from chain.evidence import MAGIC, Evidence
from chain.genesis import Genesis
from chain.validators import ValidatorSet

EVIDENCE_EPOCH: Final = define(
    "evidence.other_epoch",
    "the evidence is about a height that another set of departments decided than the genesis names",
    "check it against that set: the network's audit replays every set from the genesis on",
)


def is_evidence_file(raw: bytes) -> bool:
    return raw.startswith(MAGIC)


def read_evidence(raw: bytes) -> dict[str, Any]:
    """The statements of a piece of evidence, and its bytes as a file. Errors: codec.*."""
    evidence = Evidence.from_bytes(raw)
    one, other = ({"content": item.content, "signature": item.signature} for item in (evidence.one, evidence.other))
    return {"one": one, "other": other, "file": evidence.to_file()}


def verify_evidence_file(genesis: Genesis, raw: bytes) -> dict[str, Any]:
    """What the file proves. Errors: evidence.*."""
    evidence, validators = Evidence.from_file(raw), genesis.validators
    if evidence.epoch != validators.epoch:
        raise KehuError(EVIDENCE_EPOCH, evidence=evidence.name, expected=validators.epoch, actual=evidence.epoch)
    evidence.verify(validators, genesis.chain_id)
    return facts_of(evidence, validators)


def facts_of(evidence: Evidence, validators: ValidatorSet) -> dict[str, Any]:
    return {
        "name": evidence.name,
        "department": evidence.department,
        "key": validators.key_of(evidence.department),
        "kind": evidence.kind,
        "epoch": evidence.epoch,
        "height": evidence.height,
        "view": evidence.view,
    }

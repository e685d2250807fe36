"""Evidence as the command shows it. Pure functions; nothing here trusts a node."""

from __future__ import annotations

from typing import Any, Final

from chain.errors import KehuError, define
from chain.evidence import MAGIC, MAGIC_CHANGES, Evidence
from chain.following import KnownSets
from chain.genesis import Genesis
from chain.validators import ValidatorSet

EVIDENCE_EPOCH: Final = define(
    "evidence.other_epoch",
    "the evidence is about a height that another set of departments decided than the file shows from the genesis on",
    "ask for the file again: `kehu evidence export` packs the proofs of every change of membership up to that height",
)


def is_evidence_file(raw: bytes) -> bool:
    return raw.startswith((MAGIC, MAGIC_CHANGES))


def read_evidence(raw: bytes, known: KnownSets) -> dict[str, Any]:
    """The statements of a piece of evidence, and its bytes as a file. `known` has its epoch. Errors: codec.*."""
    evidence = Evidence.from_bytes(raw)
    file = evidence.to_file(known.changes_to(evidence.height))
    one, other = ({"content": item.content, "signature": item.signature} for item in (evidence.one, evidence.other))
    return {"one": one, "other": other, "file": file}


def verify_evidence_file(genesis: Genesis, raw: bytes) -> dict[str, Any]:
    """What the file proves. Errors: evidence.*, proof.*, certificate.*, codec.*."""
    evidence, changes = Evidence.read_file(raw)
    validators = KnownSets(genesis, changes).at(evidence.height)
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

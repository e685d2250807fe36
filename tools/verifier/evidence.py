"""Evidence of equivocation, written from docs/spec/evidence.md and membership.md and nothing else."""

from __future__ import annotations

import hashlib

from tools.verifier.chain_verifier import Validators
from tools.verifier.following import follow
from tools.verifier.primitives import checked, encode, is_signed, require, structure

MAGIC, MAGIC_CHANGES = b"KEHU-EVIDENCE-1\n", b"KEHU-EVIDENCE-2\n"
KINDS = ("pre-prepare", "prepare", "commit", "view-change")
KINDS_OF_PARTS = (int, 32, str, int, int, int, str, list, list)


def verify_evidence_file(file: bytes, genesis: bytes) -> str:
    """As `verify_evidence`, with the set that follows from the genesis and the changes that the file brings along."""
    require(hashlib.sha256(file[:-32]).digest() == file[-32:], "evidence: not whole")
    changes: list[bytes] = []
    if file.startswith(MAGIC_CHANGES):
        inner, changes = structure(file[len(MAGIC_CHANGES) : -32], "evidence file", 16_777_216, bytes, list)
        require(1 <= len(changes) <= 1_024 and all(type(item) is bytes for item in changes), "evidence: changes")
        file = MAGIC + inner
        file += hashlib.sha256(file).digest()
    sets = follow(genesis, changes)
    height = structure(file[len(MAGIC) : -32], "evidence", 32_768, *KINDS_OF_PARTS)[4]
    return verify_evidence(file, sets.chain_id, sets.at(height))


def verify_evidence(file: bytes, chain_id: bytes, validators: Validators) -> str:
    """The department that is proven to have equivocated."""
    content, end = file[:-32], file[-32:]
    require(content.startswith(MAGIC) and hashlib.sha256(content).digest() == end, "evidence: not whole")
    version, chain, kind, epoch, height, view, department, *statements = structure(
        content[len(MAGIC) :], "evidence", 32_768, *KINDS_OF_PARTS
    )
    require((version, chain) == (1, chain_id), "evidence: version or chain")
    require(kind in KINDS, "evidence: kind")
    require(epoch == validators.epoch and department in validators.keys, "evidence: not a member of the set")
    contents = []
    for statement in statements:
        require(len(statement) == 2, "evidence: statement")
        said, signature = statement
        if kind == "view-change":
            require(said is None or type(said) is list, "evidence: content")
        else:
            checked([said], "content", 32)
        payload = encode([epoch, height, view, said])
        is_good = is_signed(validators.keys[department], kind, chain_id, payload, signature)
        require(is_good, "evidence: signature")
        contents.append(encode(said))
    require(contents[0] < contents[1], "evidence: not two statements in order")
    return str(department)

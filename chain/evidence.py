"""Equivocation, provable to anybody: two statements of one department that a correct one never signs both of.

A department signs at most one PRE-PREPARE, PREPARE, COMMIT and VIEW-CHANGE for one height and view. Two with different
contents, under good signatures of the department's key, are evidence; whoever has the validator set can check it,
without a node and without believing the finder (docs/spec/evidence.md; PeerReview, Haeberlen et al., SOSP 2007).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from chain import codec
from chain.crypto import Verifier, verify
from chain.errors import KehuError, define
from chain.following import CHANGES_MAX
from chain.validators import ValidatorSet

Kind = Literal["pre-prepare", "prepare", "commit", "view-change"]
KINDS: Final = ("pre-prepare", "prepare", "commit", "view-change")
"""What is signed; also the purposes of the signatures."""
EVIDENCE_VERSION: Final = 1
EVIDENCE_BYTES_MAX: Final = 1 << 15
FILE_BYTES_MAX: Final = 16 << 20
REPORT_CALL: Final = "evidence.report"
"""The contract's call that puts evidence on the chain; audits count it."""
MAGIC: Final = b"KEHU-EVIDENCE-1\n"
MAGIC_CHANGES: Final = b"KEHU-EVIDENCE-2\n"
"""Of a file that shows by receipt proofs who decided the height, because genesis does not say it."""
_DIGEST_BYTES: Final = 32

EVIDENCE_INVALID = define(
    "evidence.invalid",
    "this is no evidence of equivocation: the named part is not as it has to be",
    "don't believe the accusation; nothing has been proven",
)
EVIDENCE_MALFORMED = define(
    "evidence.file_malformed",
    "this is not an evidence file, or it was damaged on its way",
    "ask for the file again; the digest at its end covers every byte before it",
)


@dataclass(frozen=True, slots=True)
class Statement:
    """`content`: the block id (32 bytes), or of a VIEW-CHANGE the prepared certificate as a value, or None."""

    content: codec.Value
    signature: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two statements of `department`, in ascending order of their encoded contents."""

    chain_id: bytes
    kind: Kind
    epoch: int
    height: int
    view: int
    department: str
    one: Statement
    other: Statement

    @classmethod
    def of(
        cls, chain_id: bytes, kind: Kind, epoch: int, height: int, view: int, department: str, *statements: Statement
    ) -> Evidence:
        """From two statements in any order."""
        one, other = sorted(statements, key=lambda item: codec.encode_flat(item.content))
        return cls(chain_id, kind, epoch, height, view, department, one, other)

    @property
    def name(self) -> str:
        """One per department, height, view and kind: further evidence of the same says nothing new."""
        return f"{self.department}.{self.height}.{self.view}.{self.kind}"

    def verify(self, validators: ValidatorSet, chain_id: bytes, check: Verifier = verify) -> None:
        """Raises evidence.invalid unless it proves that the department broke the protocol. `validators`: those of
        the height."""
        key = validators.key_of(self.department)
        contents = [codec.encode_flat(item.content) for item in (self.one, self.other)]
        for part, is_good in (
            ("chain_id", self.chain_id == chain_id),
            ("epoch", self.epoch == validators.epoch),
            ("department", key is not None),
            ("statements", contents[0] < contents[1]),
        ):
            if not is_good:
                raise KehuError(EVIDENCE_INVALID, part=part, evidence=self.name)
        for part, item in (("signature of the first", self.one), ("signature of the second", self.other)):
            payload = codec.encode_flat([self.epoch, self.height, self.view, item.content])
            if key is None or not check(key, self.kind, chain_id, payload, item.signature):
                raise KehuError(EVIDENCE_INVALID, part=part, evidence=self.name)

    def to_value(self) -> codec.Value:
        statements = [[item.content, item.signature] for item in (self.one, self.other)]
        place = [self.epoch, self.height, self.view]
        return [EVIDENCE_VERSION, self.chain_id, self.kind, *place, self.department, *statements]

    def to_bytes(self) -> bytes:
        return codec.encode_flat(self.to_value())

    @classmethod
    def from_bytes(cls, data: bytes) -> Evidence:
        """Errors: codec.*."""
        u = codec.is_uint
        _, chain_id, kind, epoch, height, view, department, one, other = codec.fields(
            codec.decode(data, EVIDENCE_BYTES_MAX), "evidence", _is_version,
            codec.is_digest, KINDS.__contains__, u, u, u, codec.is_text, codec.is_list, codec.is_list,
        )  # fmt: skip
        content = codec.optional(codec.is_list) if kind == "view-change" else codec.is_digest
        pairs = [codec.fields(item, "statement", content, codec.is_signature) for item in (one, other)]
        return cls(chain_id, kind, epoch, height, view, department, *(Statement(*pair) for pair in pairs))

    def to_file(self, changes: Sequence[bytes] = ()) -> bytes:
        """The bytes of an evidence file. `changes`: receipt proofs of the changes of membership up to its height."""
        content = MAGIC + self.to_bytes()
        if changes:
            content = MAGIC_CHANGES + codec.encode_flat([self.to_bytes(), list(changes)])
        return content + hashlib.sha256(content).digest()

    @classmethod
    def from_file(cls, raw: bytes) -> Evidence:
        """Errors: evidence.file_malformed."""
        return cls.read_file(raw)[0]

    @classmethod
    def read_file(cls, raw: bytes) -> tuple[Evidence, tuple[bytes, ...]]:
        """The evidence and the changes that the file brings along. Errors: evidence.file_malformed."""
        content, digest = raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
        if not content.startswith((MAGIC, MAGIC_CHANGES)) or hashlib.sha256(content).digest() != digest:
            raise KehuError(EVIDENCE_MALFORMED, bytes=len(raw))
        rest, changes = content[len(MAGIC) :], []
        try:
            if content.startswith(MAGIC_CHANGES):
                listed = codec.list_of(codec.is_bytes, CHANGES_MAX)
                decoded = codec.decode(rest, FILE_BYTES_MAX)
                rest, changes = codec.fields(decoded, "evidence file", codec.is_bytes, listed)
                if not changes:
                    raise KehuError(EVIDENCE_MALFORMED, bytes=len(raw), problem="no changes")
            return cls.from_bytes(rest), tuple(changes)
        except KehuError as error:
            raise KehuError(EVIDENCE_MALFORMED, bytes=len(raw), problem=error.code) from None


def _is_version(value: codec.Value) -> bool:
    return type(value) is int and value == EVIDENCE_VERSION

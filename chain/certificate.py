"""Votes and the certificates that a quorum of them makes.

A vote says: in this validator epoch, at this height, in this view, my department prepares (or commits) this
block. `PREPARE` and `COMMIT` are Castro and Liskov's (OSDI 1999, section 4.2); the primary sends a PREPARE
of its own beside its PRE-PREPARE, so that both certificates are quorums of one kind of vote.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from chain import codec
from chain.crypto import Signer, Verifier, verify
from chain.errors import KehuError, define
from chain.validators import ValidatorSet

Phase = Literal["prepare", "commit"]
PHASES: Final = ("prepare", "commit")
CERTIFICATE_BYTES_MAX: Final = 1 << 16

CERTIFICATE_UNKNOWN_SIGNER = define(
    "certificate.unknown_signer",
    "a certificate carries a signature of somebody who is not in the validator set of its height",
    "ask another node; this one holds or relays a forged certificate",
)
CERTIFICATE_DUPLICATE = define(
    "certificate.duplicate_signer",
    "a certificate names a signer twice, or not in order",
    "ask another node; this one holds or relays a forged certificate",
)
CERTIFICATE_NO_QUORUM = define(
    "certificate.no_quorum",
    "a certificate has fewer distinct signers than a quorum",
    "ask another node; this one holds or relays a forged certificate",
)
CERTIFICATE_MISMATCH = define(
    "certificate.mismatch",
    "a certificate is for another block, height, epoch or phase than the one it came with",
    "ask another node; this one holds or relays a forged certificate",
)
CERTIFICATE_SIGNATURE = define(
    "certificate.signature",
    "a signature in a certificate does not verify",
    "ask another node; this one holds or relays a forged certificate",
)


def vote_payload(epoch: int, height: int, view: int, block_id: bytes) -> bytes:
    """What a vote's signature covers beside its purpose (the phase) and the chain id."""
    return codec.encode_flat([epoch, height, view, block_id])


VoteShape: TypeAlias = tuple[Phase, codec.UInt, codec.UInt, codec.UInt, codec.Digest, str, codec.Signature]
"""A vote's fields in their order, for `codec.Shape`."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One department's signed PREPARE or COMMIT."""

    phase: Phase
    epoch: int
    height: int
    view: int
    block_id: bytes
    department: str
    signature: bytes

    def payload(self) -> bytes:
        return vote_payload(self.epoch, self.height, self.view, self.block_id)

    def is_valid(self, validators: ValidatorSet, chain_id: bytes, check: Verifier = verify) -> bool:
        key = validators.key_of(self.department)
        if key is None or self.epoch != validators.epoch:
            return False
        return check(key, self.phase, chain_id, self.payload(), self.signature)

    def to_value(self) -> codec.Value:
        return [
            self.phase,
            self.epoch,
            self.height,
            self.view,
            self.block_id,
            self.department,
            self.signature,
        ]

    @classmethod
    def from_value(cls, value: codec.Value) -> Vote:
        u = codec.is_uint
        checked = codec.fields(
            value, "vote", PHASES.__contains__, u, u, u, codec.is_digest, codec.is_text, codec.is_signature
        )
        return cls(*checked)


def sign_vote(
    signer: Signer,
    chain_id: bytes,
    phase: Phase,
    epoch: int,
    height: int,
    view: int,
    block_id: bytes,
    department: str,
) -> Vote:
    signature = signer.sign(phase, chain_id, vote_payload(epoch, height, view, block_id))
    return Vote(phase, epoch, height, view, block_id, department, signature)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A quorum of votes of one phase for one block: signatures in order of department id.

    A *prepared certificate* (phase prepare) travels in view changes; a *commit certificate* (phase commit)
    is what makes a block final and is stored beside it.
    """

    phase: Phase
    epoch: int
    height: int
    view: int
    block_id: bytes
    signatures: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, votes: Iterable[Vote]) -> Certificate:
        """The certificate of matching votes, one per department."""
        ordered = sorted(votes, key=lambda vote: vote.department)
        first = ordered[0]
        signatures = tuple((vote.department, vote.signature) for vote in ordered)
        return cls(first.phase, first.epoch, first.height, first.view, first.block_id, signatures)

    def verify(
        self,
        validators: ValidatorSet,
        chain_id: bytes,
        check: Verifier = verify,
        known: Certificate | None = None,
    ) -> None:
        """Raises unless every signature is good and the signers are a quorum of `validators`.

        All signatures are checked, also those beyond the quorum: a certificate with garbage in it is refused. What
        stands in `known` as well, which has been verified under the same set and chain, is not verified again.
        """
        if self.epoch != validators.epoch:
            raise KehuError(CERTIFICATE_MISMATCH, field="epoch", expected=validators.epoch, actual=self.epoch)
        names = [department for department, _ in self.signatures]
        if names != sorted(set(names)):
            raise KehuError(CERTIFICATE_DUPLICATE, height=self.height, signers=",".join(names))
        if len(names) < validators.quorum:
            raise KehuError(CERTIFICATE_NO_QUORUM, height=self.height, expected=validators.quorum, actual=len(names))
        payload = vote_payload(self.epoch, self.height, self.view, self.block_id)
        good = known.signatures if known is not None and known.says_as(self) else ()
        for department, signature in self.signatures:
            key = validators.key_of(department)
            if key is None:
                raise KehuError(CERTIFICATE_UNKNOWN_SIGNER, height=self.height, signer=department)
            if (department, signature) not in good and not check(key, self.phase, chain_id, payload, signature):
                raise KehuError(CERTIFICATE_SIGNATURE, height=self.height, signer=department)

    def says_as(self, other: Certificate) -> bool:
        """Whether the votes of both say the same: of one phase, epoch, height, view and block."""
        return (self.phase, self.epoch, self.height, self.view, self.block_id) == (
            other.phase, other.epoch, other.height, other.view, other.block_id
        )  # fmt: skip

    def could_be_of(self, validators: ValidatorSet) -> bool:
        """Whether each signer is a member and none stands twice. What could not be a certificate of this set may be
        as large as a message: it is not kept, and not passed on in a message that would be too large with it."""
        names = {department for department, _ in self.signatures}
        return len(names) == len(self.signatures) and names <= set(validators.departments)

    def require(self, phase: Phase, height: int, block_id: bytes) -> None:
        """Raises unless this is a certificate of `phase` for that block."""
        for field, expected, actual in (
            ("phase", phase, self.phase),
            ("height", height, self.height),
            ("block_id", block_id, self.block_id),
        ):
            if expected != actual:
                raise KehuError(CERTIFICATE_MISMATCH, field=field, expected=expected, actual=actual)

    def to_value(self) -> codec.Value:
        signatures = [[department, signature] for department, signature in self.signatures]
        return [self.phase, self.epoch, self.height, self.view, self.block_id, signatures]

    @classmethod
    def from_value(cls, value: codec.Value) -> Certificate:
        u = codec.is_uint
        phase, epoch, height, view, block_id, signatures = codec.fields(
            value, "certificate", PHASES.__contains__, u, u, u, codec.is_digest, codec.is_list
        )
        pairs = [codec.fields(item, "signature", codec.is_text, codec.is_signature) for item in signatures]
        return cls(phase, epoch, height, view, block_id, tuple((name, signature) for name, signature in pairs))

    def to_bytes(self) -> bytes:
        return codec.encode_flat(self.to_value())

    @classmethod
    def from_bytes(cls, data: bytes) -> Certificate:
        return cls.from_value(codec.decode(data, CERTIFICATE_BYTES_MAX))

"""What replicas say to each other, and its one encoding (docs/spec/consensus.md, section Messages).

A message is a canonical list whose first element names its kind. `decode_message` is the only way in for bytes; it
checks shapes and sizes, never signatures. Signed messages cover their purpose, the chain id, the validator epoch,
height and view, so none of them can stand for another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from chain import codec
from chain.certificate import Certificate, Vote, VoteShape
from chain.crypto import Signer, Verifier, digest
from chain.errors import CODEC_SHAPE, KehuError
from chain.validators import ValidatorSet

OVERHEAD_BYTES_MAX: Final = 4 << 20
"""Room beside the body: a NEW-VIEW of a hundred departments with full certificates takes about a megabyte."""
MEMBERS_MAX: Final = 1 << 10
"""More VIEW-CHANGEs than this in one NEW-VIEW are refused before they are looked at."""


@dataclass(frozen=True, slots=True)
class PrePrepare:
    """The primary's proposal: `block_id` is to be the block at `height`, in `view`.

    The signature covers all but `body` and `parent_certificate`: the first is bound by `block_id`, the second
    by its own signatures. The parent's commit certificate shows a backup that was left behind that `view` is active.
    """

    epoch: int
    height: int
    view: int
    block_id: bytes
    department: str
    signature: bytes
    body: bytes
    parent_certificate: Certificate | None

    kind = "pre-prepare"

    def payload(self) -> bytes:
        return codec.encode_flat([self.epoch, self.height, self.view, self.block_id])

    def to_bytes(self) -> bytes:
        certificate = self.parent_certificate
        return codec.encode_flat(
            [
                self.kind,
                self.epoch,
                self.height,
                self.view,
                self.block_id,
                self.department,
                self.signature,
                self.body,
                None if certificate is None else certificate.to_value(),
            ]
        )

    @classmethod
    def from_value(cls, value: codec.Value) -> PrePrepare:
        u = codec.is_uint
        _, epoch, height, view, block_id, department, signature, body, certificate = codec.fields(
            value,
            cls.kind,
            _any,
            u,
            u,
            u,
            codec.is_digest,
            codec.is_text,
            codec.is_signature,
            codec.is_bytes,
            _maybe_list,
        )
        parent = _certificate_or_none(certificate)
        return cls(epoch, height, view, block_id, department, signature, body, parent)

    @classmethod
    def signed(
        cls,
        signer: Signer,
        chain_id: bytes,
        epoch: int,
        height: int,
        view: int,
        block_id: bytes,
        department: str,
        body: bytes,
        parent_certificate: Certificate | None,
    ) -> PrePrepare:
        payload = codec.encode_flat([epoch, height, view, block_id])
        signature = signer.sign(cls.kind, chain_id, payload)
        return cls(epoch, height, view, block_id, department, signature, body, parent_certificate)


@dataclass(frozen=True, slots=True)
class VoteMessage:
    """A PREPARE or COMMIT on its way (`vote.phase` says which)."""

    vote: Vote

    kind = "vote"

    def to_bytes(self) -> bytes:
        return codec.encode_flat([self.kind, self.vote.to_value()])

    @classmethod
    def from_value(cls, value: codec.Value) -> VoteMessage:
        return cls(Vote.from_value(codec.fields(value, cls.kind, _any, codec.is_list)[1]))


@dataclass(frozen=True, slots=True)
class ViewChange:
    """A promise: at `height`, `department` votes in no view below `view` any more.

    `prepared` is the prepared certificate of the highest view in which it prepared a block at this height, if any.
    """

    epoch: int
    height: int
    view: int
    prepared: Certificate | None
    department: str
    signature: bytes

    kind = "view-change"

    def payload(self) -> bytes:
        prepared = None if self.prepared is None else self.prepared.to_value()
        return codec.encode_flat([self.epoch, self.height, self.view, prepared])

    def is_signed(self, validators: ValidatorSet, chain_id: bytes, check: Verifier) -> bool:
        key = validators.key_of(self.department)
        if key is None or self.epoch != validators.epoch:
            return False
        return check(key, self.kind, chain_id, self.payload(), self.signature)

    def to_value(self) -> codec.Value:
        prepared = None if self.prepared is None else self.prepared.to_value()
        return [self.kind, self.epoch, self.height, self.view, prepared, self.department, self.signature]

    def to_bytes(self) -> bytes:
        return codec.encode_flat(self.to_value())

    @classmethod
    def from_value(cls, value: codec.Value) -> ViewChange:
        u = codec.is_uint
        _, epoch, height, view, prepared, department, signature = codec.fields(
            value, cls.kind, _is_kind(cls.kind), u, u, u, _maybe_list, codec.is_text, codec.is_signature
        )
        return cls(epoch, height, view, _certificate_or_none(prepared), department, signature)

    @classmethod
    def signed(
        cls,
        signer: Signer,
        chain_id: bytes,
        epoch: int,
        height: int,
        view: int,
        prepared: Certificate | None,
        department: str,
    ) -> ViewChange:
        unsigned = cls(epoch, height, view, prepared, department, bytes(64))
        signature = signer.sign(cls.kind, chain_id, unsigned.payload())
        return cls(epoch, height, view, prepared, department, signature)


@dataclass(frozen=True, slots=True)
class NewView:
    """The primary of `view` shows a quorum of VIEW-CHANGEs, in order of department, and what follows from them.

    `block_id` is the block that must be proposed again, or None when the primary is free to build a new one. Every
    backup computes it again. The message proves itself, so anybody may pass it on.
    """

    epoch: int
    height: int
    view: int
    block_id: bytes | None
    view_changes: tuple[ViewChange, ...]
    department: str
    signature: bytes

    kind = "new-view"

    def payload(self) -> bytes:
        changes = codec.encode_flat([change.to_value() for change in self.view_changes])
        return codec.encode_flat([self.epoch, self.height, self.view, self.block_id, digest("view-changes", changes)])

    def is_signed(self, validators: ValidatorSet, chain_id: bytes, check: Verifier) -> bool:
        key = validators.key_of(self.department)
        if key is None or self.epoch != validators.epoch or self.department != validators.primary(self.view):
            return False
        return check(key, self.kind, chain_id, self.payload(), self.signature)

    def to_bytes(self) -> bytes:
        changes = [change.to_value() for change in self.view_changes]
        return codec.encode_flat(
            [self.kind, self.epoch, self.height, self.view, self.block_id, changes, self.department, self.signature]
        )

    @classmethod
    def from_value(cls, value: codec.Value) -> NewView:
        u = codec.is_uint
        block = codec.optional(codec.is_digest)
        _, epoch, height, view, block_id, changes, department, signature = codec.fields(
            value, cls.kind, _is_kind(cls.kind), u, u, u, block, _is_members, codec.is_text, codec.is_signature
        )
        parsed = tuple(ViewChange.from_value(change) for change in changes)
        return cls(epoch, height, view, block_id, parsed, department, signature)

    @classmethod
    def signed(
        cls,
        signer: Signer,
        chain_id: bytes,
        epoch: int,
        height: int,
        view: int,
        block_id: bytes | None,
        view_changes: tuple[ViewChange, ...],
        department: str,
    ) -> NewView:
        unsigned = cls(epoch, height, view, block_id, view_changes, department, bytes(64))
        signature = signer.sign(cls.kind, chain_id, unsigned.payload())
        return cls(epoch, height, view, block_id, view_changes, department, signature)


@dataclass(frozen=True, slots=True)
class Status:
    """Where a replica stands; whoever is ahead answers with what the other lacks. Unsigned: it only asks for help.

    `height` is the last appended one and `certificate` its commit certificate (None for the genesis block). `view`,
    `is_active` and `has_proposal` are about height + 1. `wants_reply` asks for the receiver's own status.
    """

    height: int
    view: int
    is_active: bool
    has_proposal: bool
    wants_reply: bool
    certificate: Certificate | None

    kind = "status"

    def to_bytes(self) -> bytes:
        certificate = None if self.certificate is None else self.certificate.to_value()
        return codec.encode_flat(
            [self.kind, self.height, self.view, self.is_active, self.has_proposal, self.wants_reply, certificate]
        )

    @classmethod
    def from_value(cls, value: codec.Value) -> Status:
        u = codec.is_uint
        _, height, view, is_active, has_proposal, wants_reply, certificate = codec.fields(
            value, cls.kind, _any, u, u, _is_bool, _is_bool, _is_bool, _maybe_list
        )
        return cls(height, view, is_active, has_proposal, wants_reply, _certificate_or_none(certificate))


@dataclass(frozen=True, slots=True)
class ProposalRequest:
    """A new primary asks for the body of a prepared block that it has to propose again. Unsigned."""

    height: int
    block_id: bytes

    kind = "proposal-request"

    def to_bytes(self) -> bytes:
        return codec.encode_flat([self.kind, self.height, self.block_id])

    @classmethod
    def from_value(cls, value: codec.Value) -> ProposalRequest:
        return cls(*codec.fields(value, cls.kind, _any, codec.is_uint, codec.is_digest)[1:])


@dataclass(frozen=True, slots=True)
class ProposalReply:
    """The body asked for. Unsigned: the body is validated against the block id."""

    height: int
    block_id: bytes
    body: bytes

    kind = "proposal-reply"

    def to_bytes(self) -> bytes:
        return codec.encode_flat([self.kind, self.height, self.block_id, self.body])

    @classmethod
    def from_value(cls, value: codec.Value) -> ProposalReply:
        checked = codec.fields(value, cls.kind, _any, codec.is_uint, codec.is_digest, codec.is_bytes)
        return cls(*checked[1:])


@dataclass(frozen=True, slots=True)
class Complaint:
    """The sender finds the primary of `view` too slow, at the time of `height`. Unsigned: it counts for its sender."""

    height: int
    view: int

    kind = "complaint"

    def to_bytes(self) -> bytes:
        return codec.encode_flat([self.kind, self.height, self.view])

    @classmethod
    def from_value(cls, value: codec.Value) -> Complaint:
        return cls(*codec.fields(value, cls.kind, _any, codec.is_uint, codec.is_uint)[1:])


Message: TypeAlias = (
    PrePrepare | VoteMessage | ViewChange | NewView | Status | ProposalRequest | ProposalReply | Complaint
)

_PARSERS: Final[dict[str, Callable[[codec.Value], Message]]] = {
    PrePrepare.kind: PrePrepare.from_value,
    VoteMessage.kind: VoteMessage.from_value,
    ViewChange.kind: ViewChange.from_value,
    NewView.kind: NewView.from_value,
    Status.kind: Status.from_value,
    ProposalRequest.kind: ProposalRequest.from_value,
    ProposalReply.kind: ProposalReply.from_value,
    Complaint.kind: Complaint.from_value,
}


_VOTE: Final[codec.Shape[tuple[str, VoteShape]]] = codec.Shape(tuple[Literal["vote"], VoteShape])


def decode_message(data: bytes, body_bytes_max: int) -> Message:
    """The message whose encoding is exactly `data`; a `KehuError` for anything else, whatever the bytes are."""
    if (read := _VOTE.read(data, OVERHEAD_BYTES_MAX)) is not None:  # most messages are votes
        return VoteMessage(Vote(*read[1]))
    value = codec.decode(data, body_bytes_max + OVERHEAD_BYTES_MAX)
    parser = _PARSERS.get(value[0]) if type(value) is list and value and type(value[0]) is str else None
    if parser is None:
        raise KehuError(CODEC_SHAPE, what="message", problem="unknown kind")
    message = parser(value)
    if isinstance(message, PrePrepare | ProposalReply) and len(message.body) > body_bytes_max:
        raise KehuError(CODEC_SHAPE, what="body", bytes=len(message.body), limit=body_bytes_max)
    return message


def _any(_value: codec.Value) -> bool:
    return True


def _is_bool(value: codec.Value) -> bool:
    return type(value) is bool


def _is_members(value: codec.Value) -> bool:
    return type(value) is list and len(value) <= MEMBERS_MAX


def _is_kind(kind: str) -> codec.Check:
    return lambda value: value == kind


_maybe_list = codec.optional(codec.is_list)


def _certificate_or_none(value: codec.Value) -> Certificate | None:
    return None if value is None else Certificate.from_value(value)

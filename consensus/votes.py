"""The vote log: what a replica must remember to never vote twice differently.

A record is durable before the message that follows from it leaves (effect `Persist`). After a restart the records
of the height under way put the replica back to where its last message left it; records of appended heights are
obsolete. The log and the key belong together: a key whose log is missing only observes (consensus.recovery).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from chain import codec
from chain.certificate import Certificate, Vote
from chain.errors import CODEC_SHAPE, KehuError
from consensus.messages import OVERHEAD_BYTES_MAX, NewView, ViewChange

RECORD_BYTES_MAX: Final = 1 << 30
"""Own records are trusted for size; a body is limited where it is received."""


@dataclass(frozen=True, slots=True)
class PrepareRecord:
    """We accepted a proposal (or made it) and vote PREPARE; the body is kept to be served and proposed again."""

    vote: Vote
    body: bytes

    kind = "prepare"

    @property
    def height(self) -> int:
        return self.vote.height

    def to_bytes(self) -> bytes:
        return codec.encode_flat([self.kind, self.vote.to_value(), self.body])

    @classmethod
    def from_value(cls, value: codec.Value) -> PrepareRecord:
        _, vote, body = codec.fields(value, "prepare record", codec.is_text, codec.is_list, codec.is_bytes)
        return cls(Vote.from_value(vote), body)


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """We hold a prepared certificate and vote COMMIT; every later VIEW-CHANGE must show the certificate."""

    vote: Vote
    prepared: Certificate

    kind = "commit"

    @property
    def height(self) -> int:
        return self.vote.height

    def to_bytes(self) -> bytes:
        return codec.encode_flat([self.kind, self.vote.to_value(), self.prepared.to_value()])

    @classmethod
    def from_value(cls, value: codec.Value) -> CommitRecord:
        _, vote, prepared = codec.fields(value, "commit record", codec.is_text, codec.is_list, codec.is_list)
        return cls(Vote.from_value(vote), Certificate.from_value(prepared))


@dataclass(frozen=True, slots=True)
class ViewChangeRecord:
    """We promised to vote in no lower view."""

    message: ViewChange

    kind = "view-change"

    @property
    def height(self) -> int:
        return self.message.height

    def to_bytes(self) -> bytes:
        return codec.encode_flat([self.kind, self.message.to_bytes()])

    @classmethod
    def from_value(cls, value: codec.Value) -> ViewChangeRecord:
        _, data = codec.fields(value, "view-change record", codec.is_text, codec.is_bytes)
        return cls(ViewChange.from_value(codec.decode(data, OVERHEAD_BYTES_MAX)))


@dataclass(frozen=True, slots=True)
class NewViewRecord:
    """We opened a view as its primary, with this quorum of VIEW-CHANGEs and no other."""

    message: NewView

    kind = "new-view"

    @property
    def height(self) -> int:
        return self.message.height

    def to_bytes(self) -> bytes:
        return codec.encode_flat([self.kind, self.message.to_bytes()])

    @classmethod
    def from_value(cls, value: codec.Value) -> NewViewRecord:
        _, data = codec.fields(value, "new-view record", codec.is_text, codec.is_bytes)
        return cls(NewView.from_value(codec.decode(data, OVERHEAD_BYTES_MAX)))


Record: TypeAlias = PrepareRecord | CommitRecord | ViewChangeRecord | NewViewRecord

_PARSERS: Final[dict[str, Callable[[codec.Value], Record]]] = {
    PrepareRecord.kind: PrepareRecord.from_value,
    CommitRecord.kind: CommitRecord.from_value,
    ViewChangeRecord.kind: ViewChangeRecord.from_value,
    NewViewRecord.kind: NewViewRecord.from_value,
}


def decode_record(data: bytes) -> Record:
    """The record, or `KehuError`: a vote log with a bad record is not a vote log, and is treated as missing."""
    value = codec.decode(data, RECORD_BYTES_MAX)
    parser = _PARSERS.get(value[0]) if type(value) is list and value and type(value[0]) is str else None
    if parser is None:
        raise KehuError(CODEC_SHAPE, what="vote record", problem="unknown kind")
    return parser(value)


def records_above(records: Iterable[bytes], height: int) -> tuple[Record, ...]:
    """The records that still matter to a replica whose last appended height is `height`, in their order."""
    return tuple(record for record in map(decode_record, records) if record.height > height)


def still_needed(records: Sequence[bytes], bodies: int) -> list[bytes]:
    """Of one height's records, in their order, those that put a replica where all of them would.

    A height without a quorum for any block may last for days, and each of its views adds a whole block. Needed are:
    what was said in the view under way, as nothing is said in a lower one any more; the newest prepared certificate,
    which VIEW-CHANGE must show, with its body; and the bodies of as many blocks as `bodies`, the newest that were
    prepared, since a certificate that somebody else has may demand one of them again.
    """
    read = [decode_record(record) for record in records]
    certified: tuple[int, bytes] | None = None
    places: dict[bytes, int] = {}
    for at, record in enumerate(read):
        if isinstance(record, CommitRecord):
            certified = at, record.vote.block_id
        elif isinstance(record, PrepareRecord):
            places.pop(record.vote.block_id, None)
            places[record.vote.block_id] = at
    needed = set(list(places.values())[-bodies:])
    if certified is not None:
        needed |= {certified[0], places.get(certified[1], certified[0])}
    last_view = _view_of(read[-1])
    return [raw for at, raw in enumerate(records) if at in needed or _view_of(read[at]) == last_view]


def _view_of(record: Record) -> int:
    return record.vote.view if isinstance(record, PrepareRecord | CommitRecord) else record.message.view

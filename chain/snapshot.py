"""Snapshots: the state after one certified block, given in pieces of which each is checked as it comes.

The commit certificate of a block certifies its header, the header's state root the whole trie. So whoever takes a
snapshot walks down that trie: it knows the digest that the part under a prefix must have, asks for that part, and gets
either the sixteen digests of the next nibble or all values of the part. Nothing is kept that does not have the
digest; a snapshot that never ends or is of another state can't be given. docs/spec/snapshot.md has the messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from chain import codec, trie
from chain.block import Header, block_id
from chain.certificate import Certificate
from chain.crypto import ZERO_DIGEST
from chain.errors import CODEC_SHAPE, CODEC_TOO_LARGE, KehuError, define
from chain.light import StateProof, verify_header
from chain.state import decode_value, key_digest, value_digest
from chain.validators import scheduled_at

PIECE_BYTES_MAX: Final = 1 << 20
"""A piece with values stops here, unless it is a single leaf of the trie."""
PIECE_ENTRIES_MAX: Final = 2_000
OFFER_BYTES_MAX: Final = 1 << 22
LINKS_MAX: Final = 1_000
SCHEDULES_BYTES_MAX: Final = 1 << 25
"""Of the schedules of all of an offer's links: each has all sets of the ones before, so this bounds their square."""
_ANSWER_BYTES_MAX: Final = 1 << 24

SNAPSHOT_WRONG = define(
    "snapshot.wrong",
    "a peer's piece of a snapshot does not have the digest that the certified state root leads to",
    "nothing: the piece was not kept and other departments are asked; look at the node that gave it",
)
SNAPSHOT_UNKNOWN = define(
    "snapshot.unknown",
    "this node offers no snapshot of that height, or the snapshot has no such part",
    "ask it for its offers again, or ask another department's node",
)

Part: TypeAlias = tuple[bytes, bytes]
"""(prefix, digest) of a part of the trie; the prefix has one byte, 0 to 15, for each nibble."""


@dataclass(frozen=True, slots=True)
class ScheduleLink:
    """A proof that `validators/schedule` had these bytes under a certified header: a step from set to set."""

    proof: StateProof
    schedule: bytes

    @property
    def height(self) -> int:
        """Of the block that made the schedule. Errors: codec.*, protocol.*."""
        return Header.from_bytes(self.proof.header_bytes).height

    def to_value(self) -> codec.Value:
        return [self.proof.to_bytes(), self.schedule]

    @classmethod
    def from_value(cls, value: codec.Value) -> ScheduleLink:
        proof, schedule = codec.fields(value, "schedule link", codec.is_bytes, codec.is_bytes)
        return cls(StateProof.from_bytes(proof), schedule)


@dataclass(frozen=True, slots=True)
class Offer:
    """A block whose state after it can be had: header, commit certificate, and how the validators came about."""

    header_bytes: bytes
    certificate: Certificate
    links: tuple[ScheduleLink, ...]

    @property
    def header(self) -> Header:
        return Header.from_bytes(self.header_bytes)

    @property
    def block_id(self) -> bytes:
        return block_id(self.header_bytes)

    def to_bytes(self, *, is_short: bool = True) -> bytes:
        """`is_short`: the first link has its schedule, the others what each adds. Else all have theirs, for nodes of
        releases that read nothing else: after some 160 changes of six departments that is more than an offer may be."""
        links = _short(self.links) if is_short else [link.to_value() for link in self.links]
        return codec.encode_flat([self.header_bytes, self.certificate.to_bytes(), links])

    @classmethod
    def from_bytes(cls, raw: bytes) -> Offer:
        """In either form. Errors: codec.*."""
        header, certificate, links = codec.fields(
            codec.decode(raw, OFFER_BYTES_MAX),
            "snapshot offer",
            codec.is_bytes,
            codec.is_bytes,
            codec.list_of(codec.is_list, LINKS_MAX),
        )
        return cls(header, Certificate.from_bytes(certificate), _whole(links))

    def verify(self, schedule: bytes, height: int, chain_id: bytes) -> Header:
        """The certified header. `schedule` is the value of `validators/schedule` that the own state has at `height`
        (genesis's at 0). Errors: certificate.*, proof.invalid, codec.*."""
        for link in self._links_above(height):
            signers = scheduled_at(decode_value(schedule), link.height)
            link.proof.verify(signers, chain_id, "validators", "schedule", link.schedule)
            schedule = link.schedule
        signers = scheduled_at(decode_value(schedule), self.header.height)
        return verify_header(self.header_bytes, self.certificate, signers, chain_id)

    def behind(self, known: Sequence[ScheduleLink], height: int) -> Offer:
        """With the links that a chain up to this height knows itself: of what others say of them, `verify` looks at
        nothing, and whoever takes the snapshot offers it to newcomers, who know none."""
        return Offer(self.header_bytes, self.certificate, (*known, *self._links_above(height)))

    def _links_above(self, height: int) -> Iterator[ScheduleLink]:
        """Each above the one before, so that none is passed over that is kept."""
        for link in self.links:
            if link.height > height:
                height = link.height
                yield link


def _short(links: Sequence[ScheduleLink]) -> list[codec.Value]:
    """A link whose schedule does not go on from the one before keeps its own."""
    found: list[codec.Value] = []
    before: list[codec.Value] | None = None
    for link in links:
        sets = _sets_of(link.schedule)
        if sets is not None and before is not None and sets[: len(before)] == before:
            found.append([link.proof.to_bytes(), sets[len(before) :]])
        else:
            found.append(link.to_value())
        before = sets
    return found


def _whole(links: Sequence[list[codec.Value]]) -> tuple[ScheduleLink, ...]:
    """Nothing of it is believed yet: a schedule that is put together wrongly is not the one that its proof is about.
    Errors: codec.*."""
    found: list[ScheduleLink] = []
    sets: list[codec.Value] | None = None
    room = SCHEDULES_BYTES_MAX
    for item in links:
        proof, schedule = codec.fields(item, "schedule link", codec.is_bytes, _is_schedule_or_sets)
        if type(schedule) is bytes:
            sets = None
        else:
            sets = _sets_of(found[-1].schedule) if sets is None and found else sets
            if sets is None:
                raise KehuError(CODEC_SHAPE, what="schedule link")
            sets += schedule
            schedule = codec.encode_flat({"sets": sets})
        room -= len(schedule)
        if room < 0:
            raise KehuError(CODEC_TOO_LARGE, limit=SCHEDULES_BYTES_MAX)
        found.append(ScheduleLink(StateProof.from_bytes(proof), schedule))
    return tuple(found)


def _is_schedule_or_sets(value: codec.Value) -> bool:
    return codec.is_bytes(value) or codec.is_list(value)


def _sets_of(schedule: bytes) -> list[codec.Value] | None:
    """None if it is no schedule. Of one that somebody sent nothing is believed by this."""
    try:
        value: codec.Value = decode_value(schedule)
    except (ValueError, RecursionError):
        return None
    sets = value.get("sets") if codec.is_map(value) and len(value) == 1 else None
    return sets if codec.is_list(sets) else None


def part_at(root: trie.Node, prefix: bytes) -> trie.Node:
    """The part of a trie under a prefix. Errors: snapshot.unknown."""
    node = root
    for number in prefix:
        if not isinstance(node, trie.Branch) or number >= trie.ARITY:
            raise KehuError(SNAPSHOT_UNKNOWN, prefix=prefix)
        node = node.child(number)
    return node


def give_piece(root: trie.Node, prefix: bytes, values_under: Callable[[bytes], Sequence[tuple[bytes, bytes]]]) -> bytes:
    """The answer for a prefix: ["values", [[key, value], ...]] or, where that is too much, ["parts", [16 digests]].

    `values_under` gives the (key, value) pairs of a prefix; it is asked for at most `PIECE_ENTRIES_MAX` at a time.
    """
    node = part_at(root, prefix)
    if not isinstance(node, trie.Branch) or node.count <= PIECE_ENTRIES_MAX:
        pairs = values_under(prefix)
        size = sum(len(key) + len(value) for key, value in pairs)
        if not isinstance(node, trie.Branch) or size <= PIECE_BYTES_MAX:
            return codec.encode_flat(["values", [[key, value] for key, value in pairs]])
    return codec.encode_flat(["parts", node.child_digests()])


def take_piece(part: Part, answer: bytes) -> tuple[list[Part], list[tuple[bytes, bytes]]]:
    """What an answer for `part` gives: (parts still to be asked for, checked values). Errors: snapshot.wrong,
    codec.*."""
    prefix, expected = part
    kind, items = codec.fields(codec.decode(answer, _ANSWER_BYTES_MAX), "snapshot piece", codec.is_text, codec.is_list)
    if kind == "parts":
        (digests,) = codec.fields([items], "parts", codec.list_of(codec.is_digest, trie.ARITY))
        actual = trie.branch_digest(digests) if len(digests) == trie.ARITY else ZERO_DIGEST
        _require(prefix, expected, actual)
        children = [(prefix + bytes([number]), child) for number, child in enumerate(digests)]
        return [child for child in children if child[1] != ZERO_DIGEST], []
    pairs = [codec.fields(item, "value", codec.is_bytes, codec.is_bytes) for item in items]
    entries = {key_digest(key): value_digest(value) for key, value in pairs}
    is_inside = len(entries) == len(pairs) and all(_is_under(key, prefix) for key in entries)
    _require(prefix, expected, trie.digest_of(trie.build(entries, len(prefix))) if is_inside else ZERO_DIGEST)
    return [], [(key, value) for key, value in pairs]


def _require(prefix: bytes, expected: bytes, actual: bytes) -> None:
    if actual != expected:
        raise KehuError(SNAPSHOT_WRONG, prefix=prefix, expected=expected, actual=actual)


def _is_under(key: bytes, prefix: bytes) -> bool:
    return all(trie.nibble(key, depth) == number for depth, number in enumerate(prefix))

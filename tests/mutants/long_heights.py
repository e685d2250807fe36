"""Bugs that show when a height lasts: its vote log is shortened, and the blocks of its first views are gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from consensus import new_view
from consensus.votes import CommitRecord, PrepareRecord, Record, decode_record
from tests.mutants.base import SEEDS, Mutant, Patch, attribute, wrapped
from tests.simulation import disk, test_long_heights
from tests.simulation.runs import decoding_once
from tests.simulation.world import World


def short_logs() -> None:
    """Those of the everyday seeds whose nodes shorten their vote logs all the time."""
    for world in map(World, range(SEEDS)):
        if world.plan.has_short_logs:
            with decoding_once():
                world.run()


def without(kind: type[Record], *, of_view_under_way: bool) -> Patch:
    """Shortening lets go too much: of one kind, the records of the view under way or those of the lower ones."""

    def wrapper(genuine: Callable[..., Any]) -> Callable[..., Any]:
        def kept(records: Sequence[bytes], bodies: int) -> list[bytes]:
            view = view_of(records[-1])
            return [
                raw
                for raw in genuine(records, bodies)
                if not isinstance(decode_record(raw), kind) or (view_of(raw) == view) is not of_view_under_way
            ]

        return kept

    return wrapped(disk, "still_needed", wrapper)


def view_of(raw: bytes) -> int:
    record = decode_record(raw)
    return record.vote.view if isinstance(record, PrepareRecord | CommitRecord) else record.message.view


MUTANTS = [
    Mutant(
        "a shortened log lacks the prepared certificate",
        without(CommitRecord, of_view_under_way=False),
        short_logs,
    ),
    Mutant(
        "a shortened log lacks the block of the prepared certificate",
        without(PrepareRecord, of_view_under_way=False),
        short_logs,
    ),
    Mutant(
        "a shortened log lacks the PREPARE of the view under way",
        without(PrepareRecord, of_view_under_way=True),
        short_logs,
    ),
    Mutant(
        "a shortened log is of the first view only",
        wrapped(disk, "still_needed", lambda genuine: lambda records, bodies: genuine(records[:1], bodies)),
        short_logs,
    ),
    Mutant(
        "N1 demands blocks that nobody has any more",
        attribute(new_view, "_demands_what_is_missing", lambda *_: False),
        partial(test_long_heights.test_certificates_shown_when_their_blocks_are_forgotten_hold_nobody_up, range(8)),
    ),
]

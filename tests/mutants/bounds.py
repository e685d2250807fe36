"""Bugs that let a peer crash a replica, fill its memory, or make its behaviour depend on chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chain.certificate import Certificate
from chain.evidence import Evidence
from consensus import evidence, ordering, replica, slowness
from consensus.config import ReplicaConfig
from consensus.effects import Accuse, FetchBlocks
from consensus.message_log import FutureMessages, MessageLog, coordinates
from consensus.messages import decode_message
from consensus.replica_state import ReplicaState
from tests.consensus import (
    test_later_heights,
    test_messages,
    test_ordering,
    test_properties,
    test_recovery,
    test_slowness,
    test_view_change,
    test_view_change_size,
)
from tests.consensus.test_view_change_size import MIB
from tests.mutants.base import Mutant, attribute, wrapped

Call = Callable[..., Any]


def raising_on_garbage(state: ReplicaState, sender: str, data: bytes) -> None:
    message: Any = decode_message(data, state.config.body_bytes_max)
    replica._sort_by_height(state, sender, message, len(data))


def keeps_every_vote(self: MessageLog, vote: Any, _views_kept: int) -> None:
    self.votes.setdefault(vote.department, {})[vote.view, vote.phase] = vote


def keeps_every_body(self: ReplicaState, block_id: bytes, body: bytes) -> None:
    self.at.bodies[block_id] = body


def keeps_every_future(sort: Call) -> Call:
    def careless(state: ReplicaState, sender: str, message: Any, size: int) -> None:
        if coordinates(message)[0] > state.at.height:
            state.future.keep(sender, message, size, 1 << 62)
        sort(state, sender, message, size)

    return careless


def accuses_always(
    state: ReplicaState, department: str, offence: str, detail: str, proof: Evidence | None = None
) -> None:
    state.emit(Accuse(department, offence, detail, proof))


def in_the_order_of_a_set(state: ReplicaState, to_height: int, departments: tuple[str, ...]) -> None:
    """B39."""
    if to_height > state.fetch_to_height:
        state.fetch_to_height = to_height
        state.emit(FetchBlocks(state.at.height, to_height, tuple(frozenset(departments) - {state.me})))


MUTANTS = [
    Mutant(
        "B39 effects in the order of a set",
        attribute(ordering, "fetch", in_the_order_of_a_set),
        test_properties.test_effects_are_in_a_fixed_order_b39,
    ),
    Mutant(
        "B42 garbage is an exception",
        attribute(replica, "_on_bytes", raising_on_garbage),
        lambda: test_recovery.test_garbage_is_an_accusation_not_an_exception_b42(b""),
    ),
    Mutant(
        "B45 keeps votes of every view",
        attribute(MessageLog, "add_vote", keeps_every_vote),
        test_ordering.test_a_member_fills_its_own_slots_only_scenario_22,
    ),
    Mutant(
        "B45 keeps messages of every height",
        wrapped(replica, "_sort_by_height", keeps_every_future),
        test_ordering.test_a_member_fills_its_own_slots_only_scenario_22,
    ),
    Mutant(
        "keeps messages of later heights however large they are",
        wrapped(
            FutureMessages,
            "keep",
            lambda genuine: lambda self, sender, message, size, _: genuine(self, sender, message, size, 1 << 62),
        ),
        test_ordering.test_what_is_kept_of_a_members_later_heights_is_bounded_in_bytes_and_holds_what_a_correct_one_says,
    ),
    Mutant(
        "keeps and passes on certificates of any size",
        attribute(Certificate, "could_be_of", lambda _certificate, _validators: True),
        lambda: test_view_change_size.test_large_view_changes_do_not_keep_a_view_from_being_opened(12 * MIB - 400),
    ),
    Mutant(
        "B45 keeps every body",
        attribute(ReplicaState, "remember_body", keeps_every_body),
        test_view_change.test_a_thousand_view_changes_then_normal_speed_b30,
    ),
    Mutant(
        "B45 a flood of offences is a flood of accusations",
        attribute(evidence, "accuse", accuses_always),
        test_messages.test_mutated_messages_never_raise_in_a_replica,
    ),
    Mutant(
        "a status brings a NEW-VIEW each time",
        attribute(ReplicaState, "may_help", lambda _state, _department: True),
        test_later_heights.test_statuses_of_one_at_the_same_height_bring_it_the_new_view_once_in_a_while,
    ),
    Mutant(
        "complaints about any height count",
        attribute(slowness, "COMPLAINT_HEIGHTS", 1 << 62),
        test_slowness.test_complaints_about_another_view_or_a_distant_height_count_for_nothing,
    ),
    Mutant(
        "B07 views without a window",
        wrapped(
            ReplicaConfig,
            "__init__",
            lambda genuine: lambda self, *values, **named: genuine(self, *values, **{**named, "view_window": 1 << 62}),
        ),
        test_view_change.test_views_beyond_the_window_are_dropped_b07,
    ),
]

"""Bugs that stop a network, slow it down, or keep one of its members out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consensus import evidence, new_view, ordering, pacing, recovery, replica, slowness, view_change, withheld
from consensus.config import ReplicaConfig
from consensus.effects import FetchBlocks, ValidateProposal
from consensus.events import PeerConnected, ProposalValidated
from consensus.message_log import FutureMessages, MessageLog
from consensus.messages import Status
from consensus.replica_state import HeightState, ReplicaState
from tests.consensus import (
    test_later_heights,
    test_new_view,
    test_ordering,
    test_recovery,
    test_slowness,
    test_view_change,
    test_withheld,
)
from tests.mutants.base import Mutant, attribute, reduced_search, rule, some_seeds, together, wrapped
from tests.simulation import test_simulation

Call = Callable[..., Any]


def stays_where_it_committed(leave: Call) -> Call:
    """B18, as dBFT had it: who has committed in a view never leaves it."""
    return lambda state: state.at.commit is None and leave(state)


def with_the_clock(emit: Call) -> Call:
    def careless(self: ReplicaState, effect: Any) -> None:
        if isinstance(effect, ValidateProposal):
            effect = ValidateProposal(effect.height, effect.view, effect.block_id, effect.body, is_prepared=False)
        emit(self, effect)

    return careless


def deaf_to_connections(take: Call) -> Call:
    return lambda state, event: None if isinstance(event, PeerConnected) else take(state, event)


def patient_with_invalid_blocks(handler: Call) -> Call:
    def patient(state: ReplicaState, event: ProposalValidated) -> None:
        handler(state, event)
        state.at.is_suspect = False

    return patient


def hasty_with_every_invalid_block(handler: Call) -> Call:
    """Where no member's proposal is accepted, views follow each other as fast as members can."""

    def hasty(state: ReplicaState, event: ProposalValidated) -> None:
        handler(state, event)
        if not event.is_valid and (event.view, event.block_id) == (state.at.view, state.at.proposal):
            state.at.is_suspect = True

    return hasty


def no_timer_while_fetching(pace: Call) -> Call:
    """B12: the view's time does not run while blocks are being fetched."""

    def careless(state: ReplicaState) -> None:
        pace(state)
        if state.fetch_to_height >= state.at.height:
            state.timers.pop(pacing.VIEW, None)

    return careless


def begins_in_view_zero(begin_height: Call) -> Call:
    """B13."""

    def careless(state: ReplicaState) -> None:
        begin_height(state)
        if not state.at.is_touched:
            state.at.first_view = state.at.view = 0

    return careless


def timers_of_the_primary_only(is_busy: Call) -> Call:
    """B28: work that only backups know of is nobody's concern."""
    return lambda state: is_busy(state) and (not state.has_work or state.is_primary or state.at.proposal is not None)


def out_until_the_next_height(take_up: Call) -> Call:
    """B19: whoever was restarted in the middle of a height takes no part in it."""

    def careless(state: ReplicaState, record: object) -> None:
        take_up(state, record)
        state.at.is_deciding = True

    return careless


def joins_by_timer_only(_state: ReplicaState) -> bool:
    return False


def believing_status(learn: Call) -> Call:
    """B40: a height in a status is taken for granted."""

    def careless(state: ReplicaState, sender: str, message: Status) -> bool:
        if message.height > state.at.height:
            state.emit(FetchBlocks(state.at.height, message.height, (sender,)))
        learned: bool = learn(state, sender, message)
        return learned

    return careless


def accepts_what_is_over(accept: Call) -> Call:
    def careless(state: ReplicaState) -> bool:
        certificate, state.at.commit_certificate = state.at.commit_certificate, None
        accepted: bool = accept(state)
        state.at.commit_certificate = certificate
        return accepted

    return careless


def running_ahead(_state: ReplicaState) -> bool:
    return True


MUTANTS = [
    Mutant(
        "B04 no timer brings the asked-for views together",
        together(
            attribute(view_change, "is_quorum_leaving", lambda _state: False),
            attribute(pacing, "is_quorum_leaving", lambda _state: False),
            rule(view_change.join, None),
        ),
        lambda: test_view_change.test_members_in_as_many_views_as_there_are_members_converge_b04(4),
    ),
    Mutant(
        "B05 prepared blocks meet the clock again",
        wrapped(ReplicaState, "emit", with_the_clock),
        test_new_view.test_a_block_prepared_earlier_is_validated_without_the_clock_b05,
    ),
    Mutant(
        "B06 does not ask after a connection",
        wrapped(replica, "_take", deaf_to_connections),
        test_recovery.test_a_replica_that_is_behind_catches_up_after_a_connection_b06,
    ),
    Mutant(
        "B07 follows a single member",
        wrapped(MessageLog, "view_to_join", lambda genuine: lambda self, _needed, own: genuine(self, 1, own)),
        test_view_change.test_one_member_with_a_huge_view_moves_nobody_b07,
    ),
    Mutant(
        "B08 waits out the time of a primary with invalid blocks",
        wrapped(ordering, "on_proposal_validated", patient_with_invalid_blocks),
        test_ordering.test_an_invalid_proposal_gets_no_vote_and_costs_the_primary_its_view_b08,
    ),
    Mutant(
        "O3 leaves at once though every member's proposal was refused",
        wrapped(ordering, "on_proposal_validated", hasty_with_every_invalid_block),
        test_ordering.test_where_every_members_proposal_is_refused_views_follow_each_other_no_faster_than_their_time,
    ),
    Mutant(
        "B12 no view change while blocks are fetched",
        wrapped(pacing, "pace", no_timer_while_fetching),
        test_recovery.test_the_view_changes_though_no_block_can_be_fetched_b12,
    ),
    Mutant(
        "B13 each height begins in view 0",
        wrapped(recovery, "begin_height", begins_in_view_zero),
        test_recovery.test_the_next_height_begins_in_the_view_that_decided_b13,
    ),
    Mutant(
        "B14 timeouts double without end",
        attribute(ReplicaConfig, "timeout_ms", lambda self, tried: self.view_timeout_ms << min(tried, 32)),
        test_view_change.test_timeouts_double_with_a_cap_and_start_over_after_a_block_b14,
    ),
    Mutant(
        "B15 an observer never votes again",
        attribute(recovery, "stop_observing", lambda _state: None),
        test_recovery.test_members_wiped_one_after_the_other_all_vote_again_b15,
    ),
    Mutant(
        "B18 who has committed never leaves the view",
        rule(view_change.leave, stays_where_it_committed(view_change.leave)),
        test_new_view.test_a_prepared_block_is_proposed_again_with_its_id,
    ),
    Mutant(
        "B18 who has committed never leaves the view, and the reduced search sees it",
        rule(view_change.leave, stays_where_it_committed(view_change.leave)),
        reduced_search(0),
    ),
    Mutant(
        "B19 sits a height out after a restart",
        wrapped(recovery, "take_up", out_until_the_next_height),
        lambda: test_recovery.test_all_restart_at_once_and_go_on_b19(4),
    ),
    Mutant("B22 never repeats itself", attribute(recovery, "last_words", lambda _state: []), some_seeds),
    Mutant(
        "B26 a slow primary stays",
        rule(slowness.lose_patience, None),
        lambda: test_slowness.test_a_primary_that_delays_nine_tenths_of_the_timeout_is_left_after_two_blocks_b26(4),
    ),
    Mutant(
        "O7 a primary may show its proposals to a few",
        rule(withheld.ask, None),
        lambda: test_withheld.test_who_was_left_out_takes_the_proposal_from_those_who_prepare_it_o7(4),
    ),
    Mutant(
        "O7 f members and the primary are believed",
        wrapped(
            MessageLog,
            "block_prepared_by",
            lambda genuine: lambda self, members, view, _primary: genuine(self, members, view, ""),
        ),
        test_withheld.test_f_members_and_the_primary_make_nobody_ask_o7,
    ),
    Mutant(
        "O7 one is asked again and again",
        attribute(HeightState, "times_asked", property(lambda _at: 0, lambda _at, _times: None)),
        test_withheld.test_one_is_asked_at_a_time_another_one_each_time_and_never_the_primary_o7,
    ),
    Mutant(
        "keeps messages of two heights only",
        wrapped(
            ReplicaConfig,
            "__init__",
            lambda genuine: lambda self, *values, **named: genuine(self, *values, **{**named, "height_window": 2}),
        ),
        test_ordering.test_who_is_sixteen_heights_behind_goes_on_with_the_others_after_one_answer,
    ),
    Mutant(
        "works off proposals of heights that were decided otherwise",
        rule(ordering.accept, accepts_what_is_over(ordering.accept)),
        test_later_heights.test_other_proposals_of_decided_heights_cost_neither_a_validation_nor_a_view_change,
    ),
    Mutant(
        "B26 patience has no end",
        attribute(slowness, "allowance_of", lambda _state, _left: 1 << 40),
        test_slowness.test_delay_spread_over_the_blocks_adds_up,
    ),
    Mutant(
        "B28 work of the backups is nobody's concern",
        wrapped(pacing, "is_busy", timers_of_the_primary_only),
        test_view_change.test_work_known_to_backups_only_is_decided_after_the_primary_dies_b28,
    ),
    Mutant(
        "B29 a new primary does not fetch the prepared body",
        attribute(new_view, "request_body", lambda _state: None),
        test_new_view.test_a_primary_that_lacks_the_prepared_body_fetches_it_b29,
    ),
    Mutant(
        "B40 believes any height in a status",
        wrapped(recovery, "learn_certificate", believing_status),
        test_recovery.test_a_lying_status_cannot_keep_an_observer_observing_b40,
    ),
    Mutant(
        "B44 timers run in an idle network",
        attribute(pacing, "is_busy", lambda _state: True),
        test_ordering.test_an_idle_replica_sets_no_timer_and_says_nothing,
    ),
    Mutant(
        "B43 a primary may order only its own clients",
        attribute(slowness, "is_favouring", lambda _state: False),
        test_simulation.test_a_primary_that_orders_only_its_own_clients_is_left_at_once_b43,
    ),
    Mutant(
        "P5 a new primary answers for what the last one passed over",
        attribute(slowness, "is_favouring", lambda state: state.watch.overtaken > slowness.OVERTAKEN_HEIGHTS),
        test_slowness.test_a_primary_whose_blocks_pass_over_what_waits_is_left_after_nine_of_them_p5_b43,
    ),
    Mutant(
        "B44 every pause is slowness",
        attribute(slowness, "allowance_of", lambda _state, _left: 0),
        test_slowness.test_delays_within_the_allowance_change_nothing_b44,
    ),
    Mutant(
        "P3 a single complaint moves everybody",
        together(
            attribute(evidence, "accuse", lambda *_: None),
            wrapped(
                slowness,
                "on_complaint",
                lambda genuine: (
                    lambda state, sender, height, view: [
                        genuine(state, name, height, view) for name in state.validators.departments
                    ]
                ),
            ),
        ),
        test_slowness.test_one_complainer_moves_nobody_and_f_plus_one_do,
    ),
    Mutant(
        "P4 patience never grows",
        attribute(slowness, "PATIENCE_MAX", 0),
        test_slowness.test_when_all_primaries_are_slow_the_network_gets_patient,
    ),
    Mutant(
        "V4 runs ahead of the others",
        together(attribute(pacing, "is_quorum_leaving", running_ahead)),
        test_view_change.test_the_timer_of_an_asked_for_view_waits_for_a_quorum,
    ),
    Mutant(
        "never asks when others work (seeds 262, 1020)",
        attribute(pacing, "is_missing_something", lambda _state: False),
        test_recovery.test_an_idle_replica_that_hears_others_work_at_its_height_asks_where_they_are,
    ),
    Mutant(
        "takes a status for news of the next height (seed 3012)",
        wrapped(
            recovery,
            "on_status",
            lambda genuine: (
                lambda state, sender, message: (
                    state.future.claim(sender, message.height + 1),
                    genuine(state, sender, message),
                )
            ),
        ),
        test_recovery.test_a_status_about_the_last_block_is_no_news_of_the_next_one,
    ),
    Mutant(
        "asks for ever what the others do (seed 3274)",
        attribute(FutureMessages, "withdraw", lambda *_: None),
        test_recovery.test_after_a_view_change_without_work_nobody_asks_for_ever,
    ),
]

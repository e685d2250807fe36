"""Bugs that break agreement, or a replica's word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chain.certificate import Certificate, Vote
from chain.crypto import ZERO_DIGEST
from chain.validators import ValidatorSet, faults_tolerated
from consensus import new_view, ordering, recovery, replica, view_change
from consensus.effects import Effect, Persist
from consensus.message_log import MessageLog
from consensus.messages import NewView, ViewChange
from consensus.replica import Replica
from consensus.replica_state import ReplicaState
from consensus.votes import CommitRecord, PrepareRecord, Record, ViewChangeRecord, decode_record
from tests.consensus import (
    test_messages,
    test_new_view,
    test_ordering,
    test_pbft_paper,
    test_recovery,
    test_view_change,
)
from tests.consensus import test_validator_change as validator_change
from tests.mutants.base import Mutant, attribute, reduced_search, rule, some_dives, some_seeds, wrapped
from tests.simulation.node import SimNode

Call = Callable[..., Any]


def two_f_plus_one(validators: ValidatorSet) -> int:
    return 2 * faults_tolerated(validators.n) + 1


def records_last(step: Call) -> Call:
    def reordered(self: Replica, event: object, now_ms: int) -> tuple[Effect, ...]:
        return tuple(sorted(step(self, event, now_ms), key=lambda effect: isinstance(effect, Persist)))

    return reordered


def forgetting(*kinds: type[Record]) -> Callable[[Call], Call]:
    def wrapper(take_up: Call) -> Call:
        return lambda state, record: None if isinstance(record, kinds) else take_up(state, record)

    return wrapper


def eager_restart(take_up: Call) -> Call:
    def eager(state: ReplicaState, record: Record) -> None:
        take_up(state, record)
        state.at.is_active = True

    return eager


def spoiled_by_one(genuine: Call) -> Call:
    def spoiled(state: ReplicaState, view: int, changes: tuple[ViewChange, ...]) -> object:
        shown = [change.prepared for change in changes if change.prepared is not None]
        is_spoiled = not all(state.is_prepared_certificate(prepared, view) for prepared in shown)
        return None if is_spoiled else genuine(state, view, changes)

    return spoiled


def lowest_prepared(state: ReplicaState, view: int, changes: tuple[ViewChange, ...]) -> Certificate | None:
    shown = [change.prepared for change in changes if change.prepared is not None]
    valid = [prepared for prepared in shown if state.is_prepared_certificate(prepared, view)]
    return min(valid, key=lambda prepared: prepared.view, default=None)


def unchecked_prepared(state: ReplicaState, _view: int, changes: tuple[ViewChange, ...]) -> Certificate | None:
    shown = [change.prepared for change in changes if change.prepared is not None]
    return max(shown, key=lambda prepared: prepared.view, default=None)


def bare_view_change(signed: Call) -> Call:
    return lambda signer, chain_id, epoch, height, view, _prepared, who: signed(
        signer, chain_id, epoch, height, view, None, who
    )


def careless_adoption(adopt: Call) -> Call:
    def careless(state: ReplicaState, certificate: object) -> None:
        touched, state.at.is_touched = state.at.is_touched, False
        adopt(state, certificate)
        state.at.is_touched = touched

    return careless


def votes_for_any_block(self: MessageLog, phase: Any, view: int, _block_id: bytes) -> list[Vote]:
    return [vote for name in self.votes if (vote := self.vote_of(name, phase, view)) is not None]


def votes_of_any_view(self: MessageLog, phase: str, view: int, block_id: bytes) -> list[Vote]:
    found = {name: vote for name, kept in self.votes.items() for vote in kept.values()
             if (vote.phase, vote.block_id) == (phase, block_id)}  # fmt: skip
    return [replace(vote, view=view) for vote in found.values()]


def empty_for_missing(genuine: Call) -> Call:
    return lambda self, config, signer, head, records, check: genuine(self, config, signer, head, records or [], check)


def free_in_new_view(enter: Call) -> Call:
    def careless(self: ReplicaState, view: int, **how: object) -> None:
        enter(self, view, **how)
        if not self.is_primary:
            self.at.required = None

    return careless


def believing(state: ReplicaState) -> bool:
    has_accepted = ordering.accept(state)
    for (_, block_id), (body, _) in state.at.validating.items():
        state.remember_body(block_id, body)
    return has_accepted


def in_the_senders_name(handler: Call) -> Call:
    """B37: the signer is not compared with the sender, nor is the sender's key asked for."""

    def careless(state: ReplicaState, sender: str, message: Any) -> None:
        handler(state, message.vote.department, message)

    return careless


def any_quorum(problem_of: Call) -> Call:
    def careless(state: ReplicaState, message: NewView) -> str:
        problem: str = problem_of(state, message)
        return "" if problem.startswith("no quorum") else problem

    return careless


def any_height_or_view(problem_of: Call) -> Call:
    def careless(state: ReplicaState, message: NewView) -> str:
        problem: str = problem_of(state, message)
        return "" if problem.startswith("a view-change for") else problem

    return careless


def any_conclusion(problem_of: Call) -> Call:
    def careless(state: ReplicaState, message: NewView) -> str:
        problem: str = problem_of(state, message)
        return "" if problem.startswith("another conclusion") else problem

    return careless


def valid_records(records: list[bytes], height: int) -> tuple[Record, ...]:
    """B23: what can't be read is left out."""
    kept: list[Record] = []
    for data in records:
        try:
            kept.append(decode_record(data))
        except Exception:
            continue
    return tuple(record for record in kept if record.height > height)


def on_any_chain(sign: Call) -> Call:
    return lambda signer, _chain_id, *rest: sign(signer, ZERO_DIGEST, *rest)


def votes_again(begin_height: Call) -> Call:
    """Old heights are taken up again (B10)."""

    def careless(state: ReplicaState) -> None:
        begin_height(state)
        state.at.is_deciding = False

    return careless


def decide_again(state: ReplicaState) -> bool:
    """B10: a decision is announced again with each further certificate or vote."""
    was_deciding, state.at.is_deciding = state.at.is_deciding, False
    ordering.decide(state)
    return state.at.is_deciding and not was_deciding


def log_begun_early(start: Call) -> Call:
    """B21 by the driver: a node that observes begins a new log before it may vote (seeds 3408, 5516)."""

    def careless(self: SimNode) -> None:
        start(self)
        self.disk.is_log_lost = False

    return careless


def only_current_set(self: ReplicaState, certificate: Certificate, height: int, block_id: bytes | None) -> bool:
    return self._is_valid(certificate, "commit", height, block_id, self.validators)


def member_by_name(self: ReplicaState) -> bool:
    """A department's node votes with whatever key it has."""
    return self.validators.key_of(self.me) is not None


def counted_by_number(self: Certificate, validators: ValidatorSet, chain_id: bytes, check: Any) -> None:
    """B36: signatures are counted, not signers; and each is asked for its key only."""
    payload = Vote(self.phase, self.epoch, self.height, self.view, self.block_id, "", b"").payload()
    good = sum(
        check(validators.key_of(name) or b"", self.phase, chain_id, payload, signature)
        for name, signature in self.signatures
    )
    if good < validators.quorum:
        raise AssertionError(good)


PROBLEM = (new_view, "_problem_of")
MUTANTS = [
    Mutant(
        "B01 one bad certificate spoils all",
        wrapped(new_view, "highest_prepared", spoiled_by_one),
        test_new_view.test_a_garbage_certificate_does_not_hide_a_valid_one_b01,
    ),
    Mutant(
        "B02 restarts into an asked-for view",
        wrapped(recovery, "take_up", eager_restart),
        test_recovery.test_a_restart_in_a_view_that_was_only_asked_for_leaves_it_closed_b02,
    ),
    Mutant(
        "B03 VIEW-CHANGEs of other heights and views count",
        wrapped(*PROBLEM, any_height_or_view),
        test_new_view.test_a_new_view_needs_a_quorum_of_distinct_members_for_exactly_this_view,
    ),
    Mutant("B10 decides the same block twice", rule(ordering.decide, decide_again), some_seeds),
    Mutant(
        "B16 quorum of 2f+1",
        attribute(ValidatorSet, "quorum", property(two_f_plus_one)),
        lambda: test_ordering.test_a_quorum_is_what_the_validator_set_says_for_every_n_b16(6, 4),
    ),
    Mutant(
        "votes with a key that is not the set's",
        attribute(ReplicaState, "is_member", property(member_by_name)),
        test_pbft_paper.test_m2_only_who_is_in_the_set_with_the_key_it_holds_votes,
    ),
    Mutant(
        "what the former set said lives on",
        attribute(replica, "_begin_set", lambda _state: None),
        test_pbft_paper.test_m3_what_belongs_to_the_former_set_is_forgotten,
    ),
    Mutant(
        "B17 the lowest prepared certificate wins",
        attribute(new_view, "highest_prepared", lowest_prepared),
        test_new_view.test_the_certificate_of_the_highest_view_wins_b17,
    ),
    Mutant("B20 forgets its votes", attribute(replica, "records_above", lambda _records, _height: ()), some_seeds),
    Mutant("B20 forgets its PREPAREs", wrapped(recovery, "take_up", forgetting(PrepareRecord)), some_seeds),
    Mutant(
        "B20 forgets its COMMITs",
        wrapped(recovery, "take_up", forgetting(CommitRecord)),
        test_recovery.test_a_restart_keeps_the_prepared_certificate,
    ),
    Mutant("B20 forgets its VIEW-CHANGEs", wrapped(recovery, "take_up", forgetting(ViewChangeRecord)), some_seeds),
    Mutant("B20 sends before persisting", wrapped(Replica, "step", records_last), some_seeds),
    Mutant(
        "B21 votes without its log",
        wrapped(Replica, "__init__", empty_for_missing),
        test_recovery.test_a_replica_without_its_log_observes_until_every_height_it_may_have_voted_on_has_passed_b21,
    ),
    Mutant(
        "B21 begins a new log while observing",
        wrapped(SimNode, "start", log_begun_early),
        validator_change.test_an_observer_that_restarts_observes_on,
    ),
    Mutant(
        "B23 skips bad records",
        attribute(replica, "records_above", valid_records),
        test_recovery.test_a_damaged_vote_log_is_an_error_not_a_shorter_log_b23,
    ),
    Mutant(
        "B33 certificates under the current set only",
        attribute(ReplicaState, "is_commit_certificate", only_current_set),
        validator_change.test_the_heads_certificate_is_verified_under_the_set_that_signed_it_b33,
    ),
    Mutant(
        "B34 signatures do not cover the chain",
        wrapped(view_change.ViewChange, "signed", on_any_chain),
        test_messages.test_the_golden_vectors_are_what_the_code_writes,
    ),
    Mutant(
        "B36 counts signatures, not signers",
        attribute(Certificate, "verify", counted_by_number),
        validator_change.test_one_signer_repeated_is_no_quorum_b36,
    ),
    Mutant(
        "B36 a NEW-VIEW needs no quorum of distinct members",
        wrapped(*PROBLEM, any_quorum),
        test_new_view.test_a_new_view_needs_a_quorum_of_distinct_members_for_exactly_this_view,
    ),
    Mutant(
        "B37 the signer need not be the sender",
        wrapped(ordering, "on_vote", in_the_senders_name),
        test_ordering.test_signer_must_be_the_sender_b37,
    ),
    Mutant(
        "ignores prepared certificates",
        attribute(new_view, "highest_prepared", lambda *_: None),
        test_new_view.test_a_prepared_block_is_proposed_again_with_its_id,
    ),
    Mutant(
        "believes prepared certificates unseen",
        attribute(new_view, "highest_prepared", unchecked_prepared),
        test_new_view.test_a_garbage_certificate_does_not_hide_a_valid_one_b01,
    ),
    Mutant(
        "shows no prepared certificate",
        wrapped(ViewChange, "signed", bare_view_change),
        test_new_view.test_a_prepared_block_is_proposed_again_with_its_id,
    ),
    Mutant(
        "any conclusion of NEW-VIEW will do",
        wrapped(*PROBLEM, any_conclusion),
        test_new_view.test_a_new_view_that_leaves_out_a_certificate_it_shows_is_refused,
    ),
    Mutant(
        "R4 adopts views after voting",
        wrapped(recovery, "adopt_view", careless_adoption),
        test_new_view.test_replicas_that_voted_in_the_first_view_enter_a_higher_one_by_new_view_only,
    ),
    Mutant("counts votes for any block", attribute(MessageLog, "matching_votes", votes_for_any_block), some_seeds),
    Mutant(
        "adds up votes of several views",
        attribute(MessageLog, "matching_votes", votes_of_any_view),
        test_ordering.test_votes_of_different_views_do_not_add_up,
    ),
    Mutant(
        "takes any block in a new view",
        wrapped(ReplicaState, "enter_view", free_in_new_view),
        test_new_view.test_in_a_view_with_a_required_block_no_other_is_accepted,
    ),
    Mutant(
        "believes every body",
        rule(ordering.accept, believing),
        test_ordering.test_a_body_that_is_not_of_the_block_is_not_voted_for,
    ),
    Mutant(
        "V1 votes on in a view it left",
        attribute(view_change, "start", lambda state, view: None),
        test_view_change.test_after_its_view_change_a_replica_votes_no_more_in_the_old_view,
    ),
    Mutant(
        "ignores prepared certificates, and the search sees it",
        attribute(new_view, "highest_prepared", lambda *_: None),
        some_dives,
    ),
    Mutant(
        "shows no prepared certificate, and the search sees it",
        wrapped(ViewChange, "signed", bare_view_change),
        some_dives,
    ),
    Mutant(
        "ignores prepared certificates, and the reduced search sees it",
        attribute(new_view, "highest_prepared", lambda *_: None),
        reduced_search(),
    ),
    Mutant(
        "shows no prepared certificate, and the reduced search sees it",
        wrapped(ViewChange, "signed", bare_view_change),
        reduced_search(0),
    ),
]

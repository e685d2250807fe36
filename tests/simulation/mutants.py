"""Bugs put in on purpose: a simulation that does not find them would not find others either.

Each mutant is a patch of the production code. `python -m tests.simulation.mutants [--seeds N]` says by which seed each
one is found; test_mutants.py demands that every one is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from unittest.mock import patch

from chain.certificate import Vote
from chain.validators import ValidatorSet, faults_tolerated
from consensus import new_view, ordering, recovery, replica
from consensus.effects import Effect, Persist
from consensus.message_log import MessageLog
from consensus.messages import ViewChange
from consensus.replica import Replica
from consensus.replica_state import ReplicaState
from consensus.votes import CommitRecord, PrepareRecord, Record, ViewChangeRecord
from tests.simulation.__main__ import run_seed

Mutant = Callable[[], AbstractContextManager[object]]


def quorum_of_two_f_plus_one() -> AbstractContextManager[object]:
    """B16: safe only for n = 3f + 1."""

    class Wrong:
        def __get__(self, instance: ValidatorSet, _owner: object) -> int:
            return 2 * faults_tolerated(instance.n) + 1

    return patch.object(ValidatorSet, "quorum", Wrong())


@contextmanager
def sends_before_persisting() -> Iterator[None]:
    """The record of a vote follows the message."""
    step = Replica.step

    def reordered(self: Replica, event: object, now_ms: int) -> tuple[Effect, ...]:
        effects = step(self, event, now_ms)  # type: ignore[arg-type]
        return tuple(sorted(effects, key=lambda effect: isinstance(effect, Persist)))

    with patch.object(Replica, "step", reordered):
        yield


def forgets_its_votes() -> AbstractContextManager[object]:
    """B20: the vote log is not read at the start."""
    return patch.object(replica, "records_above", lambda _records, _height: ())


@contextmanager
def forgets_records_of(kind: type) -> Iterator[None]:
    take_up = recovery.take_up

    def forgetful(state: ReplicaState, record: Record) -> None:
        if not isinstance(record, kind):
            take_up(state, record)

    with patch.object(recovery, "take_up", forgetful):
        yield


@contextmanager
def restarts_into_the_asked_for_view() -> Iterator[None]:
    """B02: active without a NEW-VIEW."""
    take_up = recovery.take_up

    def eager(state: ReplicaState, record: Record) -> None:
        take_up(state, record)
        state.at.is_active = True

    with patch.object(recovery, "take_up", eager):
        yield


def ignores_prepared_certificates() -> AbstractContextManager[object]:
    """The new primary always starts afresh, and backups agree with it."""
    return patch.object(new_view, "highest_prepared", lambda *_: None)


@contextmanager
def one_bad_certificate_spoils_all() -> Iterator[None]:
    """B01."""
    genuine = new_view.highest_prepared

    def spoiled(state: ReplicaState, view: int, changes: tuple[ViewChange, ...]) -> object:
        shown = [change.prepared for change in changes if change.prepared is not None]
        is_spoiled = not all(state.is_prepared_certificate(prepared, view) for prepared in shown)
        return None if is_spoiled else genuine(state, view, changes)

    with patch.object(new_view, "highest_prepared", spoiled):
        yield


@contextmanager
def shows_no_prepared_certificate() -> Iterator[None]:
    """VIEW-CHANGE without what was prepared."""
    signed = ViewChange.signed

    def bare(signer: object, chain_id: bytes, epoch: int, height: int, view: int, _p: object, who: str) -> ViewChange:
        return signed(signer, chain_id, epoch, height, view, None, who)  # type: ignore[arg-type]

    with patch.object(ViewChange, "signed", bare):
        yield


@contextmanager
def adopts_views_after_voting() -> Iterator[None]:
    """R4 without its condition."""
    adopt = recovery.adopt_view

    def careless(state: ReplicaState, certificate: object) -> None:
        touched, state.at.is_touched = state.at.is_touched, False
        adopt(state, certificate)  # type: ignore[arg-type]
        state.at.is_touched = touched

    with patch.object(recovery, "adopt_view", careless):
        yield


def follows_a_single_member() -> AbstractContextManager[object]:
    """B07."""
    genuine = MessageLog.view_to_join
    return patch.object(MessageLog, "view_to_join", lambda self, _needed, own: genuine(self, 1, own))


def never_repeats_itself() -> AbstractContextManager[object]:
    """Lost messages stay lost."""
    return patch.object(recovery, "last_words", lambda _state: [])


@contextmanager
def counts_votes_for_any_block() -> Iterator[None]:
    def careless(self: MessageLog, phase: str, view: int, _block_id: bytes) -> list[Vote]:
        found = (self.vote_of(department, phase, view) for department in self.votes)  # type: ignore[arg-type]
        return [vote for vote in found if vote is not None]

    with patch.object(MessageLog, "matching_votes", careless):
        yield


@contextmanager
def votes_without_its_log() -> Iterator[None]:
    """B21: a lost vote log is taken for an empty one."""
    genuine = Replica.__init__

    def careless(self: Replica, config: object, signer: object, head: object, records: object, check: object) -> None:
        genuine(self, config, signer, head, records or [], check)  # type: ignore[arg-type]

    with patch.object(Replica, "__init__", careless):
        yield


@contextmanager
def takes_any_block_in_a_new_view() -> Iterator[None]:
    """A backup does not hold the new primary to the block it must propose again."""
    enter = ReplicaState.enter_view

    def careless(self: ReplicaState, view: int, **how: object) -> None:
        enter(self, view, **how)  # type: ignore[arg-type]
        if not self.is_primary:
            self.at.required = None

    with patch.object(ReplicaState, "enter_view", careless):
        yield


@contextmanager
def believes_every_body() -> Iterator[None]:
    """A proposal is voted for while it is being validated."""
    accept = ordering.accept

    def careless(state: ReplicaState) -> bool:
        has_accepted = accept(state)
        for (_, block_id), (body, _) in state.at.validating.items():
            state.remember_body(block_id, body)
        return has_accepted

    rules = tuple(careless if rule is accept else rule for rule in replica.RULES)
    with patch.object(replica, "RULES", rules):
        yield


MUTANTS: dict[str, Mutant] = {
    "quorum of 2f+1 (B16)": quorum_of_two_f_plus_one,
    "sends before persisting": sends_before_persisting,
    "forgets its votes (B20)": forgets_its_votes,
    "forgets its PREPAREs": lambda: forgets_records_of(PrepareRecord),
    "forgets its COMMITs": lambda: forgets_records_of(CommitRecord),
    "forgets its VIEW-CHANGEs": lambda: forgets_records_of(ViewChangeRecord),
    "restarts into an asked-for view (B02)": restarts_into_the_asked_for_view,
    "ignores prepared certificates": ignores_prepared_certificates,
    "one bad certificate spoils all (B01)": one_bad_certificate_spoils_all,
    "shows no prepared certificate": shows_no_prepared_certificate,
    "adopts views after voting (R4)": adopts_views_after_voting,
    "follows a single member (B07)": follows_a_single_member,
    "never repeats itself": never_repeats_itself,
    "counts votes for any block": counts_votes_for_any_block,
    "votes without its log (B21)": votes_without_its_log,
    "takes any block in a new view": takes_any_block_in_a_new_view,
    "believes every body": believes_every_body,
}


def seed_that_finds(mutant: Mutant, seeds: range) -> tuple[int, str] | None:
    """The first seed under which the mutant breaks a property, and which."""
    with mutant():
        for seed in seeds:
            try:
                run_seed(seed)
            except Exception as error:  # whatever it is, it was found
                return seed, f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("--seeds", type=int, default=2_000)
    options = parser.parse_args()
    for name, mutant in MUTANTS.items():
        print(f"{name}: {seed_that_finds(mutant, range(options.seeds))}", flush=True)

"""`Replica.step(event, now_ms)`: the only way into consensus. The effects it returns are the only way out.

A step has three parts: note the event; apply the rules until none has anything to do; put the timers right. What
is known decides what is done next, not the order in which it became known.

A replica is made from the last appended block and the vote log, and the first event is `Started`:

    replica = Replica(config, signer, head, records)
    effects = replica.step(Started(), now_ms)

`records` are the vote log's, in the order in which they were persisted; None means that the log is missing or
damaged, and the replica observes until the network has passed every height it could have voted on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from chain.crypto import Signer, Verifier, verify
from chain.errors import InvariantError, KehuError
from consensus import evidence, new_view, ordering, pacing, recovery, slowness, view_change, withheld
from consensus.config import ReplicaConfig
from consensus.effects import Effect, ForgetVotes, ObserverChanged, ViewEntered
from consensus.events import (
    Appended,
    Event,
    MessageReceived,
    NothingToPropose,
    PeerConnected,
    ProposalBuilt,
    ProposalValidated,
    Started,
    TimerFired,
    WorkAvailable,
    WorkDone,
)
from consensus.message_log import HeightMessage, coordinates
from consensus.messages import (
    Complaint,
    NewView,
    PrePrepare,
    ProposalReply,
    ProposalRequest,
    Status,
    ViewChange,
    VoteMessage,
    decode_message,
)
from consensus.replica_state import Head, HeightState, Observer, ReplicaState
from consensus.situation import Situation, situation_of
from consensus.votes import records_above

RULES: Final[tuple[Callable[[ReplicaState], bool], ...]] = (
    ordering.decide,
    slowness.lose_patience,
    view_change.leave,
    view_change.join,
    new_view.open_view,
    ordering.propose,
    ordering.accept,
    withheld.ask,
    ordering.prepare,
    ordering.commit,
    ordering.fetch_decided,
)
RULE_ROUNDS_MAX: Final = 64
"""More rounds than any step can need; beyond it the rules chase each other, which is a bug."""


class Replica:
    """One department's part in the agreement. Not thread-safe; one step at a time."""

    def __init__(
        self,
        config: ReplicaConfig,
        signer: Signer,
        head: Head,
        records: Iterable[bytes] | None,
        check: Verifier = verify,
    ) -> None:
        kept = () if records is None else records_above(records, head.height)
        certificate = head.certificate
        is_own_epoch = certificate is not None and certificate.epoch == head.validators.epoch
        self._state = ReplicaState(
            config=config,
            signer=signer,
            check=check,
            head=head,
            certifiers=head.validators if is_own_epoch else None,
            at=HeightState(head.height + 1, 0, 0),
            records=kept,
            observer=Observer() if records is None else None,
        )

    @property
    def height(self) -> int:
        """The height under way (the last appended one plus 1)."""
        return self._state.at.height

    @property
    def view(self) -> int:
        return self._state.at.view

    @property
    def is_active(self) -> bool:
        """Whether the view is open, not only asked for."""
        return self._state.at.is_active

    @property
    def is_primary(self) -> bool:
        return self._state.is_primary

    @property
    def is_observer(self) -> bool:
        return self._state.observer is not None

    def claimed_height(self) -> int:
        """The highest height that any other department speaks of, which may be a lie; 0 if none does."""
        return self._state.future.height_claimed_by(1)

    def height_to_fetch(self) -> int:
        """Up to where blocks are known to be decided, if nothing of the height under way is here; 0: it goes on by
        itself."""
        at = self._state.at
        is_under_way = at.proposal is not None or at.commit_certificate is not None
        return 0 if is_under_way else recovery.known_height(self._state)

    def situation(self) -> Situation:
        """Where it stands, for people and metrics."""
        return situation_of(self._state)

    def step(self, event: Event, now_ms: int) -> tuple[Effect, ...]:
        """What is to be done because of `event`, in order. Never raises for anything a peer sends."""
        state = self._state
        state.now_ms = now_ms
        state.out = []
        _take(state, event)
        for _ in range(RULE_ROUNDS_MAX):
            if not _apply_one(state):
                break
        else:
            raise InvariantError(f"the rules do not come to rest at height {state.at.height} view {state.at.view}")
        slowness.observe(state)
        pacing.pace(state)
        return tuple(state.out)


def _apply_one(state: ReplicaState) -> bool:
    for rule in RULES:  # noqa: SIM110 (a generator costs a third of an idle step)
        if rule(state):
            return True
    return False


def _take(state: ReplicaState, event: Event) -> None:
    match event:
        case MessageReceived(sender, data):
            _on_bytes(state, sender, data)
        case TimerFired():
            _on_timer(state, event)
        case WorkAvailable():
            state.has_work = True
            state.at.is_work_newer = state.at.is_build_asked
        case WorkDone():
            state.has_work = False
        case ProposalBuilt():
            ordering.on_proposal_built(state, event)
        case NothingToPropose():
            ordering.on_nothing_to_propose(state, event)
        case ProposalValidated():
            ordering.on_proposal_validated(state, event)
        case Appended():
            _on_appended(state, event)
        case PeerConnected(department):
            if department != state.me and state.validators.key_of(department) is not None:
                state.send(department, recovery.own_status(state, wants_reply=True))
        case Started():
            _on_started(state)


def _on_started(state: ReplicaState) -> None:
    recovery.begin_height(state)
    if state.observer is not None:
        state.emit(ObserverChanged(is_observer=True, votes_from_height=0))
    at = state.at
    state.emit(ViewEntered(at.height, at.view, state.validators.primary(at.view), at.is_active))
    state.broadcast(recovery.own_status(state, wants_reply=True))
    for message in recovery.last_words(state):
        state.broadcast(message)


def _on_timer(state: ReplicaState, event: TimerFired) -> None:
    if not pacing.has_fired(state, event):
        return
    if event.timer == pacing.VIEW:
        state.at.is_suspect = True
    else:
        recovery.repeat(state)


def _on_appended(state: ReplicaState, event: Appended) -> None:
    """Moves to the next height, once per height, however the block came."""
    if event.height <= state.head.height:
        return
    if event.certificate.height != event.height or event.certificate.block_id != event.block_id:
        raise InvariantError(f"the block appended at height {event.height} has the certificate of another one")
    before, has_judged = state.at, event.height == state.at.height and event.certificate.view == state.at.view
    if event.height == state.at.height:
        evidence.compare(state, event.certificate)
    if has_judged:
        slowness.judge(state, event.overtaken)
    epoch, known = event.certificate.epoch, (event.validators, state.validators)
    state.certifiers = next((validators for validators in known if validators.epoch == epoch), None)
    has_other_set = event.validators.epoch != state.validators.epoch
    state.head = Head(event.height, event.block_id, event.certificate, event.validators)
    state.has_work = event.has_work
    state.emit(ForgetVotes(event.height))
    recovery.begin_height(state)
    at = state.at
    if has_other_set or (at.view, at.is_active) != (before.view, before.is_active):
        state.emit(ViewEntered(at.height, at.view, state.validators.primary(at.view), at.is_active))
    if has_other_set:
        _begin_set(state)
    recovery.stop_observing(state)
    _watch_primary(state, has_judged=has_judged and not has_other_set)
    for sender, message in state.future.take(at.height):
        _on_height_message(state, sender, message, coordinates(message)[1])


def _begin_set(state: ReplicaState) -> None:
    """M3: what strangers said is forgotten; a view may have another primary now, whose account begins empty."""
    state.future.forget_strangers(state.validators.departments)
    state.watch.complaints.clear()
    recovery.watch_anew(state)


def _watch_primary(state: ReplicaState, *, has_judged: bool) -> None:
    """P2: the account goes on as long as the view does; who has had enough says so at every height."""
    at, watch = state.at, state.watch
    if not has_judged:
        watch.begin_view()
        return
    watch.begin_height()
    if slowness.has_had_enough(state) and state.may_vote:
        watch.complaints[state.me] = (at.height, at.view)
        state.broadcast(Complaint(at.height, at.view))


def _on_bytes(state: ReplicaState, sender: str, data: bytes) -> None:
    """Anything may come in here; only members of the validator set are listened to."""
    if sender == state.me or state.validators.key_of(sender) is None:
        return
    try:
        message = decode_message(data, state.config.body_bytes_max)
    except KehuError as error:
        evidence.accuse(state, sender, evidence.MALFORMED, error.code)
        return
    match message:
        case VoteMessage() | PrePrepare() | ViewChange() | NewView():
            _sort_by_height(state, sender, message, len(data))
        case Status():
            recovery.on_status(state, sender, message)
        case ProposalRequest():
            ordering.on_proposal_request(state, sender, message)
        case ProposalReply():
            ordering.on_proposal_reply(state, sender, message)
        case Complaint(height, view):
            slowness.on_complaint(state, sender, height, view)


def _sort_by_height(state: ReplicaState, sender: str, message: HeightMessage, size: int) -> None:
    """Past heights are over, the current one is worked on, the next ones are kept, the rest is a hint."""
    at, (height, view, _) = state.at, coordinates(message)
    state.future.claim(sender, height)
    if height == at.height:
        _on_height_message(state, sender, message, view)
    elif at.height < height <= at.height + state.config.height_window:
        state.future.keep(sender, message, size, state.config.future_bytes_max)
    elif height < at.height and isinstance(message, ViewChange):
        state.send(sender, recovery.own_status(state, wants_reply=False))


def _on_height_message(state: ReplicaState, sender: str, message: HeightMessage, view: int) -> None:
    at = state.at
    if at.is_deciding or (view > at.view + state.config.view_window and not isinstance(message, NewView)):
        return
    match message:
        case VoteMessage():
            ordering.on_vote(state, sender, message)
        case ViewChange():
            view_change.on_view_change(state, sender, message)
        case NewView():
            new_view.on_new_view(state, sender, message)
        case PrePrepare():
            ordering.on_pre_prepare(state, sender, message)
            recovery.adopt_view(state, message.parent_certificate)

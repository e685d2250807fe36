"""Coming back: from a restart, from behind, from lost messages, from a lost vote log.

Nothing here is needed while all goes well. STATUS is how replicas that are not at the same place find out; whoever is
ahead sends what the other lacks: a commit certificate, NEW-VIEW, the proposal, or its own last votes.
"""

from __future__ import annotations

from dataclasses import replace

from chain.certificate import Certificate
from consensus import evidence, new_view, ordering, withheld
from consensus.effects import ObserverChanged
from consensus.messages import Status, ViewChange, VoteMessage
from consensus.replica_state import HeightState, ReplicaState
from consensus.votes import CommitRecord, NewViewRecord, PrepareRecord, Record, ViewChangeRecord

HEIGHTS_BEYOND_HEARD = 3
"""See `watch`: a quorum's highest certified height is T, so our lost votes are at heights up to T + 2."""


def begin_height(state: ReplicaState) -> None:
    """R1: the height after the head, in the view of the head's certificate, with what the vote log says about it."""
    head = state.head
    first_view = 0 if head.certificate is None else head.certificate.view
    state.at = HeightState(head.height + 1, first_view, first_view)
    for record in state.records:
        if record.height == state.at.height:
            take_up(state, record)
    state.records = tuple(record for record in state.records if record.height > state.at.height)


def take_up(state: ReplicaState, record: Record) -> None:
    """R1: one record of the vote log: we are where we were when we wrote it."""
    at = state.at
    at.is_touched = True
    match record:
        case PrepareRecord(vote, body):
            if vote.view != at.view or not at.is_active:
                state.enter_view(vote.view, is_active=True)
            at.proposal, at.prepare = vote.block_id, vote
            state.remember_body(vote.block_id, body)
            ordering.add_vote(state, vote)
        case CommitRecord(vote, prepared):
            at.commit, at.prepared = vote, prepared
            ordering.add_vote(state, vote)
        case ViewChangeRecord(message):
            state.enter_view(message.view, is_active=False)
            at.log.view_changes[state.me] = message
        case NewViewRecord(message):
            state.enter_view(message.view, is_active=True, new_view=message)


def own_status(state: ReplicaState, *, wants_reply: bool) -> Status:
    at = state.at
    has_proposal = at.proposal is not None
    return Status(state.head.height, at.view, at.is_active, has_proposal, wants_reply, state.head.certificate)


def on_status(state: ReplicaState, sender: str, message: Status) -> None:
    """R2: learns from one who is ahead, helps one who is not."""
    if message.height > state.head.height and not learn_certificate(state, sender, message):
        return
    if message.height == state.head.height:
        adopt_view(state, message.certificate)
        if message.is_active and not message.has_proposal:
            state.future.withdraw(sender, message.height)
    watch(state, sender, message.height)
    if message.wants_reply or message.height < state.head.height:
        state.send(sender, own_status(state, wants_reply=False))
    if message.height == state.head.height:
        help_with_height(state, sender, message)


def learn_certificate(state: ReplicaState, sender: str, message: Status) -> bool:
    """R3: a commit certificate of our height decides it; one of a later height says how far to catch up.

    What is proven already is not verified again, so that statuses are cheap to receive.
    """
    at, certificate = state.at, message.certificate
    is_needed = message.height == at.height and at.commit_certificate is None
    if message.height <= state.proven_height and not is_needed:
        state.future.claim(sender, message.height)
        return True
    if certificate is None or certificate.height != message.height:
        evidence.accuse(state, sender, evidence.STATUS_CERTIFICATE, f"height {message.height}")
        return False
    if certificate.epoch != state.validators.epoch:
        state.future.claim(sender, message.height)
        return False
    if not state.is_commit_certificate(certificate, message.height, None):
        evidence.accuse(state, sender, evidence.STATUS_CERTIFICATE, f"height {message.height}")
        return False
    state.future.claim(sender, message.height)
    state.proven_height = max(state.proven_height, message.height)
    if message.height > at.height:
        ordering.fetch(state, message.height, (sender,))
    elif at.commit_certificate is None:
        at.commit_certificate = certificate
        evidence.compare(state, certificate)
    return True


def adopt_view(state: ReplicaState, certificate: Certificate | None) -> None:
    """R4: the head was decided in a higher view as well; as long as we said nothing here, we begin in that one.

    Having said something, we may not: two views of one height that are both entered without a NEW-VIEW
    must not share a voter.
    """
    at = state.at
    if certificate is None or certificate.view <= at.view or at.is_touched or at.is_deciding:
        return
    if state.is_commit_certificate(certificate, state.head.height, state.head.block_id):
        state.head = replace(state.head, certificate=certificate)
        at.first_view = certificate.view
        state.enter_view(certificate.view, is_active=True)


def help_with_height(state: ReplicaState, sender: str, theirs: Status) -> None:
    """R5: what one who works at the same height lacks."""
    at = state.at
    is_behind = theirs.view < at.view or (theirs.view == at.view and not theirs.is_active)
    lacks_proposal = theirs.view < at.view or (theirs.view == at.view and not theirs.has_proposal)
    opened = at.new_view if at.is_active and is_behind else None
    proposed = at.prepare if state.is_primary and lacks_proposal else None
    if (opened is not None or proposed is not None) and state.may_help(sender):
        if opened is not None:
            state.send(sender, opened)
        if proposed is not None:
            state.send(sender, ordering.own_pre_prepare(state, proposed.block_id))
    for message in last_words(state):
        state.send(sender, message)


def last_words(state: ReplicaState) -> list[VoteMessage | ViewChange]:
    """What we said last at this height, apart from bodies."""
    at = state.at
    own = at.log.view_changes.get(state.me)
    if not at.is_active and own is not None:
        return [own]
    return [VoteMessage(vote) for vote in (at.prepare, at.commit) if vote is not None]


def repeat(state: ReplicaState) -> None:
    """T2: the retransmission timer fired: lost messages are made good, whoever lost them."""
    state.broadcast(own_status(state, wants_reply=True))
    for message in last_words(state):
        state.broadcast(message)
    state.at.is_late = True
    new_view.request_body(state)
    withheld.request(state)
    state.fetch_to_height = 0
    catch_up(state)


def catch_up(state: ReplicaState) -> None:
    """R6: asks for the blocks that are known to exist. The others may only be a moment ahead: asked on the timer."""
    target = known_height(state)
    if target >= state.at.height:
        names = tuple(name for name, height in sorted(state.future.claimed_heights.items()) if height >= target)
        ordering.fetch(state, target, names)


def known_height(state: ReplicaState) -> int:
    """The highest height that is decided for certain: a certificate says so, or f+1 members work beyond it."""
    return max(state.proven_height, state.future.height_claimed_by(state.validators.f + 1) - 1)


def watch(state: ReplicaState, sender: str, height: int) -> None:
    """R7: how long a replica without its vote log observes.

    It voted at height h only with block h-1 appended, so a quorum committed h-1, each of them with h-2 appended. A
    quorum of others that now say where they are shares a correct member with that quorum; so if the highest certified
    height among them is T, then h - 2 <= T. From T + 3 on it has never voted.
    """
    observer = state.observer
    if observer is None or observer.votes_from_height:
        return
    observer.heard[sender] = height
    if len(observer.heard) >= state.validators.quorum:
        highest = max(state.head.height, *observer.heard.values())
        observer.votes_from_height = highest + HEIGHTS_BEYOND_HEARD
        state.emit(ObserverChanged(is_observer=True, votes_from_height=observer.votes_from_height))


def watch_anew(state: ReplicaState) -> None:
    """R7, M3: a quorum of the former set need not share a correct member with one of the present set."""
    observer = state.observer
    if observer is not None:
        observer.heard.clear()
        observer.votes_from_height = 0
        state.emit(ObserverChanged(is_observer=True, votes_from_height=0))


def stop_observing(state: ReplicaState) -> None:
    """R7: the height under way is one that the lost log can't have spoken about."""
    observer = state.observer
    if observer is not None and observer.votes_from_height and state.at.height >= observer.votes_from_height:
        state.observer = None
        state.emit(ObserverChanged(is_observer=False, votes_from_height=observer.votes_from_height))

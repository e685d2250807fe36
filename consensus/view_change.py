"""Leaving a primary that has failed: VIEW-CHANGE (Castro and Liskov, section 4.4; here scoped to one height).

A VIEW-CHANGE is a promise about one height: no vote in a lower view of it any more. A replica makes it when its timer
says so, when the primary's proposal is invalid, or when f+1 others are further on already, so at least one correct one.
"""

from __future__ import annotations

from consensus import evidence
from consensus.messages import ViewChange
from consensus.replica_state import ReplicaState
from consensus.votes import ViewChangeRecord


def on_view_change(state: ReplicaState, sender: str, message: ViewChange) -> None:
    """Keeps each member's highest VIEW-CHANGE of this height (spec V2)."""
    at, known = state.at, state.at.log.view_changes.get(sender)
    if message.department != sender:
        evidence.accuse(state, sender, evidence.NOT_SENDER, f"view-change of {message.department}")
        return
    if message.view <= at.first_view or message == known or (known is not None and known.view > message.view):
        return
    if not message.is_signed(state.validators, state.config.chain_id, state.check):
        evidence.accuse(state, sender, evidence.SIGNATURE, f"view-change, height {at.height} view {message.view}")
        return
    if message.prepared is not None and not message.prepared.could_be_of(state.validators):
        evidence.accuse(state, sender, evidence.VIEW_CHANGE_CERTIFICATE, f"height {at.height} view {message.view}")
        return
    if known is not None and known.view == message.view:
        evidence.accuse_of_view_changes(state, known, message)
        return
    if message.prepared is not None:
        if state.is_prepared_certificate(message.prepared, message.view):
            evidence.compare(state, message.prepared)
        else:
            detail = f"height {at.height} view {message.view}"
            evidence.accuse(state, sender, evidence.VIEW_CHANGE_CERTIFICATE, detail)
    at.log.view_changes[sender] = message


def start(state: ReplicaState, view: int) -> None:
    """V1: from here on nothing is voted in a lower view of this height. Durable before anybody hears of it."""
    at = state.at
    state.enter_view(view, is_active=False)
    at.is_touched = True
    message = ViewChange.signed(
        state.signer, state.config.chain_id, state.validators.epoch, at.height, view, at.prepared, state.me
    )
    at.log.view_changes[state.me] = message
    state.persist(ViewChangeRecord(message))
    state.broadcast(message)


# Rules


def leave(state: ReplicaState) -> bool:
    """V1: the primary of this view (or of the one we asked for) has had its chance."""
    at = state.at
    if not (at.is_suspect or (not at.is_active and is_abandoned(state))) or not state.may_vote:
        return False
    start(state, at.view + 1)
    return True


def join(state: ReplicaState) -> bool:
    """V3: f+1 others are at or beyond a higher view, so one correct replica is; one faulty member moves nobody."""
    if not state.at.log.view_changes or not state.may_vote:
        return False
    view = state.at.log.view_to_join(state.validators.f + 1, state.me)
    if view <= state.at.view:
        return False
    start(state, view)
    return True


def is_abandoned(state: ReplicaState) -> bool:
    """V5: the primary of the view we asked for has promised not to vote in it, so there is nothing to wait for."""
    at = state.at
    promise = at.log.view_changes.get(state.validators.primary(at.view))
    return promise is not None and promise.view > at.view and is_quorum_leaving(state)


def is_quorum_leaving(state: ReplicaState) -> bool:
    """V4: only then does the timer of an asked-for view run, so that nobody runs ahead of the others."""
    return state.at.log.members_at_or_above(state.at.view) >= state.validators.quorum

"""Opening a view: NEW-VIEW (Castro and Liskov, section 4.4).

The primary shows a quorum of VIEW-CHANGEs for exactly this height and view. What follows from them is a function of
the message alone, so every backup computes it again: the block of the prepared certificate with the highest view
must be proposed again; if there is none, no block can have been decided and the primary is free.

Why that is safe: a block decided in an earlier view was prepared by a quorum, which shares a correct replica
with any quorum of VIEW-CHANGEs; that replica voted COMMIT before its VIEW-CHANGE, so the VIEW-CHANGE carries the
certificate. An invalid certificate never comes from a correct replica: it is dropped alone, its VIEW-CHANGE counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from chain.certificate import Certificate
from consensus import evidence
from consensus.messages import NewView, ProposalRequest, ViewChange
from consensus.replica_state import ReplicaState
from consensus.votes import NewViewRecord


def highest_prepared(state: ReplicaState, view: int, changes: Iterable[ViewChange]) -> Certificate | None:
    """The valid prepared certificate of the highest view; two of one view can't be for different blocks."""
    best: Certificate | None = None
    for change in changes:
        prepared = change.prepared
        is_better = prepared is not None and (best is None or prepared.view > best.view)
        if is_better and prepared is not None and state.is_prepared_certificate(prepared, view):
            best = prepared
    return best


def on_new_view(state: ReplicaState, sender: str, message: NewView) -> None:
    """N3: enters the view if the message proves itself, whoever brought it."""
    at = state.at
    if message.view < at.view or (message.view == at.view and at.is_active):
        return
    if not message.is_signed(state.validators, state.config.chain_id, state.check):
        evidence.accuse(state, sender, evidence.SIGNATURE, f"new-view, height {at.height} view {message.view}")
        return
    problem = _problem_of(state, message)
    if problem:
        detail = f"height {at.height} view {message.view}: {problem}"
        evidence.accuse(state, message.department, evidence.NEW_VIEW_INVALID, detail)
        return
    state.enter_view(message.view, is_active=True, new_view=message)


def _problem_of(state: ReplicaState, message: NewView) -> str:
    """What is wrong with a signed NEW-VIEW; empty if nothing is."""
    changes = message.view_changes
    names = [change.department for change in changes]
    if names != sorted(set(names)) or len(names) < state.validators.quorum:
        return "no quorum of distinct departments"
    for change in changes:
        if (change.height, change.view) != (message.height, message.view):
            return f"a view-change for height {change.height} view {change.view}"
        if change.prepared is not None and not change.prepared.could_be_of(state.validators):
            return f"a certificate of strangers from {change.department}"
        is_known = state.at.log.view_changes.get(change.department) == change
        if not is_known and not change.is_signed(state.validators, state.config.chain_id, state.check):
            return f"a view-change not signed by {change.department}"
    prepared = highest_prepared(state, message.view, changes)
    if message.block_id != (None if prepared is None else prepared.block_id):
        return "another conclusion than its view-changes allow"
    return ""


# Rules


def open_view(state: ReplicaState) -> bool:
    """N1: the primary of an asked-for view opens it with the first quorum of VIEW-CHANGEs, its own among them, or, if
    a height lasts, with one that demands a block that is here."""
    at = state.at
    if at.is_active or not (state.may_vote and state.is_primary):
        return False
    changes = at.log.view_changes_for(at.view)
    if len(changes) < state.validators.quorum:
        return False
    if at.view - at.first_view >= state.validators.n:
        possible = tuple(change for change in changes if not _demands_what_is_missing(state, change))
        if len(possible) >= state.validators.quorum:
            changes = possible
        elif not at.is_late:
            return False  # the others' may be on their way
    prepared = highest_prepared(state, at.view, changes)
    message = NewView.signed(
        state.signer,
        state.config.chain_id,
        state.validators.epoch,
        at.height,
        at.view,
        None if prepared is None else prepared.block_id,
        changes,
        state.me,
    )
    state.persist(NewViewRecord(message))
    state.broadcast(message)
    state.enter_view(at.view, is_active=True, new_view=message)
    request_body(state)
    return True


def _demands_what_is_missing(state: ReplicaState, change: ViewChange) -> bool:
    """N1: bodies are kept of a few blocks only. A faulty member may show a certificate when nobody has its block any
    more; what was decided is demanded by some of every quorum, and there are always some that have it."""
    prepared = change.prepared
    is_missing = prepared is not None and prepared.block_id not in state.at.bodies
    return is_missing and prepared is not None and state.is_prepared_certificate(prepared, change.view)


def request_body(state: ReplicaState) -> None:
    """N2: a primary that lacks the block it must propose asks those who prepared it; some of them are correct."""
    at = state.at
    is_missing = at.required is not None and at.required not in at.bodies and at.is_active and state.is_primary
    if at.required is None or not is_missing or at.new_view is None or at.validating:
        return
    prepared = highest_prepared(state, at.view, at.new_view.view_changes)
    holders = [] if prepared is None else [name for name, _ in prepared.signatures if name != state.me]
    for name in [name for name in holders if name not in at.liars]:
        state.send(name, ProposalRequest(at.height, at.required))

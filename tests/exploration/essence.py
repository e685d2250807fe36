"""What of a replica's state, and of the messages on their way to it, can still make a difference.

`essence` is `locals.local_key` without what nothing reads any more, in a search of one height without restarts in
which all have work. `is_dead` says that a message does nothing to a replica, now or later. Both are claims about the
core; tests/exploration/test_reduction.py steps the core to see whether they hold.
"""

from __future__ import annotations

from consensus.messages import Message, NewView, PrePrepare, ProposalReply, Status, ViewChange, VoteMessage
from consensus.view_change import is_quorum_leaving
from tests.exploration.locals import NAMES, VALIDATORS, Local, certified


def essence(local: Local) -> tuple[object, ...]:
    """Equal for two states of one replica only if whatever happens to both, both do the same."""
    if local.decided is not None:
        return (local.decided, certified(local.certificate))
    return (*visible(local), *noted(local))


def visible(local: Local) -> tuple[object, ...]:
    """All but what has merely been noted. Which quorum opened a view matters no more once it is open."""
    state = local.replica._state
    at = state.at
    return (
        at.view, at.is_active, at.is_touched, at.is_suspect, at.is_build_asked, at.required, at.proposal,
        at.is_late, at.wanted,
        at.prepare and at.prepare.block_id, at.commit and at.commit.block_id, certified(at.prepared),
        certified(at.commit_certificate), frozenset(at.bodies), frozenset(at.liars), "view" in state.timers,
        state.fetch_to_height, state.has_work, local.decided, not at.is_active and is_quorum_leaving(state),
    )  # fmt: skip


def noted(local: Local) -> tuple[object, ...]:
    """What others said and may still count."""
    state = local.replica._state
    at, log = state.at, state.at.log
    proposals = ((name, message.view, message.block_id) for name, message in log.pre_prepares.items()
                 if not is_past_proposal(local, message.view))  # fmt: skip
    changes = ((name, change.view, certified(change.prepared) if is_primary_of(local, change.view) else None)
               for name, change in log.view_changes.items()
               if name != state.me and not is_past_change(local, change.view))  # fmt: skip
    votes = ((name, *key, vote.block_id) for name, kept in log.votes.items() for key, vote in kept.items()
             if not is_past_vote(local, *key) and not (name == state.me and key[1] == "prepare"))  # fmt: skip
    assert at.height == 1
    return frozenset(proposals), frozenset(changes), frozenset(votes)


def is_primary_of(local: Local, view: int) -> bool:
    return VALIDATORS.primary(view) == local.replica._state.me


def is_past_proposal(local: Local, view: int) -> bool:
    """One proposal is accepted in a view."""
    at = local.replica._state.at
    return view < at.view or (view == at.view and at.is_active and at.proposal is not None)


def is_past_change(local: Local, view: int) -> bool:
    """VIEW-CHANGEs open a view, and only their number sets the timer; after that nobody counts them."""
    state = local.replica._state
    at = state.at
    if view != at.view:
        return view < at.view
    return at.is_active or (not is_primary_of(local, view) and is_quorum_leaving(state))


def is_past_vote(local: Local, view: int, phase: str) -> bool:
    """PREPAREs count until we have voted COMMIT, in our view only; COMMITs of any view until one quorum is found."""
    at = local.replica._state.at
    if phase == "commit":
        return at.commit_certificate is not None
    return view < at.view or (view == at.view and at.commit is not None)


def is_dead(local: Local, sender: int, message: Message, is_liars: bool) -> bool:
    """Whether the message changes nothing and causes nothing, in this state and in all that follow it.

    A VIEW-CHANGE never is: who has decided answers it with its certificate. Only a liar learns nothing from that.
    """
    if isinstance(message, ViewChange) and not is_liars:
        return False
    if local.decided is not None:
        return True
    at, log = local.replica._state.at, local.replica._state.at.log
    match message:
        case VoteMessage(vote):
            return is_past_vote(local, vote.view, vote.phase)
        case PrePrepare():
            return is_past_proposal(local, message.view)
        case ViewChange():
            known = log.view_changes.get(NAMES[sender])
            return is_past_change(local, message.view) or (known is not None and known.view >= message.view)
        case NewView():
            return message.view < at.view or (message.view == at.view and at.is_active)
        case ProposalReply():
            return message.block_id in at.bodies
        case Status():
            return at.commit_certificate is not None
        case _:
            return False

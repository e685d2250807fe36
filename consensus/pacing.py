"""When the two timers run. Both run only while there is something to be done, so an idle network is silent.

`view`: how long the primary of the view has. It starts over with each height and view, doubles with each view of one
height, and in a view that was only asked for it runs once a quorum has asked (spec T1).
`retransmit`: how long until a replica that is not done repeats what it said last and asks where the others are (T2).
"""

from __future__ import annotations

from typing import Final

from consensus.effects import CancelTimer, SetTimer
from consensus.events import TimerFired
from consensus.recovery import known_height
from consensus.replica_state import ReplicaState
from consensus.view_change import is_quorum_leaving

VIEW: Final = "view"
RETRANSMIT: Final = "retransmit"


def is_busy(state: ReplicaState) -> bool:
    """There is work, or a block under way, or others ask for another view and may need us."""
    at = state.at
    if state.has_work or at.proposal is not None or at.prepared is not None or at.commit_certificate is not None:
        return True
    return not at.is_active and any(name != state.me for name in at.log.view_changes)


def is_missing_something(state: ReplicaState) -> bool:
    """The others have gone on, or work at this height while we have heard nothing of a proposal."""
    others_work = state.future.height_claimed_by(state.validators.f + 1) >= state.at.height
    return others_work or known_height(state) >= state.at.height


def pace(state: ReplicaState) -> None:
    """Sets and cancels timers so that they are as they should be; the last thing in every step."""
    at = state.at
    may_wait = at.is_active or is_quorum_leaving(state)
    key = (at.height, at.view, at.is_active)
    has_reason = is_busy(state)
    wants_view = has_reason and may_wait and state.may_vote
    _arrange(state, VIEW, key if wants_view else None, state.config.timeout_ms(at.view - at.first_view))
    must_ask = state.observer is not None and state.observer.votes_from_height == 0
    has_to_ask = has_reason or is_missing_something(state) or must_ask
    wants_retransmit = has_to_ask and state.is_member and not at.is_deciding
    _arrange(state, RETRANSMIT, key if wants_retransmit else None, state.config.retransmit_ms)


def _arrange(state: ReplicaState, timer: str, wanted: tuple[object, ...] | None, delay_ms: int) -> None:
    """`wanted` says what the timer is for; a timer that runs for the same thing is left alone."""
    running = state.timers.get(timer)
    if wanted is None:
        if running is not None:
            del state.timers[timer]
            state.emit(CancelTimer(timer))
    elif running is None or running[1:] != wanted:
        state.timer_token += 1
        state.timers[timer] = (state.timer_token, *wanted)
        state.emit(SetTimer(timer, state.timer_token, delay_ms))


def has_fired(state: ReplicaState, event: TimerFired) -> bool:
    """Whether it is the running timer; it then no longer runs."""
    running = state.timers.get(event.timer)
    if running is None or running[0] != event.token:
        return False
    del state.timers[event.timer]
    return True

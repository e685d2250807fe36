"""When the two timers run. Both run only while there is something to be done, so an idle network is silent.

`view`: how long the primary of the view has. It starts over with each height and view, doubles with each view of one
height, and in a view that was only asked for it runs once a quorum has asked (spec T1).
`retransmit`: how long until a replica that is not done repeats what it said last and asks where the others are (T2).
Half the view's time at most, however it is set: what waits for it (N1, O7) would otherwise come when the view is over.
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
    has_reason = is_busy(state)
    may_wait = at.is_active or is_quorum_leaving(state)
    wants_view = has_reason and may_wait and state.may_vote
    must_ask = state.observer is not None and state.observer.votes_from_height == 0
    has_to_ask = has_reason or must_ask or is_missing_something(state)
    wants_retransmit = has_to_ask and not at.is_deciding and state.is_member
    if wants_view or wants_retransmit or state.timers:
        view_ms = state.config.timeout_ms(at.view - at.first_view)
        _arrange(state, VIEW, view_ms if wants_view else None)
        _arrange(state, RETRANSMIT, min(state.config.retransmit_ms, view_ms // 2) if wants_retransmit else None)


def _arrange(state: ReplicaState, timer: str, delay_ms: int | None) -> None:
    """None: not wanted. A timer that runs for the view under way is left alone."""
    running = state.timers.get(timer)
    if delay_ms is None:
        if running is not None:
            del state.timers[timer]
            state.emit(CancelTimer(timer))
        return
    at = state.at
    wanted = (at.height, at.view, at.is_active)
    if running is None or running[1:] != wanted:
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

"""Leaving a primary that is alive and slow (Prime: Amir et al., DSN 2008; Aardvark: Clement et al., NSDI 2009).

A timeout catches a primary that has stopped, not one that proposes just before the timeout. So every backup measures
how long it waits for proposals, compares it with what the replicas themselves need to agree on them, and keeps
account of the excess; f+1 backups that have had enough change the primary. The rules are P1 to P5 of the specification.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from consensus.replica_state import ReplicaState

AGREEMENTS_ALLOWED: Final = 4
"""A proposal may take this many times as long as the agreement on it: both grow with the block and the network."""
ALLOWANCE_SHARE: Final = 4
"""And always the view timeout divided by this, so that jitter on a fast network is no offence."""
COMPLAINT_HEIGHTS: Final = 8
"""For how many heights a complaint counts; who still complains has repeated it by then."""
CALM_HEIGHTS: Final = 64
"""So many heights in one view with a prompt proposal, and earlier changes for slowness are forgotten."""
PATIENCE_MAX: Final = 8
OVERTAKEN_HEIGHTS: Final = 8
"""By so many blocks of one view may work be passed over that waits here, and then not by one more."""


@dataclass(slots=True)
class PrimaryWatch:
    """What this replica knows about the pace of the primary of the view under way. Times are the driver's clock."""

    debt_ms: int = 0
    """By how much the proposals of this view were late, in sum; what they were early pays it back."""
    waiting_since_ms: int | None = None
    accepted_ms: int | None = None
    calm_heights: int = 0
    """Heights in a row, in this view, whose proposal came within the least allowance."""
    views_left: int = 0
    """Views that were left for slowness since the last calm."""
    heights: int = 0
    """Heights decided in this view since we are in it."""
    overtaken: int = 0
    """By how many blocks the work was passed over that was passed over most."""
    complaints: dict[str, tuple[int, int]] = field(default_factory=dict)
    """(height, view) of each member's last complaint."""

    def begin_height(self) -> None:
        self.waiting_since_ms = self.accepted_ms = None

    def begin_view(self) -> None:
        self.begin_height()
        self.debt_ms = self.calm_heights = self.heights = self.overtaken = 0


def observe(state: ReplicaState) -> None:
    """P1: notes since when a proposal is due, and when it came. Part of every step."""
    at, watch = state.at, state.watch
    if at.proposal is not None:
        if watch.accepted_ms is None:
            watch.accepted_ms = state.now_ms
    elif not (state.has_work and at.is_active) or state.is_primary or not state.may_vote:
        watch.waiting_since_ms = None
    elif watch.waiting_since_ms is None:
        watch.waiting_since_ms = state.now_ms


def judge(state: ReplicaState, overtaken: int) -> None:
    """P2: the height under way has been appended: brings the account of its primary up to date.

    A slow agreement excuses its own height; that it paid for others would be for the primary to arrange.
    """
    watch, timeout_ms = state.watch, state.config.view_timeout_ms
    watch.heights, watch.overtaken = watch.heights + 1, overtaken
    accepted_ms = state.now_ms if watch.accepted_ms is None else watch.accepted_ms
    waited_ms = 0 if watch.waiting_since_ms is None else accepted_ms - watch.waiting_since_ms
    agreed_ms = state.now_ms - accepted_ms
    allowance_ms = allowance_of(state, watch.views_left)
    late_ms = max(waited_ms - max(allowance_ms, AGREEMENTS_ALLOWED * agreed_ms), -allowance_ms)
    watch.debt_ms = min(max(0, watch.debt_ms + late_ms), 2 * timeout_ms)
    watch.calm_heights = watch.calm_heights + 1 if waited_ms <= allowance_of(state, 0) else 0
    if watch.calm_heights >= CALM_HEIGHTS:
        watch.views_left = 0


def allowance_of(state: ReplicaState, views_left: int) -> int:
    """P4: at most f primaries in a row are faulty; if all n have been left, it is the network that is slow."""
    config = state.config
    return config.block_interval_ms + ((config.view_timeout_ms // ALLOWANCE_SHARE) << _rounds(state, views_left))


def _rounds(state: ReplicaState, views_left: int) -> int:
    return min(views_left // state.validators.n, PATIENCE_MAX)


def has_had_enough(state: ReplicaState) -> bool:
    return state.watch.debt_ms >= state.config.view_timeout_ms or is_favouring(state)


def is_favouring(state: ReplicaState) -> bool:
    """P5: work that waits here was passed over too often by blocks of this view; a new primary has its own chance."""
    watch = state.watch
    allowed = OVERTAKEN_HEIGHTS << _rounds(state, watch.views_left)
    return min(watch.overtaken, watch.heights) > allowed and not state.is_primary


def on_complaint(state: ReplicaState, sender: str, height: int, view: int) -> None:
    """Each member's last complaint; one about a height far away is not one about this primary."""
    if abs(height - state.at.height) < COMPLAINT_HEIGHTS:
        state.watch.complaints[sender] = (height, view)


# Rule


def lose_patience(state: ReplicaState) -> bool:
    """P3: f+1 members complain about this view, so a correct one does: the primary is left as if its time were up."""
    at, complaints = state.at, state.watch.complaints
    if not complaints or not at.is_active or at.is_suspect or not state.may_vote:
        return False
    recent = at.height - COMPLAINT_HEIGHTS
    about = [view for height, view in complaints.values() if view == at.view and height > recent]
    if len(about) <= state.validators.f:
        return False
    state.watch.views_left += 1
    at.is_suspect = True
    return True

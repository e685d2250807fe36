"""Where a replica stands, as somebody who asks why nothing happens wants to know it. Read-only; nothing acts on it."""

from __future__ import annotations

from dataclasses import dataclass

from chain.certificate import Phase
from consensus.replica_state import ReplicaState


@dataclass(frozen=True, slots=True)
class Situation:
    """Of the height under way. Departments are in order of their ids.

    `proposal`: the block id accepted (or proposed) in this view. `prepared_by`, `committed_by`: who has voted for it
    in this view, as far as this replica has heard, itself included. `asked_for`: who asks for which view, where a view
    change is under way. `claimed`: the highest height each other department has spoken about.
    """

    height: int
    view: int
    first_view: int
    primary: str
    is_active: bool
    is_suspect: bool
    has_work: bool
    members: tuple[str, ...]
    quorum: int
    proposal: bytes | None
    prepared_by: tuple[str, ...]
    committed_by: tuple[str, ...]
    asked_for: tuple[tuple[str, int], ...]
    claimed: tuple[tuple[str, int], ...]
    complaints: tuple[str, ...]


def situation_of(state: ReplicaState) -> Situation:
    at, watch = state.at, state.watch
    return Situation(
        height=at.height,
        view=at.view,
        first_view=at.first_view,
        primary=state.validators.primary(at.view),
        is_active=at.is_active,
        is_suspect=at.is_suspect,
        has_work=state.has_work,
        members=state.validators.departments,
        quorum=state.validators.quorum,
        proposal=at.proposal,
        prepared_by=_voters(state, "prepare"),
        committed_by=_voters(state, "commit"),
        asked_for=tuple((name, at.log.view_changes[name].view) for name in sorted(at.log.view_changes)),
        claimed=tuple(sorted(state.future.claimed_heights.items())),
        complaints=tuple(sorted(name for name, (_, view) in watch.complaints.items() if view == at.view)),
    )


def _voters(state: ReplicaState, phase: Phase) -> tuple[str, ...]:
    at = state.at
    if at.proposal is None:
        return ()
    return tuple(sorted(vote.department for vote in at.log.matching_votes(phase, at.view, at.proposal)))

"""A proposal that the primary shows to some members only (spec O7).

A primary that leaves out up to f members needs its own vote, or a friend's, for a quorum. Given just before the timeout
at each height, it would make every height as long as the timeout, and nobody would find the primary slow: those who
have the proposal had it at once, and those who have not are too few to leave it. So who has heard nothing of a proposal
for a while takes it from those who prepare it.
"""

from __future__ import annotations

from consensus.messages import ProposalRequest
from consensus.replica_state import ReplicaState


def request(state: ReplicaState) -> None:
    """O7: asks one of those who said PREPARE, another one each time: a body may be as large as a message."""
    at = state.at
    is_here = at.proposal is not None or at.wanted in at.bodies or (at.view, at.wanted) in at.validating
    if at.wanted is None or is_here:
        return
    primary = state.validators.primary(at.view)
    votes = at.log.matching_votes("prepare", at.view, at.wanted)
    holders = [vote.department for vote in votes if vote.department != primary and vote.department not in at.liars]
    if holders:
        at.times_asked += 1
        state.send(holders[at.times_asked % len(holders)], ProposalRequest(at.height, at.wanted))


# Rule


def ask(state: ReplicaState) -> bool:
    """O7: f+1 others prepare a block, so a correct one does: it is the primary's proposal, which we should have."""
    at = state.at
    if not at.is_late or at.proposal is not None or at.wanted is not None:
        return False
    if state.is_primary or not (at.is_active and state.may_vote):
        return False
    block_id = at.log.block_prepared_by(state.validators.f + 1, at.view, state.validators.primary(at.view))
    if block_id is None or (at.required is not None and at.required != block_id):
        return False
    at.wanted = block_id
    request(state)
    return True

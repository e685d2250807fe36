"""Normal operation: PRE-PREPARE, PREPARE, COMMIT, decide (Castro and Liskov, OSDI 1999, section 4.2).

Handlers only note what arrived; rules look at what is known and take the next step when its conditions hold. A rule
returns whether it did something, and `consensus.replica` repeats the rules until none does. So the order in which
things arrive, and whether they come from the network or from the vote log, makes no difference.
"""

from __future__ import annotations

from chain.certificate import Certificate, Vote
from chain.errors import InvariantError
from consensus import evidence
from consensus.effects import BuildProposal, Decide, FetchBlocks, ValidateProposal
from consensus.events import NothingToPropose, ProposalBuilt, ProposalValidated
from consensus.messages import PrePrepare, ProposalReply, ProposalRequest, VoteMessage
from consensus.replica_state import ReplicaState
from consensus.votes import CommitRecord, PrepareRecord

# Handlers


def on_pre_prepare(state: ReplicaState, sender: str, message: PrePrepare) -> None:
    """Keeps the primary's proposal for the current view or a higher one (spec O2)."""
    at, known = state.at, state.at.log.pre_prepares.get(sender)
    if message.department != sender:
        evidence.accuse(state, sender, evidence.NOT_SENDER, f"pre-prepare of {message.department}")
        return
    if message.view < at.view or (known is not None and known.view > message.view):
        return
    if known is not None and (known.view, known.block_id) == (message.view, message.block_id):
        return
    if state.validators.primary(message.view) != sender:
        evidence.accuse(state, sender, evidence.NOT_PRIMARY, f"height {at.height} view {message.view}")
        return
    key = state.validators.key_of(sender)
    payload, chain_id = message.payload(), state.config.chain_id
    if message.epoch != state.validators.epoch or key is None:
        return
    if not state.check(key, PrePrepare.kind, chain_id, payload, message.signature):
        evidence.accuse(state, sender, evidence.SIGNATURE, f"pre-prepare, height {at.height} view {message.view}")
    elif known is not None and known.view == message.view:
        evidence.accuse_of_proposals(state, known, message)
    else:
        at.log.pre_prepares[sender] = message


def on_vote(state: ReplicaState, sender: str, message: VoteMessage) -> None:
    """Keeps a verified PREPARE or COMMIT of any view; a quorum of COMMITs decides whatever our view is (O5, O6)."""
    at, vote = state.at, message.vote
    if vote.department != sender:
        evidence.accuse(state, sender, evidence.NOT_SENDER, f"{vote.phase} of {vote.department}")
        return
    known = at.log.vote_of(sender, vote.phase, vote.view)
    if (known is not None and known.block_id == vote.block_id) or not at.log.has_room_for(
        vote, state.config.views_kept
    ):
        return
    if not vote.is_valid(state.validators, state.config.chain_id, state.check):
        evidence.accuse(state, sender, evidence.SIGNATURE, f"{vote.phase}, height {at.height} view {vote.view}")
    elif known is not None:
        evidence.accuse_of_votes(state, known, vote)
    else:
        add_vote(state, vote)


def add_vote(state: ReplicaState, vote: Vote) -> None:
    """A verified vote, another's or our own."""
    at = state.at
    at.log.add_vote(vote, state.config.views_kept)
    if vote.phase == "commit" and at.commit_certificate is None:
        votes = at.log.matching_votes("commit", vote.view, vote.block_id)
        if len(votes) >= state.validators.quorum:
            at.commit_certificate = Certificate.of(votes)


def on_proposal_built(state: ReplicaState, event: ProposalBuilt) -> None:
    at = state.at
    is_current = (event.height, event.view) == (at.height, at.view) and at.is_build_asked
    if not is_current or at.proposal is not None or not at.is_active or not state.may_vote:
        return
    if len(event.body) > state.config.body_bytes_max:
        raise InvariantError(f"a body of {len(event.body)} bytes was built, limit {state.config.body_bytes_max}")
    at.proposal = event.block_id
    state.remember_body(event.block_id, event.body)


def on_nothing_to_propose(state: ReplicaState, event: NothingToPropose) -> None:
    at = state.at
    if (event.height, event.view) == (at.height, at.view):
        state.has_work = at.is_work_newer
        at.is_build_asked = at.is_work_newer = False


def on_proposal_validated(state: ReplicaState, event: ProposalValidated) -> None:
    """An invalid proposal is reason enough to ask for another primary; a wrong body only discredits its sender.

    Where every member has had its turn at this height and was refused (clocks or releases that differ), the next ones
    keep their view until its time is up: otherwise views would follow each other as fast as the members can (O3).
    """
    at = state.at
    waiting = at.validating.pop((event.view, event.block_id), None) if event.height == at.height else None
    if waiting is None:
        return
    body, sender = waiting
    if event.is_valid:
        state.remember_body(event.block_id, body)
    elif (event.view, event.block_id) == (at.view, at.proposal):
        detail = f"height {at.height} view {at.view} {event.problem}"
        evidence.accuse(state, sender, evidence.PROPOSAL_INVALID, detail)
        at.is_suspect = at.view - at.first_view < len(state.validators.departments)
    elif event.block_id == at.required:
        evidence.accuse(state, sender, evidence.BODY_INVALID, f"height {at.height} {event.problem}")
        at.liars.add(sender)
    elif event.block_id == at.wanted:
        at.liars.add(sender)  # no accusation: it may be our clock that differs


def on_proposal_request(state: ReplicaState, sender: str, message: ProposalRequest) -> None:
    body = state.at.bodies.get(message.block_id) if message.height == state.at.height else None
    if body is not None and state.may_help(sender):
        state.send(sender, ProposalReply(message.height, message.block_id, body))


def on_proposal_reply(state: ReplicaState, sender: str, message: ProposalReply) -> None:
    at = state.at
    wanted = at.required if state.is_primary else at.wanted
    is_wanted = message.height == at.height and message.block_id == wanted and at.is_active and at.proposal is None
    key = (at.view, message.block_id)
    if is_wanted and message.block_id not in at.bodies and key not in at.validating and sender not in at.liars:
        at.validating[key] = (message.body, sender)
        is_prepared = at.required is not None
        state.emit(ValidateProposal(at.height, at.view, message.block_id, message.body, is_prepared=is_prepared))


# Rules


def decide(state: ReplicaState) -> bool:
    """O6: a commit certificate and the body make the block final."""
    at, certificate = state.at, state.at.commit_certificate
    if certificate is None or at.is_deciding:
        return False
    body = at.bodies.get(certificate.block_id)
    if body is None:
        return False
    at.is_deciding = True
    state.emit(Decide(at.height, certificate.block_id, body, certificate))
    return True


def fetch_decided(state: ReplicaState) -> bool:
    """O6: without the body, catch-up brings the block. Behind `accept`: a proposal that is here is looked at first, and
    of heights whose messages were kept everything is."""
    at, certificate = state.at, state.at.commit_certificate
    if certificate is None or at.is_deciding:
        return False
    if not any(block_id == certificate.block_id for _, block_id in at.validating):
        fetch(state, at.height, tuple(name for name, _ in certificate.signatures))
    return False


def fetch(state: ReplicaState, to_height: int, departments: tuple[str, ...]) -> None:
    """Asks the driver to catch up, once per height reached for (repeated by the retransmission timer)."""
    if to_height > state.fetch_to_height:
        state.fetch_to_height = to_height
        others = tuple(name for name in departments if name != state.me)
        state.emit(FetchBlocks(state.at.height, to_height, others))


def propose(state: ReplicaState) -> bool:
    """O1: the primary of an active view proposes what NEW-VIEW demands, or has a block built if there is work."""
    at = state.at
    if at.proposal is not None or not at.is_active or at.is_suspect or not (state.is_primary and state.may_vote):
        return False
    if at.required is not None:
        if at.required in at.bodies:
            at.proposal = at.required
            return True
        return False
    if state.has_work and not at.is_build_asked:
        at.is_build_asked = True
        state.emit(BuildProposal(at.height, at.view, state.head.block_id))
    return False


def accept(state: ReplicaState) -> bool:
    """O3: a backup takes the primary's first proposal of an active view and has it validated."""
    at = state.at
    if at.proposal is not None or not at.is_active:
        return False
    if at.wanted in at.bodies:
        at.proposal = at.wanted
        return True
    if not at.log.pre_prepares:
        return False
    message = at.log.pre_prepares.get(state.validators.primary(at.view))
    if message is None or message.view != at.view or state.is_primary:
        return False
    if at.commit_certificate is not None and message.block_id != at.commit_certificate.block_id:
        return False  # too late for that one
    if at.required is not None and message.block_id != at.required:
        if not at.is_suspect:
            detail = f"height {at.height} view {at.view}: not the block of NEW-VIEW"
            evidence.accuse(state, message.department, evidence.PROPOSAL_INVALID, detail)
            at.is_suspect = True
            return True
        return False
    if (at.view, message.block_id) in at.validating:
        return False  # another member's answer, whose verdict must not fall on the primary
    at.proposal = message.block_id
    if message.block_id not in at.bodies:
        at.validating[at.view, message.block_id] = (message.body, message.department)
        is_prepared = at.required is not None
        state.emit(ValidateProposal(at.height, at.view, message.block_id, message.body, is_prepared=is_prepared))
    return True


def prepare(state: ReplicaState) -> bool:
    """O4: PREPARE for a valid proposal; the primary sends its PRE-PREPARE with it. Durable first."""
    at, block_id = state.at, state.at.proposal
    if block_id is None or at.prepare is not None or block_id not in at.bodies:
        return False
    if not (at.is_active and state.may_vote):
        return False
    at.prepare = state.signed_vote("prepare", block_id)
    at.is_touched = True
    state.persist(PrepareRecord(at.prepare, at.bodies[block_id]))
    if state.is_primary:
        state.broadcast(own_pre_prepare(state, block_id))
    state.broadcast(VoteMessage(at.prepare))
    add_vote(state, at.prepare)
    return True


def commit(state: ReplicaState) -> bool:
    """O5: COMMIT once a quorum has prepared what we prepared. Durable first, with the prepared certificate."""
    at = state.at
    if at.prepare is None or at.commit is not None or not (at.is_active and state.may_vote):
        return False
    votes = at.log.matching_votes("prepare", at.view, at.prepare.block_id)
    if len(votes) < state.validators.quorum:
        return False
    at.prepared = Certificate.of(votes)
    at.commit = state.signed_vote("commit", at.prepare.block_id)
    state.persist(CommitRecord(at.commit, at.prepared))
    state.broadcast(VoteMessage(at.commit))
    add_vote(state, at.commit)
    return True


def own_pre_prepare(state: ReplicaState, block_id: bytes) -> PrePrepare:
    at = state.at
    return PrePrepare.signed(
        state.signer,
        state.config.chain_id,
        state.validators.epoch,
        at.height,
        at.view,
        block_id,
        state.me,
        at.bodies[block_id],
        state.head.certificate,
    )

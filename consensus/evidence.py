"""What a peer can be guilty of. An accusation is an effect; the protocol goes on without the offender's message.

Equivocation is proven to third parties by the messages themselves: two signed statements that exclude each other
(`vote.equivocation`, `proposal.equivocation`, `view_change.equivocation`; chain.evidence). The others are this
replica's word.
"""

from __future__ import annotations

from typing import Final

from chain.certificate import Certificate, Vote
from chain.evidence import Evidence, Kind, Statement
from consensus.effects import Accuse
from consensus.messages import PrePrepare, ViewChange
from consensus.replica_state import ReplicaState

MALFORMED: Final = "message.malformed"
"""Bytes that are no message."""
SIGNATURE: Final = "message.signature"
"""A signature that does not verify, or another validator epoch than the height's."""
NOT_SENDER: Final = "message.not_sender"
"""A message that has to come from its signer came from somebody else."""
NOT_PRIMARY: Final = "proposal.not_primary"
"""A PRE-PREPARE of a department that is not the primary of its view."""
PROPOSAL_INVALID: Final = "proposal.invalid"
"""The primary proposed a block that does not validate, or another one than NEW-VIEW demands."""
PROPOSAL_EQUIVOCATION: Final = "proposal.equivocation"
"""Two PRE-PREPAREs for different blocks in one view; or one for another block than a quorum voted for in that view."""
BODY_INVALID: Final = "proposal.wrong_body"
"""A body, sent on request, that is not the body of the block asked for."""
VOTE_EQUIVOCATION: Final = "vote.equivocation"
"""Two votes of one phase for different blocks in one view."""
VIEW_CHANGE_EQUIVOCATION: Final = "view_change.equivocation"
"""Two VIEW-CHANGEs for one view with different contents."""
VIEW_CHANGE_CERTIFICATE: Final = "view_change.certificate"
"""A VIEW-CHANGE whose prepared certificate is not valid; it counts as if it had none."""
NEW_VIEW_INVALID: Final = "new_view.invalid"
"""A signed NEW-VIEW without a quorum of valid VIEW-CHANGEs, or with a wrong conclusion."""
STATUS_CERTIFICATE: Final = "status.certificate"
"""A status whose commit certificate does not prove its height."""


def accuse(state: ReplicaState, department: str, offence: str, detail: str, evidence: Evidence | None = None) -> None:
    """At most one accusation per department, offence and height, so that a flood of offences is not a flood of logs."""
    key = (department, offence)
    if key not in state.at.accused:
        state.at.accused.add(key)
        state.emit(Accuse(department, offence, detail, evidence))


def accuse_of_votes(state: ReplicaState, one: Vote, other: Vote) -> None:
    """Two votes of a department for one phase, height and view; both signatures have been verified."""
    detail = f"{one.phase}, height {one.height} view {one.view}"
    accuse(state, one.department, VOTE_EQUIVOCATION, detail, _proof(state, one.phase, one, other))


def accuse_of_proposals(state: ReplicaState, one: PrePrepare, other: PrePrepare) -> None:
    detail = f"height {one.height} view {one.view}"
    accuse(state, one.department, PROPOSAL_EQUIVOCATION, detail, _proof(state, "pre-prepare", one, other))


def accuse_of_view_changes(state: ReplicaState, one: ViewChange, other: ViewChange) -> None:
    detail = f"height {one.height} view {one.view}"
    accuse(state, one.department, VIEW_CHANGE_EQUIVOCATION, detail, _proof(state, "view-change", one, other))


def compare(state: ReplicaState, certificate: Certificate) -> None:
    """O6: whoever signed a valid certificate of this height may have told us something else: that is evidence too. So
    may the primary, whose proposal a quorum took; that it showed us another one is our word only."""
    if certificate.height != state.at.height:
        return
    shown = state.at.log.pre_prepares.get(state.validators.primary(certificate.view))
    if shown is not None and shown.view == certificate.view and shown.block_id != certificate.block_id:
        detail = f"height {shown.height} view {shown.view}, another block than to a quorum"
        accuse(state, shown.department, PROPOSAL_EQUIVOCATION, detail)
    for department, signature in certificate.signatures:
        known = state.at.log.vote_of(department, certificate.phase, certificate.view)
        if known is None or known.block_id == certificate.block_id or department == state.me:
            continue
        block = (certificate.epoch, certificate.height, certificate.view, certificate.block_id)
        accuse_of_votes(state, known, Vote(certificate.phase, *block, department, signature))


_Signed = Vote | PrePrepare | ViewChange


def _proof(state: ReplicaState, kind: Kind, one: _Signed, other: _Signed) -> Evidence:
    statements = (_statement(one), _statement(other))
    return Evidence.of(state.config.chain_id, kind, one.epoch, one.height, one.view, one.department, *statements)


def _statement(message: _Signed) -> Statement:
    if isinstance(message, ViewChange):
        prepared = None if message.prepared is None else message.prepared.to_value()
        return Statement(prepared, message.signature)
    return Statement(message.block_id, message.signature)

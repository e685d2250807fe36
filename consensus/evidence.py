"""What a peer can be guilty of. An accusation is an effect; the protocol goes on without the offender's message.

Only two offences are proven to third parties by the messages themselves: two signed statements that exclude each
other (`vote.equivocation`, `proposal.equivocation`, `view_change.equivocation`). The others are this replica's word.
"""

from __future__ import annotations

from typing import Final

from consensus.effects import Accuse
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
"""Two PRE-PREPAREs for different blocks in one view."""
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


def accuse(state: ReplicaState, department: str, offence: str, detail: str, evidence: tuple[bytes, ...] = ()) -> None:
    """At most one accusation per department, offence and height, so that a flood of offences is not a flood of logs."""
    key = (department, offence)
    if key not in state.at.accused:
        state.at.accused.add(key)
        state.emit(Accuse(department, offence, detail, evidence))

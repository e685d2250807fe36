"""A primary that shows its proposals to as few as can still decide them (B43), and answers no request for a body."""

from __future__ import annotations

from consensus.messages import Message, PrePrepare, ProposalReply
from tests.simulation.actors.base import Actor, Told


class Withholder(Actor):
    kind = "withholder"

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        served = self.others[: self.node.disk.validators.quorum - 1]
        if isinstance(message, ProposalReply) or (isinstance(message, PrePrepare) and receiver not in served):
            self.did()
            return []
        return [(0, data)]

"""A primary that shows its proposals to so few that its own vote is needed, and gives it just before the time is up."""

from __future__ import annotations

from consensus.messages import Message, PrePrepare, ProposalReply, VoteMessage
from tests.simulation.actors.base import Actor, Told


class Miser(Actor):
    kind = "miser"

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        if isinstance(message, VoteMessage):
            self.did()
            return [(self.world.limits["view_timeout_ms"] * 8 // 10, data)]
        is_withheld = isinstance(message, PrePrepare) and receiver not in self.served()
        if is_withheld or isinstance(message, ProposalReply):
            self.did()
            return []
        return [(0, data)]

    def served(self) -> tuple[str, ...]:
        """Always the same, so that at most f wait for a proposal: too few to leave a primary."""
        return self.others[: self.node.disk.validators.quorum - 1]

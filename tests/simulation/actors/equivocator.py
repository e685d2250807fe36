"""Tells one half of the members one thing and the other half another: two proposals, and votes for both."""

from __future__ import annotations

from dataclasses import replace

from chain import codec
from consensus.messages import Message, PrePrepare, VoteMessage
from tests.simulation.actors.base import Actor, Told
from tests.simulation.disk import block_id_of


class Equivocator(Actor):
    kind = "equivocator"

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        if self.others.index(receiver) % 2:
            return [(0, data)]
        match message:
            case PrePrepare():
                return [(0, self.other_proposal(message))]
            case VoteMessage():
                return [(0, self.other_vote(message))]
            case _:
                return [(0, data)]

    def other_body(self, body: bytes) -> bytes:
        """As valid as the first one: another choice of the same transactions."""
        height, parent, view, transactions = codec.decode(body, 1 << 20)
        return codec.encode([height, parent, view, transactions[1:] or [transactions[0] + 1_000_000]])

    def other_proposal(self, message: PrePrepare) -> bytes:
        self.did()
        body = self.other_body(message.body)
        return PrePrepare.signed(
            self.signer, self.world.chain_id, message.epoch, message.height, message.view, block_id_of(body),
            self.name, body, message.parent_certificate,
        ).to_bytes()  # fmt: skip

    def other_vote(self, message: VoteMessage) -> bytes:
        """For the block that the other half was shown, if it was ours; else for one that nobody has."""
        self.did()
        state = self.node.replica._state if self.node.replica else None
        body = state.at.bodies.get(message.vote.block_id) if state else None
        block_id = block_id_of(self.other_body(body)) if body else self.rng.randbytes(32)
        payload = replace(message.vote, block_id=block_id).payload()
        signature = self.signer.sign(message.vote.phase, self.world.chain_id, payload)
        return VoteMessage(replace(message.vote, block_id=block_id, signature=signature)).to_bytes()

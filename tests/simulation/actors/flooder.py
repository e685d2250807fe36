"""Fills whatever can be filled: signed votes, proposals and VIEW-CHANGEs of many views and heights."""

from __future__ import annotations

from chain.certificate import sign_vote
from consensus.messages import Message, PrePrepare, ProposalRequest, Status, ViewChange, VoteMessage
from tests.simulation.actors.base import Actor

FLOOD = 12


class Flooder(Actor):
    kind = "flooder"

    def speak(self) -> list[tuple[str, bytes]]:
        self.did()
        receiver = self.rng.choice(self.others)
        return [(receiver, self.anything().to_bytes()) for _ in range(FLOOD)]

    def anything(self) -> Message:
        rng, signer, chain_id = self.rng, self.signer, self.world.chain_id
        height = self.node.disk.height + rng.choice((0, 1, 1, 1, 2, 3, 4, 1 << 40))
        view, block_id = rng.choice((0, 1, rng.randrange(1 << 16), 1 << 60)), rng.randbytes(32)
        match rng.randrange(6):
            case 0:
                return PrePrepare.signed(signer, chain_id, 0, height, view, block_id, self.name, b"flood", None)
            case 1:
                return ViewChange.signed(signer, chain_id, 0, height, view, None, self.name)
            case 2:
                return Status(height, view, True, False, True, None)
            case 3:
                return ProposalRequest(height, block_id)
            case _:
                phase = rng.choice(("prepare", "commit"))
                return VoteMessage(sign_vote(signer, chain_id, phase, 0, height, view, block_id, self.name))  # type: ignore[arg-type]

"""Fills what is kept of the next heights: every kind of message for each of them, signed and wrong, in ever new views;
and complains about primaries of heights to come."""

from __future__ import annotations

from chain.certificate import sign_vote
from consensus.messages import Complaint, Message, NewView, PrePrepare, ViewChange, VoteMessage
from tests.simulation.actors.base import Actor

AT_ONCE = 20
HEIGHTS = 18
"""Two more than are kept."""


class Hoarder(Actor):
    kind = "hoarder"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.spoken = 0

    def speak(self) -> list[tuple[str, bytes]]:
        """Mostly of the primary's own views, as what it may say in them is looked at longest."""
        self.did()
        receiver = self.rng.choice(self.others)
        return [(receiver, self.anything().to_bytes()) for _ in range(AT_ONCE)]

    def anything(self) -> Message:
        rng, signer, chain_id = self.rng, self.signer, self.world.chain_id
        self.spoken += 1
        n, own = len(self.members), self.members.index(self.name)
        height = self.node.disk.height + rng.randint(2, HEIGHTS)
        view, block_id = rng.choice((own, own + n * (self.spoken // AT_ONCE), self.spoken)), rng.randbytes(32)
        match rng.randrange(6):
            case 0:
                body = rng.randbytes(rng.randint(0, 400))
                return PrePrepare.signed(signer, chain_id, 0, height, view, block_id, self.name, body, None)
            case 1:
                return ViewChange.signed(signer, chain_id, 0, height, view, None, self.name)
            case 2:
                asked = ViewChange.signed(signer, chain_id, 0, height, view, None, self.name)
                return NewView.signed(signer, chain_id, 0, height, view, block_id, (asked,) * n, self.name)
            case 3:
                return Complaint(height, rng.randint(0, 3))
            case _:
                phase = rng.choice(("prepare", "commit"))
                return VoteMessage(sign_vote(signer, chain_id, phase, 0, height, view, block_id, self.name))  # type: ignore[arg-type]

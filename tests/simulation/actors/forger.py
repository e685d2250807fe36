"""Speaks for others: their votes with wrong signatures, certificates that no quorum signed, one signer many times."""

from __future__ import annotations

from dataclasses import replace

from chain.certificate import Certificate, Vote, sign_vote
from consensus.messages import Message, PrePrepare, Status, ViewChange, VoteMessage
from tests.simulation.actors.base import Actor, Told


class Forger(Actor):
    kind = "forger"

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        if self.rng.random() < 0.4:
            return [(0, data)]
        self.did()
        match message:
            case VoteMessage(vote):
                return [(0, data), (1, VoteMessage(self.in_the_name_of_another(vote)).to_bytes())]
            case ViewChange():
                return [(0, self.with_forged_certificate(message))]
            case Status():
                height = message.height + self.rng.choice((0, 1, 1 << 40))
                forged = self.certificate("commit", height, message.view)
                return [(0, replace(message, height=height, certificate=forged).to_bytes())]
            case PrePrepare() if message.parent_certificate is not None:
                parent = message.parent_certificate
                forged = self.certificate("commit", parent.height, parent.view + 1, parent.block_id)
                return [(0, replace(message, parent_certificate=forged).to_bytes())]
            case _:
                return [(0, data)]

    def in_the_name_of_another(self, vote: Vote) -> Vote:
        return replace(vote, department=self.rng.choice(self.others))

    def with_forged_certificate(self, message: ViewChange) -> bytes:
        prepared = self.certificate("prepare", message.height, max(0, message.view - 1))
        return ViewChange.signed(
            self.signer, self.world.chain_id, 0, message.height, message.view, prepared, self.name
        ).to_bytes()

    def certificate(self, phase: str, height: int, view: int, block_id: bytes | None = None) -> Certificate:
        """A quorum of names under which only our own signature is good; or our own name again and again."""
        block_id = block_id or self.rng.randbytes(32)
        own = sign_vote(self.signer, self.world.chain_id, phase, 0, height, view, block_id, self.name)  # type: ignore[arg-type]
        names = self.members if self.rng.random() < 0.5 else (self.name,) * len(self.members)
        return replace(Certificate.of([own]), signatures=tuple((name, own.signature) for name in names))

"""Lies to those who are behind (B40): heights nobody has, wrong blocks, half answers, wrong bodies."""

from __future__ import annotations

from dataclasses import replace

from consensus.messages import Message, ProposalReply, Status
from tests.simulation.actors.base import Actor, Entry, Told


class LyingSync(Actor):
    kind = "lying_sync"

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        match message:
            case Status():
                self.did()
                height = self.rng.choice((0, max(0, message.height - 1), message.height + 1, 10**9))
                return [(0, replace(message, height=height).to_bytes()), (1, data)]
            case ProposalReply():
                self.did()
                return [(0, replace(message, body=self.rng.randbytes(20)).to_bytes())]
            case _:
                return [(0, data)]

    def serve(self, blocks: list[Entry]) -> list[Entry]:
        self.did()
        if not blocks or self.rng.random() < 0.25:
            return []
        block_id, body, certificate = blocks[-1]
        wrong = self.rng.choice(
            (
                (block_id, body + b"\x00", certificate),
                (self.rng.randbytes(32), body, certificate),
                (block_id, body, replace(certificate, signatures=certificate.signatures[:1])),
                (block_id, body, replace(certificate, phase="prepare")),
            )
        )
        return [*blocks[:-1], wrong]

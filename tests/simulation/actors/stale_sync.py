"""Answers those who are behind with what they have, with one block, or with a gap; says it is where it once was."""

from __future__ import annotations

from dataclasses import replace

from consensus.messages import Message, Status
from tests.simulation.actors.base import Actor, Entry, Told

HEIGHTS_BACK = (1, 5, 16, 1 << 30)


class StaleSync(Actor):
    kind = "stale_sync"

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        """A true certificate of an earlier height; an answer is always wanted. Not always: its replica answers those
        who are behind, they answer it, and it would never end."""
        if not isinstance(message, Status) or self.rng.random() < 0.7:
            return [(0, data)]
        self.did()
        height = max(0, message.height - self.rng.choice(HEIGHTS_BACK))
        certificate = self.node.disk.blocks[height - 1][2] if height else None
        return [(0, replace(message, height=height, certificate=certificate, wants_reply=True).to_bytes())]

    def serve(self, blocks: list[Entry]) -> list[Entry]:
        self.did()
        return self.rng.choice((self.node.disk.blocks[: len(blocks)], blocks[:1], blocks[1:], []))

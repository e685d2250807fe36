"""Up and connected, and says nothing."""

from __future__ import annotations

from consensus.messages import Message
from tests.simulation.actors.base import Actor, Entry, Told


class Silent(Actor):
    kind = "silent"

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        self.did()
        return []

    def serve(self, blocks: list[Entry]) -> list[Entry]:
        return []

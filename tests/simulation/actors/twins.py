"""Two replicas with one key that know nothing of each other (Twins: Bano et al., OPODIS 2021)."""

from __future__ import annotations

from consensus.messages import Message
from tests.simulation.actors.base import Actor, Told


class Twins(Actor):
    kind = "twins"
    nodes = 2

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        """Each twin reaches half of the others at any time."""
        if self.rng.random() < 0.5:
            self.did()
            return []
        return [(0, data)]

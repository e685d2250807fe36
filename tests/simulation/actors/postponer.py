"""Says nothing of a height before it is over, and then everything; of later heights it says beforehand what it can."""

from __future__ import annotations

from consensus.message_log import coordinates
from consensus.messages import Complaint, Message, NewView, PrePrepare, ViewChange, VoteMessage
from tests.simulation.actors.base import Actor, Told

HELD_MAX = 500


class Postponer(Actor):
    kind = "postponer"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.held: list[tuple[int, str, bytes]] = []

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        if not isinstance(message, VoteMessage | PrePrepare | ViewChange | NewView):
            return [(0, data)]
        self.did()
        self.held = [*self.held, (coordinates(message)[0], receiver, data)][-HELD_MAX:]
        return []

    def speak(self) -> list[tuple[str, bytes]]:
        height, view = self.node.disk.height, self.rng.randint(0, 3)
        over = [(receiver, data) for of_height, receiver, data in self.held if of_height <= height]
        self.held = [held for held in self.held if held[0] > height]
        to_come = height + self.rng.randint(2, 16)
        asked = ViewChange.signed(self.signer, self.world.chain_id, 0, to_come, view + 1, None, self.name)
        said = (asked.to_bytes(), Complaint(height + self.rng.randint(1, 8), view).to_bytes())
        return over + [(name, data) for name in self.others for data in said]

"""Sends again what it once heard or said: of other members, heights and views, to anybody."""

from __future__ import annotations

from consensus.messages import Message
from tests.simulation.actors.base import Actor, Told

REMEMBERED_MAX = 400


class Replayer(Actor):
    kind = "replayer"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.heard: list[bytes] = []

    def remember(self, data: bytes) -> None:
        if len(self.heard) < REMEMBERED_MAX:
            self.heard.append(data)
        else:
            self.heard[self.rng.randrange(REMEMBERED_MAX)] = data

    def hear(self, sender: str, data: bytes) -> None:
        self.remember(data)

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        self.remember(data)
        if self.rng.random() < 0.5:
            return [(0, data)]
        self.did()
        return [(0, data), (self.rng.randint(0, 300), self.rng.choice(self.heard))]

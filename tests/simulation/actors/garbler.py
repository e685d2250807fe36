"""Damaged bytes: flipped bits, cut ends, joined messages, noise."""

from __future__ import annotations

from consensus.messages import Message
from tests.simulation.actors.base import Actor, Told


class Garbler(Actor):
    kind = "garbler"

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        if self.rng.random() < 0.5:
            return [(0, data)]
        self.did()
        return [(0, self.garbled(data))]

    def garbled(self, data: bytes) -> bytes:
        place = self.rng.randrange(len(data))
        match self.rng.randrange(5):
            case 0:
                return data[:place]
            case 1:
                return data + data
            case 2:
                return self.rng.randbytes(self.rng.randint(0, 200))
            case _:
                return data[:place] + bytes([data[place] ^ (1 << self.rng.randrange(8))]) + data[place + 1 :]

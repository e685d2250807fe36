"""What every Byzantine member is made of: a real replica whose messages pass through a liar on their way out."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from chain.certificate import Certificate
from chain.crypto import Signer
from consensus.messages import Message

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.world import World

Told = list[tuple[int, bytes]]
"""Messages with a delay in ms each."""
Entry = tuple[bytes, bytes, Certificate]
"""A block as catch-up carries it: id, body, commit certificate."""


class Actor:
    """Behaves correctly; each kind of Byzantine member overrides what it does differently.

    An actor holds its own key only, hears what its replica hears, and counts what it does under its `kind`.
    """

    kind = ""
    nodes = 1

    def __init__(self, world: World, name: str, signer: Signer) -> None:
        self.world, self.name, self.signer = world, name, signer
        self.rng = Random(f"{world.seed} {self.kind} {name}")

    def did(self) -> None:
        self.world.count(self.kind)

    @property
    def node(self) -> SimNode:
        return self.world.nodes_of[self.name][0]

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(sorted({*self.node.disk.validators.departments, self.name}))

    @property
    def others(self) -> tuple[str, ...]:
        return self.world.others_of(self.node)

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        """What really goes to `receiver` when the replica says `message`."""
        return [(0, data)]

    def hear(self, sender: str, data: bytes) -> None:
        """Everything that arrives, before the replica sees it."""

    def speak(self) -> list[tuple[str, bytes]]:
        """Called four times a second: (receiver, message) of its own making."""
        return []

    def propose(self, transactions: list[int]) -> bytes | None:
        """A body in place of the one the replica would propose."""
        return None

    def serve(self, blocks: list[Entry]) -> list[Entry]:
        """What it hands out to one who catches up."""
        return blocks

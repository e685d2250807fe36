"""Asks for views far away (CVE-2022-26534), at this height and at distant ones."""

from __future__ import annotations

from consensus.messages import ViewChange
from tests.simulation.actors.base import Actor

VIEWS = (1, 2, 7, 1 << 12, (1 << 16) - 1, 1 << 16, 1 << 31, 1 << 63)
HEIGHTS_BEYOND = (0, 0, 1, 2, 3, 1 << 40)


class HugeViews(Actor):
    kind = "huge_views"

    def speak(self) -> list[tuple[str, bytes]]:
        self.did()
        height = self.node.disk.height + 1 + self.rng.choice(HEIGHTS_BEYOND)
        view = self.rng.choice(VIEWS)
        asked = ViewChange.signed(self.signer, self.world.chain_id, 0, height, view, None, self.name)
        return [(name, asked.to_bytes()) for name in self.others]

"""Wants another primary at every height: complains, and leaves every view at once."""

from __future__ import annotations

from consensus.messages import Complaint, ViewChange
from tests.simulation.actors.base import Actor


class Agitator(Actor):
    kind = "agitator"

    def speak(self) -> list[tuple[str, bytes]]:
        replica = self.node.replica
        if replica is None:
            return []
        self.did()
        height, view = replica.height, replica.view
        asked = ViewChange.signed(self.signer, self.world.chain_id, 0, height, view + 1, None, self.name)
        said = (Complaint(height, view).to_bytes(), asked.to_bytes())
        return [(name, data) for name in self.others for data in said]

"""A primary that proposes just before its backups lose patience (B26)."""

from __future__ import annotations

from consensus.messages import Message, PrePrepare
from tests.simulation.actors.base import Actor, Told


class SlowPrimary(Actor):
    kind = "slow_primary"

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        if not isinstance(message, PrePrepare):
            return [(0, data)]
        self.did()
        return [(self.world.limits["view_timeout_ms"] * 9 // 10, data)]

"""A primary whose blocks are wrong in every way that a body can be (B08), and that sends bodies of other blocks."""

from __future__ import annotations

from dataclasses import replace

from chain import codec
from consensus.messages import Message, PrePrepare, ProposalReply
from tests.simulation.actors.base import Actor, Told


class BadBlocks(Actor):
    kind = "bad_blocks"

    def propose(self, transactions: list[int]) -> bytes | None:
        self.did()
        disk, twice = self.node.disk, [transactions[0], *transactions]
        return self.rng.choice(
            (
                b"",
                b"\xc1",
                codec.encode([disk.height + 2, disk.head_id, 0, transactions]),
                codec.encode([disk.height + 1, bytes(32), 0, transactions]),
                codec.encode([disk.height + 1, disk.head_id, 0, twice]),
                codec.encode([disk.height + 1, disk.head_id, 0, []]),
                codec.encode([disk.height + 1, disk.head_id, 0, sorted(disk.executed)[:2]]),
                codec.encode([None, None, None, None]),
                None,
            )
        )

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        if isinstance(message, PrePrepare | ProposalReply) and self.rng.random() < 0.3:
            self.did()
            return [(0, replace(message, body=self.rng.randbytes(20)).to_bytes())]
        return [(0, data)]

"""The blocks of a simulation: as little as agreement can tell apart. body = [height, parent id, [transactions]]."""

from __future__ import annotations

from dataclasses import dataclass, field

from chain import codec
from chain.certificate import Certificate
from chain.crypto import ZERO_DIGEST, digest
from chain.errors import KehuError


def block_id_of(body: bytes) -> bytes:
    return digest("simulated-block", body)


@dataclass(slots=True)
class Disk:
    """What survives a crash: the vote log and the chain. `unsynced` survives if luck has it."""

    votes: list[tuple[int, bytes]] = field(default_factory=list)
    unsynced: list[tuple[int, bytes]] = field(default_factory=list)
    is_log_lost: bool = False
    blocks: list[tuple[bytes, bytes, Certificate]] = field(default_factory=list)
    """(block id, body, commit certificate) from height 1."""
    executed: dict[int, int] = field(default_factory=dict)
    """Transaction -> height."""

    @property
    def height(self) -> int:
        return len(self.blocks)

    @property
    def head_id(self) -> bytes:
        return self.blocks[-1][0] if self.blocks else ZERO_DIGEST

    def sync(self) -> None:
        self.votes += self.unsynced
        self.unsynced = []

    def build(self, transactions: list[int]) -> bytes:
        return codec.encode([self.height + 1, self.head_id, transactions])

    def problem_of(self, block_id: bytes, body: bytes) -> str:
        """Why `body` can't be the next block; empty if it can."""
        if block_id_of(body) != block_id:
            return "block.id"
        try:
            height, parent, transactions = codec.fields(
                codec.decode(body, 1 << 20), "body", codec.is_uint, codec.is_digest, codec.list_of(codec.is_uint)
            )
        except KehuError as error:
            return error.code
        if (height, parent) != (self.height + 1, self.head_id):
            return "block.parent"
        if (
            not transactions
            or transactions != sorted(set(transactions))
            or any(t in self.executed for t in transactions)
        ):
            return "block.transactions"
        return ""

    def append(self, block_id: bytes, body: bytes, certificate: Certificate) -> None:
        for transaction in codec.decode(body, 1 << 20)[2]:
            self.executed[transaction] = self.height + 1
        self.blocks.append((block_id, body, certificate))

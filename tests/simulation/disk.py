"""What a simulated node keeps, and the least that agreement can tell apart.

body = [height, parent id, view, [transactions]]

The vote log is written in frames, one per sync, as the real one is (node/storage/wal.py): a power cut loses the frame
under way, leaves a torn one that the next opening cuts off, or happens just after it was durable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from random import Random

from chain import codec
from chain.certificate import Certificate
from chain.crypto import ZERO_DIGEST, digest
from chain.errors import KehuError
from chain.validators import ValidatorSet
from consensus.votes import still_needed

BODY_BYTES_MAX = 1 << 20
CHANGE_FIRST = 1_000_000
"""Transactions from here on are changes of membership: the n-th is accepted if n sets were active before it."""
TICK_FIRST = 2_000_000
"""And from here on they do nothing but make a block, while a change waits for its height."""
Record = tuple[int, bytes]
Block = tuple[bytes, bytes, Certificate]
"""Block id, body, commit certificate."""


def block_id_of(body: bytes) -> bytes:
    return digest("simulated-block", body)


@dataclass(slots=True)
class Disk:
    """What survives a crash, and what was written and not yet synced."""

    sets: list[tuple[int, ValidatorSet]]
    """The schedule: (activation height, set), from genesis on; a function of the blocks."""
    votes: list[Record] = field(default_factory=list)
    all_votes: list[Record] = field(default_factory=list)
    """With those that were let go of heights that last, which an older log still has."""
    unsynced: list[Record] = field(default_factory=list)
    torn: list[Record] = field(default_factory=list)
    is_log_lost: bool = False
    blocks: list[Block] = field(default_factory=list)
    """From height 1."""
    executed: dict[int, int] = field(default_factory=dict)
    """Transaction -> height."""
    coming: tuple[ValidatorSet, ...] = ()
    """What the changes of this run come to, in order; the content of their transactions."""
    distance: int = 2
    """Heights from the acceptance of a change to its activation."""

    height: int = field(init=False)
    validators: ValidatorSet = field(init=False)
    """Who decides the next height."""
    peers: frozenset[str] = field(init=False)
    """With whom a node links: who decides the next height, or will."""

    def __post_init__(self) -> None:
        self._stand()

    def _stand(self) -> None:
        """What follows from the blocks, and is asked for at every event."""
        self.height = len(self.blocks)
        self.validators = self.set_at(self.height + 1)
        self.peers = frozenset(self.validators.departments + self.sets[-1][1].departments)

    def set_at(self, height: int) -> ValidatorSet:
        return next(validators for activation, validators in reversed(self.sets) if activation <= height)

    @property
    def is_change_waiting(self) -> bool:
        return self.sets[-1][0] > self.height + 1

    @property
    def head_id(self) -> bytes:
        return self.blocks[-1][0] if self.blocks else ZERO_DIGEST

    def sync(self) -> list[Record]:
        """Everything written is durable; what has just become so."""
        synced, self.unsynced = self.unsynced, []
        self.votes += synced
        self.all_votes += synced
        return synced

    def power_cut(self, rng: Random) -> tuple[str, list[Record]]:
        """The frame under way is lost, torn, or durable after all; which, and the records that survived."""
        if not self.unsynced:
            return "", []
        outcome = rng.choice(("lost_unsynced", "torn_tail", ""))
        if not outcome:
            return "", self.sync()
        if outcome == "torn_tail":
            self.torn = self.unsynced[:1]
        self.unsynced = []
        return outcome, []

    def shorten(self, bodies: int) -> bool:
        """Lets go what is not needed any more of heights that last, as the driver does it; whether there was anything.
        A real log is replaced by a rename, so a power cut leaves the old one or the new one."""
        by_height = groupby(self.votes, key=lambda record: record[0])
        kept = [
            (height, record)
            for height, records in by_height
            for record in still_needed([record for _, record in records], bodies)
        ]
        is_shorter, self.votes = len(kept) < len(self.votes), kept
        return is_shorter

    def forget_votes(self, height: int) -> None:
        """Of heights up to this one."""
        self.votes = [record for record in self.votes if record[0] > height]
        self.all_votes = [record for record in self.all_votes if record[0] > height]

    def lose_log(self) -> None:
        self.is_log_lost, self.votes, self.all_votes = True, [], []

    def roll_back(self, count: int) -> None:
        """The log is the one from before the last `count` records came."""
        kept = self.votes[: len(self.votes) - count]
        self.all_votes = self.all_votes[: self.all_votes.index(kept[-1]) + 1] if kept else []
        self.votes = list(self.all_votes)

    def open_log(self) -> list[bytes] | None:
        """The records, or None if there is no log. A torn tail was never acknowledged and is cut off."""
        self.torn = []
        return None if self.is_log_lost else [record for _, record in self.votes]

    def copy(self) -> Disk:
        blocks, executed = list(self.blocks), dict(self.executed)
        return Disk(
            list(self.sets),
            list(self.votes),
            list(self.all_votes),
            [],
            [],
            self.is_log_lost,
            blocks,
            executed,
            self.coming,
            self.distance,
        )

    def build(self, transactions: list[int], view: int = 0) -> bytes:
        """`view` stands for the time in a real block: what two primaries build of the same work are two blocks."""
        return codec.encode_flat([self.height + 1, self.head_id, view, transactions])

    def problem_of(self, block_id: bytes, body: bytes) -> str:
        """Why `body` can't be the next block; empty if it can."""
        if block_id_of(body) != block_id:
            return "block.id"
        try:
            height, parent, _, transactions = codec.fields(
                codec.decode(body, BODY_BYTES_MAX),
                "body",
                codec.is_uint,
                codec.is_digest,
                codec.is_uint,
                codec.list_of(codec.is_uint),
            )
        except KehuError as error:
            return error.code
        if (height, parent) != (self.height + 1, self.head_id):
            return "block.parent"
        is_in_order = bool(transactions) and transactions == sorted(set(transactions))
        if not is_in_order or any(transaction in self.executed for transaction in transactions):
            return "block.transactions"
        return ""

    def append(self, block_id: bytes, body: bytes, certificate: Certificate) -> list[int]:
        transactions: list[int] = codec.decode(body, BODY_BYTES_MAX)[3]
        for transaction in transactions:
            self.executed[transaction] = self.height + 1
            self._change(transaction - CHANGE_FIRST, self.height + 1)
        self.blocks.append((block_id, body, certificate))
        self._stand()
        return transactions

    def _change(self, number: int, height: int) -> None:
        """One change at a time, in order; the others are refused, which every member does alike."""
        activation, last = self.sets[-1]
        if 0 <= number < len(self.coming) and number == last.epoch and activation <= height:
            self.sets.append((height + self.distance, self.coming[number]))

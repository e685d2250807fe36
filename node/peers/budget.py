"""What one peer may cost this node: bytes and work, in a second and at once. Beyond it frames are dropped and counted.

A bucket for each kind of frame fills at an even rate, so a peer that floods one kind keeps the others, and peers keep
theirs from each other. Work stands for signatures that may have to be verified, judged by the frame's length before
anything is unpacked: a vote is 130 bytes and more, an envelope 150. After a dropped frame the link is left alone for
`REST_S`, so whoever floods is slowed to a hundred dropped frames a second, and nobody else waits for it.

What is dropped comes again where it matters: the replica repeats itself, batches are gossiped again, and whoever asked
asks somebody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from node.peers.frames import Kind

REST_S: Final = 0.01
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Allowance:
    """Of one kind of frame: `bytes` and `work` a second, the multiple of both that may come at once, how many bytes
    stand for one more piece of work, and the most that one frame counts for."""

    bytes: int
    work: int
    burst: int
    bytes_per_work: int
    work_max: int


ALLOWANCES: Final[Mapping[Kind, Allowance]] = {
    Kind.PING: Allowance(1, 20, 5, 1, 1),
    Kind.CONSENSUS: Allowance(32 * MIB, 20_000, 3, 128, 512),
    Kind.GOSSIP: Allowance(16 * MIB, 20_000, 6, 150, 1_001),
    Kind.REQUEST: Allowance(16 * MIB, 10_000, 4, 1_024, 8_192),
    Kind.RESPONSE: Allowance(64 * MIB, 2_000, 4, MIB, 17),
}


class _Bucket:
    def __init__(self, rate: int, size: int, now_s: float) -> None:
        self._rate, self._size = rate, size
        self._left, self._since_s = float(size), now_s

    def refill(self, now_s: float) -> float:
        self._left = min(self._size, self._left + (now_s - self._since_s) * self._rate)
        self._since_s = now_s
        return self._left

    def spend(self, amount: int) -> None:
        self._left -= amount


class Budget:
    """Of one department, over all its links. `clock_s` is monotone; `over` counts the frames that were too many, by
    kind."""

    def __init__(
        self, clock_s: Callable[[], float], over: Counter[str], allowances: Mapping[Kind, Allowance] = ALLOWANCES
    ) -> None:
        self._clock_s, self._over, self._allowances = clock_s, over, allowances
        now_s = clock_s()
        self._buckets = {
            kind: (_Bucket(it.bytes, it.bytes * it.burst, now_s), _Bucket(it.work, it.work * it.burst, now_s))
            for kind, it in allowances.items()
        }

    def take(self, kind: Kind, length: int) -> bool:
        """Whether a frame with so long a payload is within the budget; if not, it is counted and costs nothing."""
        allowance = self._allowances.get(kind)
        if allowance is None:
            return True
        now_s, costs = self._clock_s(), (length, min(1 + length // allowance.bytes_per_work, allowance.work_max))
        buckets = self._buckets[kind]
        if any(bucket.refill(now_s) < cost for bucket, cost in zip(buckets, costs, strict=True)):
            self.note_over(kind)
            return False
        for bucket, cost in zip(buckets, costs, strict=True):
            bucket.spend(cost)
        return True

    def note_over(self, kind: Kind) -> None:
        """A frame was too many for another reason: as many requests of this peer are worked on as may be."""
        self._over[kind.name.lower()] += 1

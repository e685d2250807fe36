"""What waits to be sent on one link: a bounded lane per kind of frame, consensus first.

Consensus frames never wait for others to make room: beyond its bounds the lane drops its oldest frame, because the
newest votes matter most and the replica repeats what is still needed. The bulk lanes (gossip, requests, responses)
refuse beyond their bounds (`offer`) or make the caller wait (`put`); they take turns, so none starves another.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from node.peers.frames import Kind, encode_header

_URGENT: Final = (Kind.PING, Kind.CONSENSUS)
_BULK: Final = (Kind.RESPONSE, Kind.REQUEST, Kind.GOSSIP)


@dataclass(frozen=True, slots=True)
class LaneLimit:
    """A lane over either bound is full; one frame always fits into an empty lane."""

    frames: int
    bytes: int


LANE_LIMITS: Final[Mapping[Kind, LaneLimit]] = {
    Kind.PING: LaneLimit(1, 0),
    Kind.CONSENSUS: LaneLimit(4096, 48 << 20),
    Kind.GOSSIP: LaneLimit(1024, 16 << 20),
    Kind.REQUEST: LaneLimit(64, 16 << 20),
    Kind.RESPONSE: LaneLimit(64, 32 << 20),
}


class _Lane:
    def __init__(self, limit: LaneLimit) -> None:
        self.frames: deque[bytes] = deque()
        self.bytes = 0
        self.limit = limit

    def is_full_for(self, payload: bytes) -> bool:
        over = len(self.frames) >= self.limit.frames or self.bytes + len(payload) > self.limit.bytes
        return bool(self.frames) and over

    def push(self, payload: bytes) -> None:
        self.frames.append(payload)
        self.bytes += len(payload)

    def pop(self) -> bytes:
        payload = self.frames.popleft()
        self.bytes -= len(payload)
        return payload


class Outbox:
    """The queue of one link. `dropped` counts frames that were given up, by kind."""

    def __init__(self, limits: Mapping[Kind, LaneLimit], dropped: Counter[str]) -> None:
        self._lanes = {kind: _Lane(limits[kind]) for kind in (*_URGENT, *_BULK)}
        self._dropped = dropped
        self._has_frames = asyncio.Event()
        self._has_room = asyncio.Event()
        self._turn = 0

    @property
    def queued_bytes(self) -> int:
        return sum(lane.bytes for lane in self._lanes.values())

    @property
    def queued_frames(self) -> int:
        return sum(len(lane.frames) for lane in self._lanes.values())

    def offer(self, kind: Kind, payload: bytes) -> bool:
        """Queues a frame without waiting; False if its lane is full and it was dropped."""
        encode_header(kind, len(payload))
        lane = self._lanes[kind]
        while lane.is_full_for(payload):
            self._dropped[kind.name.lower()] += kind is not Kind.PING
            if kind is not Kind.CONSENSUS:
                return False
            lane.pop()
        lane.push(payload)
        self._has_frames.set()
        return True

    async def put(self, kind: Kind, payload: bytes) -> None:
        """Queues a frame as soon as its lane has room."""
        encode_header(kind, len(payload))
        while self._lanes[kind].is_full_for(payload):
            self._has_room.clear()
            await self._has_room.wait()
        self.offer(kind, payload)

    def clear(self) -> None:
        """The link is over: megabytes are let go now and not when the collector comes by."""
        for kind, lane in self._lanes.items():
            self._lanes[kind] = _Lane(lane.limit)

    async def take(self) -> tuple[Kind, bytes]:
        """The next frame to send: heartbeat, then consensus, then the bulk lanes in turn."""
        while (frame := self.take_now()) is None:
            self._has_frames.clear()
            await self._has_frames.wait()
        return frame

    def take_now(self) -> tuple[Kind, bytes] | None:
        """As `take`; None if nothing waits."""
        for kind in (*_URGENT, *_BULK[self._turn :], *_BULK[: self._turn]):
            if self._lanes[kind].frames:
                if kind in _BULK:
                    self._turn = (_BULK.index(kind) + 1) % len(_BULK)
                self._has_room.set()
                return kind, self._lanes[kind].pop()
        return None

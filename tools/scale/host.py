"""A department's host: an event loop, cores that verify, a disk and an uplink, each serving one thing at a time."""

from __future__ import annotations

import heapq
from typing import Final

from tools.scale.costs import Costs

PARTS: Final = ("event loop", "verification", "disk", "uplink")


class Host:
    """Each method takes the time (us) at which something is asked for and gives the time at which it is done."""

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._loop = self._disk = self._uplink = 0.0
        self._flush_begins = -1.0
        self._verifiers = [0.0] * max(1, costs.cores - 1)
        self.busy_us = dict.fromkeys(PARTS, 0.0)

    def compute(self, now: float, us: float) -> float:
        self._loop = max(now, self._loop) + us
        self.busy_us["event loop"] += us
        return self._loop

    def verify(self, now: float, transactions: int) -> float:
        """Spread over the cores that are there for it."""
        share = transactions * self._costs.verify_us / len(self._verifiers)
        for index, free in enumerate(self._verifiers):
            self._verifiers[index] = max(now, free) + share
        self.busy_us["verification"] += share
        return max(self._verifiers)

    def sync(self, now: float) -> float:
        """Who asks while another flush is under way shares the next one."""
        if self._flush_begins <= now:
            us = self._costs.sync_ms * 1_000
            self._flush_begins = max(now, self._disk)
            self._disk = self._flush_begins + us
            self.busy_us["disk"] += us
        return self._disk

    def send(self, now: float, size: int) -> float:
        """When the last byte has left."""
        us = size * 8 / (self._costs.gigabit_per_s * 1_000)
        self._uplink = max(now, self._uplink) + us
        self.busy_us["uplink"] += us
        return self._uplink

    def utilisation(self, us: float) -> dict[str, float]:
        return {part: busy / us for part, busy in self.busy_us.items()}


class Agenda:
    """What happens when, in us; ties go in the order in which they were put in."""

    def __init__(self) -> None:
        self.now = 0.0
        self._count = 0
        self._queue: list[tuple[float, int, object, tuple[object, ...]]] = []

    def at(self, time: float, action: object, *arguments: object) -> None:
        self._count += 1
        heapq.heappush(self._queue, (max(time, self.now), self._count, action, arguments))

    def step(self) -> None:
        self.now, _, action, arguments = heapq.heappop(self._queue)
        action(*arguments)  # type: ignore[operator]

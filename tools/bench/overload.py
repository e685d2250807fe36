"""What the network does with more than it can do: load from a tenth to three times of what it reached.

Requests of ten transactions come at even intervals, from eight addresses, whether or not earlier ones were answered.
Each is sent once: who is told to come later counts as refused. So the figures are of the network, not of patient
clients.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tools.bench.load import LATER, Load, Tally
from tools.bench.workload import Lane

PER_REQUEST = 10
DRAIN_S = 40.0
BARS = 40


@dataclass(frozen=True, slots=True)
class Point:
    """One step of the curve. `unsent`: for want of customers at hand; `lost`: neither committed nor refused."""

    share: float
    offered_per_second: float
    committed_per_second: float
    refused_per_second: float
    p50_ms: float
    p99_ms: float
    refusal_p50_ms: float
    unsent: int
    lost: dict[str, int]


async def curve(load: Load, lanes: Sequence[Lane], full_per_second: float, seconds: float,
                shares: Sequence[float]) -> list[Point]:  # fmt: skip
    """`full_per_second`: what the network reaches."""
    return [await _point(load, lanes, share, full_per_second * share, seconds) for share in shares]


async def _point(load: Load, lanes: Sequence[Lane], share: float, per_second: float, seconds: float) -> Point:
    tally, unsent, since, before = Tally(), 0, time.monotonic(), 0
    free: asyncio.Queue[Lane] = asyncio.Queue()
    for lane in lanes:
        free.put_nowait(lane)

    async def one(lane: Lane) -> None:
        await load.send(lane, lane.next(PER_REQUEST, load.height), tally)
        free.put_nowait(lane)

    begin, tasks = time.monotonic(), []
    requests = max(4, int(per_second * seconds / PER_REQUEST))
    for number in range(requests):
        await asyncio.sleep(max(0.0, begin + number * PER_REQUEST / per_second - time.monotonic()))
        if number == requests // 4:  # the first quarter fills what is empty
            since, before = time.monotonic(), tally.committed
        if free.empty():
            unsent += PER_REQUEST
        else:
            tasks.append(asyncio.create_task(one(free.get_nowait())))
    now = time.monotonic()
    rate = (tally.committed - before) / (now - since)
    async with asyncio.timeout(DRAIN_S):
        await asyncio.gather(*tasks)
    return _point_of(share, per_second, rate, now - begin, tally, unsent)


def _point_of(share: float, per_second: float, rate: float, passed: float, tally: Tally, unsent: int) -> Point:
    refused = sum(count for code, count in tally.codes.items() if code in LATER)
    lost = {code: count for code, count in sorted(tally.codes.items()) if code not in LATER}
    taken, refusals = sorted(tally.latencies_s) or [0.0], sorted(tally.refusals_s) or [0.0]
    return Point(
        share,
        round(per_second, 1),
        round(rate, 1),
        round(refused / passed, 1),
        round(taken[len(taken) // 2] * 1000, 1),
        round(taken[min(len(taken) - 1, len(taken) * 99 // 100)] * 1000, 1),
        round(refusals[len(refusals) // 2] * 1000, 1),
        unsent,
        lost,
    )


def plot(points: Sequence[dict[str, Any]]) -> str:
    """Committed a second (=) and refused a second (.) as bars, and the p99 of what was taken."""
    most = max(point["committed_per_second"] + point["refused_per_second"] for point in points) or 1.0
    lines = ["load    committed =, told to come later .", ""]
    for point in points:
        done = round(point["committed_per_second"] / most * BARS)
        refused = round(point["refused_per_second"] / most * BARS)
        bar = ("=" * done + "." * refused).ljust(BARS + 1)
        lines.append(
            f"{point['share']:>4.0%}  |{bar}| {point['committed_per_second']:>8g} tx/s"
            f"  later {point['refused_per_second']:>8g}  p99 {point['p99_ms']:>8g} ms"
        )
    return "\n".join(lines)

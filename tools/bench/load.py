"""Putting load on a network and counting what came of it. Only a receipt that says "ok" counts as a transaction."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from tools.bench.network import Network
from tools.bench.workload import Lane, Made, body_of

HEIGHT_EVERY_S = 2.0
SETTLE_S = 1.0


@dataclass
class Tally:
    """`codes`: what became of transactions that did not succeed. `latencies_s`: of whole requests."""

    committed: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sustained:
    """`node_s`, `client_s`: processor seconds that the nodes, and this process, took for it."""

    per_second: float
    codes: dict[str, int]
    node_s: float
    client_s: float
    committed: int


class Load:
    """The client's side of a network: a connection pool, and the height by which expiry is set."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._height = 0

    async def __aenter__(self) -> Load:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60)
        )
        self._height = await self.network.height()
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._following.cancel()
        await self._session.close()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(HEIGHT_EVERY_S)
            self._height = await self.network.height()

    async def lanes(self, name: str, count: int, size: int, departments: Sequence[str]) -> list[Lane]:
        """`count` lanes at each of the departments, with their customers registered."""
        network = self.network
        lanes = [
            Lane(department, network.operators[department], network.chain_id, f"{name}{number}-{place}", size)
            for place, department in enumerate(departments)
            for number in range(count)
        ]
        tally = Tally()
        for begin in range(0, len(lanes), 8):
            await asyncio.gather(*(self._open(lane, tally) for lane in lanes[begin : begin + 8]))
        if tally.codes:
            raise RuntimeError(f"customers could not be registered: {dict(tally.codes)}")
        return lanes

    async def _open(self, lane: Lane, tally: Tally) -> None:
        made = lane.first(self._height)
        for begin in range(0, len(made), 100):
            await self.send(lane.department, made[begin : begin + 100], tally)

    async def send(self, department: str, made: list[Made], tally: Tally) -> None:
        """One request, and what became of each transaction in it."""
        url = self.network.profile.node_url(department) + "/v1/transactions"
        body, begin = body_of(made), time.monotonic()
        try:
            async with self._session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                said = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError) as error:
            tally.codes[type(error).__name__] += len(made)
            return
        tally.latencies_s.append(time.monotonic() - begin)
        if "transactions" not in said:
            tally.codes[said.get("code", "?")] += len(made)
            return
        for item in said["transactions"]:
            code = item["receipt"]["code"] if item["status"] == "committed" else item["status"]
            code = (item.get("error") or {}).get("code", code)
            if code == "ok":
                tally.committed += 1
            else:
                tally.codes[code] += 1

    async def sustain(self, lanes: Sequence[Lane], per_request: int, seconds: float) -> Sustained:
        """All lanes at once, each sending its next request when the one before is committed; the window begins when
        all are under way and ends with requests still running, which are not counted."""
        tally = Tally()
        workers = [asyncio.create_task(self._work(lane, per_request, tally)) for lane in lanes]
        await asyncio.sleep(SETTLE_S)
        before, codes, begin = tally.committed, Counter(tally.codes), time.monotonic()
        node_s, client_s = self.network.processor_s(), time.process_time()
        await asyncio.sleep(seconds)
        committed, passed = tally.committed - before, time.monotonic() - begin
        node_s, client_s = self.network.processor_s() - node_s, time.process_time() - client_s
        failed = dict(tally.codes - codes)
        for lane in self._stopping(workers):
            await lane
        return Sustained(committed / passed, failed, node_s, client_s, committed)

    async def sustain_all(self, lanes: Sequence[Lane], per_request: int, seconds: float) -> Tally:
        """As `sustain`, and what was under way at the end counts too."""
        tally = Tally()
        workers = [asyncio.create_task(self._work(lane, per_request, tally)) for lane in lanes]
        await asyncio.sleep(seconds)
        await asyncio.gather(*self._stopping(workers))
        return tally

    def _stopping(self, workers: list[asyncio.Task[None]]) -> list[asyncio.Task[None]]:
        self._is_stopping = True
        return workers

    async def _work(self, lane: Lane, per_request: int, tally: Tally) -> None:
        self._is_stopping = False
        while not self._is_stopping:
            await self.send(lane.department, lane.next(per_request, self._height), tally)

    async def one_by_one(self, lane: Lane, count: int) -> Tally:
        """Nothing else under way."""
        tally = Tally()
        for _ in range(count):
            await self.send(lane.department, lane.next(1, self._height), tally)
        return tally

    async def at_rate(self, lanes: Sequence[Lane], per_second: float, seconds: float) -> Tally:
        """Single transactions at even intervals, whether earlier ones are committed or not; a lane is used again when
        its last one is. Latency counts from when a transaction was due, so waiting for a free lane is in it."""
        tally = Tally()
        free: asyncio.Queue[Lane] = asyncio.Queue()
        for lane in lanes:
            free.put_nowait(lane)

        async def one(due: float) -> None:
            lane = await free.get()
            single = Tally()
            await self.send(lane.department, lane.next(1, self._height), single)
            free.put_nowait(lane)
            tally.committed += single.committed
            tally.codes += single.codes
            tally.latencies_s.append(time.monotonic() - due)

        begin, tasks = time.monotonic(), []
        for number in range(int(per_second * seconds)):
            due = begin + number / per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(one(due)))
        await asyncio.gather(*tasks)
        return tally

"""Putting load on a network and counting what came of it. Only a receipt that says "ok" counts as a transaction."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp

from tools.bench.network import Network
from tools.bench.stock import Stock
from tools.bench.workload import Lane, Made, body_of

HEIGHT_EVERY_S = 2.0
SETTLE_S = 0.5
WAIT_MS = 30_000
"""How long a node waits for commitment before it answers."""
ANSWERS_S = 30.0
KEPT_S = 5.0
"""A node closes a connection that has been idle for ten seconds (docs/api.md); a client lets go of it before."""
ADDRESSES = tuple(f"127.0.0.{number}" for number in range(2, 10))
"""Where requests come from: a node takes 64 connections of one address."""
LATER = frozenset({"mempool.busy", "mempool.full", "mempool.sender_limit", "http.connections", "vault.staged_full"})
"""Refusals that say: later. The transaction has left no trace."""


@dataclass
class Tally:
    """`codes`: what became of transactions that did not succeed. `latencies_s`: of requests that were taken, at least
    in part; `refusals_s`: of the others."""

    committed: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    refusals_s: list[float] = field(default_factory=list)


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

    def __init__(self, network: Network, stock: Stock | None = None) -> None:
        self.network, self.stock = network, stock
        self._turn = self._answered = 0
        self.height = 0

    async def __aenter__(self) -> Load:
        self._sessions = [
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, local_addr=(address, 0), keepalive_timeout=KEPT_S),
                timeout=aiohttp.ClientTimeout(total=60),
            )
            for address in ADDRESSES
        ]
        self.height = await self.network.height()
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._following.cancel()
        for session in self._sessions:
            await session.close()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(HEIGHT_EVERY_S)
            self.height = await self.network.height()

    def lanes(self, name: str, count: int, size: int, departments: Sequence[str]) -> list[Lane]:
        """`count` lanes at each of the departments, of `size` customers that are there and nobody else's."""
        network, stock = self.network, self.stock
        if stock is None:
            raise LookupError("this load has no customers")
        return [
            Lane.over(
                department,
                network.operators[department],
                network.chain_id,
                stock.take(department, size),
                f"{name}{number}-{place}",
            )
            for place, department in enumerate(departments)
            for number in range(count)
        ]

    async def send(self, lane: Lane, made: list[Made], tally: Tally) -> float:
        """One request, and what became of each transaction in it; for how many seconds the node wants to be left."""
        url = f"{self.network.profile.node_url(lane.department)}/v1/transactions?wait=committed&timeout_ms={WAIT_MS}"
        body, begin = body_of(made), time.monotonic()
        self._turn += 1
        session = self._sessions[self._turn % len(self._sessions)]
        try:
            async with session.post(url, data=body, headers={"Content-Type": "application/msgpack"}) as response:
                said = await response.json(content_type=None)
                pause_s = float(response.headers.get("Retry-After", 0))
        except (aiohttp.ClientError, TimeoutError) as error:
            tally.codes[type(error).__name__] += len(made)
            return 0.0
        passed = time.monotonic() - begin
        items = said.get("transactions") or [{"status": "refused", "error": said}] * len(made)
        for item, one in zip(items, made, strict=True):
            code = item["receipt"]["code"] if item["status"] == "committed" else item["status"]
            code = (item.get("error") or {}).get("code", code)
            if code == "ok":
                tally.committed += 1
            else:
                tally.codes[code] += 1
            if code in LATER:
                lane.undo(one)
        (tally.refusals_s if response.status != HTTPStatus.OK else tally.latencies_s).append(passed)
        return pause_s

    async def sustain(self, lanes: Sequence[Lane], per_request: int, seconds: float) -> Sustained:
        """All lanes at once, each sending its next request when the one before is committed; the window begins when
        each has had about one answered, and ends after as many more with requests still running, which are not
        counted."""
        tally, self._answered = Tally(), 0
        workers = [asyncio.create_task(self._work(lane, per_request, tally)) for lane in lanes]
        await asyncio.sleep(SETTLE_S)
        await self._until_each(len(lanes), tally)
        before, codes, begin = tally.committed, Counter(tally.codes), time.monotonic()
        node_s, client_s = self.network.processor_s(), time.process_time()
        await asyncio.sleep(seconds)
        await self._until_each(len(lanes), tally)
        committed, passed = tally.committed - before, time.monotonic() - begin
        node_s, client_s = self.network.processor_s() - node_s, time.process_time() - client_s
        failed = dict(tally.codes - codes)
        for lane in self._stopping(workers):
            await lane
        return Sustained(committed / passed, failed, node_s, client_s, committed)

    async def _until_each(self, lanes: int, tally: Tally) -> None:
        """So many requests answered since the last time, or long enough waited: short windows count whole requests."""
        deadline = time.monotonic() + ANSWERS_S
        wanted = self._answered + lanes
        while len(tally.latencies_s) < wanted and time.monotonic() < deadline:  # noqa: ASYNC110 - no event per answer
            await asyncio.sleep(0.01)
        self._answered = len(tally.latencies_s)

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
            pause_s = await self.send(lane, lane.next(per_request, self.height), tally)
            await asyncio.sleep(pause_s)

    async def one_by_one(self, lane: Lane, count: int) -> Tally:
        """Nothing else under way."""
        tally = Tally()
        for _ in range(count):
            await self.send(lane, lane.next(1, self.height), tally)
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
            await self.send(lane, lane.next(1, self.height), single)
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

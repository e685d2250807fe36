"""The peer network: one authenticated link to every other department, kept up by itself.

Of two departments the one whose name comes first dials; a link that is authenticated later replaces an earlier one of
the same department, because the earlier one is then half-open. Dialling backs off to a cap with jitter, so that a
network that starts at once does not keep in step. A department that is slow, dead or hostile has its own queues and
tasks and takes nothing from the others.

What the service does: `start`, `refresh` after every membership change, await `failed` (an error that must end
the process: of a message callback, a handler, or of this code), `close`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from chain.errors import KehuError
from node.peers.budget import Budget
from node.peers.connection import Connection, OnMessage, PeerSettings
from node.peers.exchange import PEER_DISCONNECTED, Handler
from node.peers.frames import Kind
from node.peers.listener import Listener
from node.peers.transport import Dial, Identity, Link, PeerTable, dial, is_dialler

log = logging.getLogger("kehu.peers")

OnChange = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PeerHealth:
    """One department's link, for health and metrics. Counters run since the start of the process."""

    department: str
    is_connected: bool
    connected_since_s: float | None
    """Unix time."""
    links: int
    """How many links there were, the present one included."""
    dials_failed: int
    bytes_received: int
    bytes_sent: int
    queued_bytes: int
    dropped: dict[str, int]
    """Frames given up because a queue was full or there was no link, by kind."""
    last_error: str | None
    missing_since_s: float | None
    """Since when there has been no link (Unix time); None while there is one."""
    over_budget: dict[str, int]
    """Frames of this peer that were more than its share, by kind: dropped, or (requests) answered `peer.busy`."""

    def status(self) -> dict[str, Any]:
        """What everybody may know."""
        over_budget = sum(self.over_budget.values())
        return {"department": self.department, "is_connected": self.is_connected, "over_budget": over_budget}


@dataclass(slots=True)
class _Counters:
    links: int = 0
    dials_failed: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    connected_since_s: float | None = None
    last_error: str | None = None
    missing_since_s: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)
    over_budget: Counter[str] = field(default_factory=Counter)
    budget: Budget | None = None
    """Of the department and not of the link: who dials again has spent what it has spent."""


class PeerNetwork:
    """Links by department. All methods are for the event loop's thread."""

    def __init__(
        self,
        identity: Identity,
        peers: PeerTable,
        on_message: OnMessage,
        *,
        on_connected: OnChange = lambda _: None,
        on_disconnected: OnChange = lambda _: None,
        settings: PeerSettings | None = None,
        jitter: Callable[[], float] = random.random,
        wall_clock_s: Callable[[], float] = time.time,
        dial: Dial = dial,
        make_listener: Callable[..., Listener] = Listener,
    ) -> None:
        """`jitter` gives numbers in [0, 1). `dial` and `make_listener` make the links."""
        self.identity, self._peers, self._on_message = identity, peers, on_message
        self._on_connected, self._on_disconnected = on_connected, on_disconnected
        self._settings = settings or PeerSettings()
        self._jitter, self._wall_clock_s, self._dial = jitter, wall_clock_s, dial
        self._handlers: dict[str, Handler] = {}
        self._connections: dict[str, Connection] = {}
        self._diallers: dict[str, asyncio.Task[None]] = {}
        self._knocks: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._tasks: set[asyncio.Task[None]] = set()
        self._counters: dict[str, _Counters] = {}
        self._is_closing = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.listener = make_listener(
            identity,
            peers,
            self._on_link,
            on_knock=self._on_knock,
            deadline_s=self._settings.greeting_s,
            pending_max=self._settings.pending_max,
        )

    async def start(self, host: str, port: int) -> int:
        """Listens and begins to dial; returns the port it listens on."""
        bound = await self.listener.start(host, port)
        self.refresh()
        self._spawn(self.knock())
        return bound

    def handle(self, kind: str, handler: Handler) -> None:
        """Serves requests of `kind` with `handler`."""
        self._handlers[kind] = handler

    def refresh(self) -> None:
        """Reads the peer table again: dials who is new, drops who has gone or changed its key."""
        table = self._peers()
        own = self.identity.department
        for department, connection in list(self._connections.items()):
            if department not in table or table[department].key != connection.link.key:
                self._spawn(connection.stop())
        for department in list(self._diallers):
            if department not in table:
                self._diallers.pop(department).cancel()
        for department in sorted(table):
            dialler = self._diallers.get(department)
            if is_dialler(own, department) and (dialler is None or dialler.done()):
                self._diallers[department] = self._spawn(self._keep_dialling(department))
        self._counters = {name: counters for name, counters in self._counters.items() if name in table}

    @property
    def connected(self) -> tuple[str, ...]:
        return tuple(sorted(self._connections))

    def send(self, department: str, kind: Kind, payload: bytes) -> bool:
        """Queues a CONSENSUS or GOSSIP message. False if there is no link or no room; it is then dropped."""
        connection = self._connections.get(department)
        if connection is None:
            self._count(department).dropped[kind.name.lower()] += 1
            return False
        return connection.outbox.offer(kind, payload)

    def broadcast(self, kind: Kind, payload: bytes) -> int:
        """Queues for every department that has a link; how many took it."""
        return sum(self.send(department, kind, payload) for department in self.connected)

    async def request(self, department: str, kind: str, payload: bytes, timeout_s: float) -> bytes:
        """Asks `department` and waits for the answer. Raises `peer.*` errors."""
        connection = self._connections.get(department)
        if connection is None:
            raise KehuError(PEER_DISCONNECTED, department=department)
        return await connection.exchange.request(kind, payload, timeout_s)

    def health(self) -> tuple[PeerHealth, ...]:
        """One entry per department of the table but this one, by name."""
        others = sorted(name for name in self._peers() if name != self.identity.department)
        return tuple(self._health_of(name) for name in others)

    async def close(self) -> None:
        """Takes leave of everybody and frees the port."""
        self._is_closing = True
        await self.listener.close()
        await asyncio.gather(*(connection.stop() for connection in self._connections.values()))
        remaining = list(self._tasks)
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)
        if not self.failed.done():
            self.failed.set_result(None)

    async def _keep_dialling(self, department: str) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while (peer := self._peers().get(department)) is not None:
            try:
                link = await self._dial(self.identity, department, peer, self._settings.greeting_s)
            except KehuError as error:
                failures += 1
                counters = self._count(department)
                counters.dials_failed += 1
                counters.last_error = error.code
                log.info("could not reach %s: %s", department, error)
            else:
                began = loop.time()
                await self._hold(link)
                failures = 0 if loop.time() - began >= self._settings.settled_s else failures + 1
            if await self._is_knocked(department, self._backoff_s(failures)):
                failures = 0

    async def _is_knocked(self, department: str, timeout_s: float) -> bool:
        """Whether the department shows within this time that it is there."""
        knock = self._knocks[department]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await knock.wait()
        is_knocked = knock.is_set()
        knock.clear()
        return is_knocked

    def _on_knock(self, department: str) -> None:
        self._knocks[department].set()

    async def knock(self) -> None:
        """Dials those who should have dialled and are not linked. A member refuses that and dials in its turn, however
        long it would have waited; a former member hears that it is one (`Identity.on_farewell`)."""
        own = self.identity.department
        late = [name for name in sorted(self._peers()) if name != own and not is_dialler(own, name)]
        await asyncio.gather(*(self._knock_at(name) for name in late if name not in self._connections))

    async def _knock_at(self, department: str) -> None:
        peer = self._peers().get(department)
        if peer is not None:
            with contextlib.suppress(KehuError):
                link = await self._dial(self.identity, department, peer, self._settings.greeting_s)
                await link.close(goodbye=True)

    def _backoff_s(self, failures: int) -> float:
        """Doubles up to the cap; between half and all of that, so that nodes do not keep in step."""
        full = min(self._settings.backoff_max_s, self._settings.backoff_first_s * 2.0 ** min(failures, 16))
        return full * (0.5 + 0.5 * self._jitter())

    def _on_link(self, link: Link) -> None:
        self._spawn(self._hold(link))

    async def _hold(self, link: Link) -> None:
        """Works a link until it ends."""
        department = link.department
        counters = self._count(department)
        if counters.budget is None:
            clock_s = asyncio.get_running_loop().time
            counters.budget = Budget(clock_s, counters.over_budget, self._settings.allowances)
        connection = Connection(
            link, self._settings, self._on_message, self._handlers, counters.dropped, counters.budget, self._fail
        )
        while (earlier := self._connections.get(department)) is not None:
            await earlier.stop()
        if self._is_closing or not self._is_current(link):
            await link.close(goodbye=True)
            return
        self._connections[department] = connection
        counters = self._count(department)
        counters.links += 1
        counters.connected_since_s = self._wall_clock_s()
        self._on_connected(department)
        try:
            counters.last_error = await connection.run()
        finally:
            del self._connections[department]
            counters.missing_since_s = self._wall_clock_s()
            counters.bytes_received += link.bytes_received
            counters.bytes_sent += link.bytes_sent
            connection.ended.set()
            self._on_disconnected(department)

    def _is_current(self, link: Link) -> bool:
        peer = self._peers().get(link.department)
        return peer is not None and peer.key == link.key

    def _count(self, department: str) -> _Counters:
        if department not in self._counters:
            self._counters[department] = _Counters(missing_since_s=self._wall_clock_s())
        return self._counters[department]

    def _health_of(self, department: str) -> PeerHealth:
        counters = self._count(department)
        connection = self._connections.get(department)
        link = connection.link if connection else None
        return PeerHealth(
            department=department,
            is_connected=connection is not None,
            connected_since_s=counters.connected_since_s if connection else None,
            links=counters.links,
            dials_failed=counters.dials_failed,
            bytes_received=counters.bytes_received + (link.bytes_received if link else 0),
            bytes_sent=counters.bytes_sent + (link.bytes_sent if link else 0),
            queued_bytes=connection.outbox.queued_bytes if connection else 0,
            dropped=dict(counters.dropped),
            last_error=counters.last_error or self.listener.refused_departments.get(department),
            missing_since_s=None if connection else counters.missing_since_s,
            over_budget=dict(counters.over_budget),
        )

    def _spawn(self, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

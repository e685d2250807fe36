"""One link at work: a reader, a writer and a heartbeat, which end together.

Each connection has queues of its own, so nothing queued for a link that broke is sent on the next one: the replica
repeats what still matters, and requests have failed already.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chain.errors import KehuError, define
from node.peers.budget import ALLOWANCES, REST_S, Allowance, Budget
from node.peers.exchange import Exchange, Handler
from node.peers.frames import Kind
from node.peers.outbox import LANE_LIMITS, LaneLimit, Outbox
from node.peers.transport import Link, as_peer_error

log = logging.getLogger("kehu.peers")

PEER_SILENT = define(
    "peer.silent",
    "nothing came from the other node for longer than it may be silent",
    "check that it runs and the network lets it through; this node dials or answers again by itself",
)
PEER_MISBEHAVED = define(
    "peer.misbehaved", "an authenticated node sent a frame that breaks the protocol", "run matching versions"
)
OnMessage = Callable[[str, Kind, bytes], None]
"""(department, CONSENSUS or GOSSIP, payload). Must not block, and bounds what it keeps."""

_FRAMES_PER_TURN: Final = 32
_TOGETHER_BYTES: Final = 1 << 14
"""Frames that wait go out together up to this size: a call of the system and a TLS record cost more than they do."""


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """Times in seconds; tests choose short ones."""

    greeting_s: float = 5.0
    heartbeat_s: float = 2.0
    silence_s: float = 7.0
    backoff_first_s: float = 0.1
    backoff_max_s: float = 5.0
    settled_s: float = 10.0
    handler_s: float = 30.0
    pending_max: int = 64
    asked_max: int = 16
    served_max: int = 16
    lanes: Mapping[Kind, LaneLimit] = field(default_factory=lambda: LANE_LIMITS)
    allowances: Mapping[Kind, Allowance] = field(default_factory=lambda: ALLOWANCES)


class Connection:
    """A link with its queues. `run` returns when it is over, with the reason's code."""

    def __init__(
        self,
        link: Link,
        settings: PeerSettings,
        on_message: OnMessage,
        handlers: Mapping[str, Handler],
        dropped: Counter[str],
        budget: Budget,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self.link = link
        self.outbox = Outbox(settings.lanes, dropped)
        self.exchange = Exchange(
            link.department,
            self.outbox,
            handlers,
            asked_max=settings.asked_max,
            served_max=settings.served_max,
            handler_s=settings.handler_s,
            on_fatal=on_fatal,
        )
        self._settings, self._on_message, self._budget = settings, on_message, budget
        self.ended = asyncio.Event()
        """Set by the owner when it has forgotten this connection."""
        self._stop = asyncio.Event()

    async def run(self) -> str:
        """Works until the link breaks, the other side leaves, or `stop` is called."""
        jobs: list[Coroutine[Any, Any, object]] = [self._read(), self._write(), self._beat(), self._stop.wait()]
        tasks = [asyncio.create_task(job, name=f"link to {self.link.department}") for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.exchange.close()
            self.outbox.clear()
            await self.link.close(goodbye=self._stop.is_set())
        return _reason(done, self.link.department)

    async def stop(self) -> None:
        """Ends the link in good order and waits until its owner has forgotten it."""
        self._stop.set()
        await self.ended.wait()

    async def _read(self) -> None:
        frames = 0
        while True:
            try:
                kind, payload = await self.link.receive()
            except KehuError as error:
                raise self._misbehaved(error) from error
            if kind is Kind.GOODBYE:
                return
            if not (self._budget.take(kind, len(payload)) and self._deliver(kind, payload)):
                await asyncio.sleep(REST_S)
                continue
            frames += 1
            if frames % _FRAMES_PER_TURN == 0:
                await asyncio.sleep(0)  # buffered frames come without a pause: let the others have their turn

    def _deliver(self, kind: Kind, payload: bytes) -> bool:
        """False: it was too much, and the link is to rest."""
        if kind in {Kind.CONSENSUS, Kind.GOSSIP}:
            self._on_message(self.link.department, kind, payload)
            return True
        try:
            if kind is Kind.REQUEST and not self.exchange.on_request(payload):
                self._budget.note_over(kind)
                return False
            if kind is Kind.RESPONSE:
                self.exchange.on_response(payload)
        except KehuError as error:
            raise self._misbehaved(error) from error
        return True

    def _misbehaved(self, error: KehuError) -> KehuError:
        return KehuError(PEER_MISBEHAVED, department=self.link.department, problem=error.code)

    async def _write(self) -> None:
        while True:
            frames = [await self.outbox.take()]
            size = len(frames[0][1])
            while size < _TOGETHER_BYTES and (frame := self.outbox.take_now()) is not None:
                frames.append(frame)
                size += len(frame[1])
            await self.link.send(*frames)

    async def _beat(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            self.outbox.offer(Kind.PING, b"")
            silent_s = clock() - self.link.last_received_s
            if silent_s > self._settings.silence_s:
                raise KehuError(PEER_SILENT, department=self.link.department, limit_s=self._settings.silence_s)


def _reason(done: set[asyncio.Task[object]], department: str) -> str:
    """Why a connection ended. Errors that are not the network's or the peer's are raised: they stop the node."""
    for task in done:
        error = task.exception()
        if error is None:
            continue
        reason = error if isinstance(error, KehuError) else as_peer_error(error, department)
        if not isinstance(reason, KehuError) or not reason.code.startswith("peer."):
            raise error
        log.info("the link to %s ended: %s", department, reason)
        return reason.code
    return "closed"

"""The network below the peer links: streams that are late, stall, and break, as TCP does.

A frame is never lost alone: either the stream breaks and all that is under way with it, or it waits behind a cut until
that ends. Greetings and TLS are left out (a link is to whom it says); everything above is the nodes' own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import TYPE_CHECKING, Any

from chain.errors import KehuError
from node.peers.frames import Kind
from node.peers.transport import (
    PEER_REFUSED_US,
    PEER_TIMEOUT,
    PEER_UNREACHABLE,
    WRITE_BUFFER_BYTES,
    Identity,
    Link,
    Peer,
    PeerTable,
    is_dialler,
)
from tests.node_simulation.loop import LIFE, Life, SimLoop

if TYPE_CHECKING:
    from tests.node_simulation.plan import Plan

Frame = tuple[Kind, bytes]
_GAP_S = 1e-6


class SimLink(Link):
    """One end of a stream."""

    def __init__(self, wires: Wires, own: str, life: Life, department: str, key: bytes) -> None:
        self.department, self.key, self.own, self.life = department, key, own, life
        self.bytes_received = self.bytes_sent = 0
        self._wires, self._clock = wires, wires.loop.time
        self.last_received_s = self._clock()
        self.other: SimLink
        self.is_broken = False
        self.due_s = 0.0
        self.under_way = 0
        self._came: deque[Frame] = deque()
        self._changed = asyncio.Event()

    async def receive(self) -> Frame:
        while not self._came:
            if self.is_broken:
                raise ConnectionResetError
            self._changed.clear()
            await self._changed.wait()
        kind, payload = self._came.popleft()
        self.bytes_received += 5 + len(payload)
        self.last_received_s = self._clock()
        return kind, payload

    async def send(self, *frames: Frame) -> None:
        if self.is_broken:
            raise ConnectionResetError
        for frame in frames:
            self.bytes_sent += 5 + len(frame[1])
            self._wires.carry(self, frame)
        while self.under_way > WRITE_BUFFER_BYTES and not self.is_broken:
            self._changed.clear()
            await self._changed.wait()

    async def close(self, *, goodbye: bool) -> None:
        if not self.is_broken:
            if goodbye:
                self._wires.carry(self, (Kind.GOODBYE, b""))
            self._wires.carry(self, None)
            self.break_off()

    def deliver(self, frame: Frame | None) -> None:
        if frame is None:
            self.break_off()
        elif not self.is_broken:
            self._came.append(frame)
            self._changed.set()

    def break_off(self) -> None:
        self.is_broken = True
        self._wires.links.pop(self, None)
        self._changed.set()

    def took_over(self, size: int) -> None:
        self.under_way -= size
        self._changed.set()


class SimListener:
    """Where a node takes calls. Stands for node.peers.listener.Listener."""

    def __init__(
        self,
        wires: Wires,
        identity: Identity,
        peers: PeerTable,
        on_link: Callable[[Link], None],
        *,
        on_knock: Callable[[str], None],
        **_: Any,
    ):
        self._wires, self.identity, self.peers, self.on_link, self.on_knock = wires, identity, peers, on_link, on_knock
        self.refused: Counter[str] = Counter()
        self.refused_departments: dict[str, str] = {}
        life = LIFE.get()
        if life is None:
            raise RuntimeError("a node runs within a life")
        self.life: Life = life

    async def start(self, _host: str, port: int) -> int:
        self._wires.listeners[self.identity.department] = self
        return port

    async def close(self) -> None:
        if self._wires.listeners.get(self.identity.department) is self:
            del self._wires.listeners[self.identity.department]


class Wires:
    """All streams between the machines. `counts` is told what was done to them."""

    def __init__(self, loop: SimLoop, plan: Plan, rng: Random, counts: Counter[str]) -> None:
        self.loop, self.plan, self.rng, self.counts = loop, plan, rng, counts
        self.listeners: dict[str, SimListener] = {}
        self.links: dict[SimLink, None] = {}
        self.cuts: Counter[tuple[str, str]] = Counter()
        self.held: list[tuple[SimLink, Frame | None]] = []
        self.is_up: Callable[[str], bool] = lambda _name: True
        self.slow: dict[str, float] = {}
        self.is_healed = False
        self.trace = hashlib.sha256()
        self.context = Context()
        """The world's own, to which no life belongs."""

    # Frames

    def latency_s(self, sender: str, receiver: str) -> float:
        rng = self.rng
        delay_s = rng.randint(500, 5_000) / 1e6 + self.slow.get(sender, 0.0) + self.slow.get(receiver, 0.0)
        if not self.is_healed and self.plan.late and rng.random() < self.plan.late:
            self.counts["delay"] += 1
            delay_s += rng.randint(20, 1_500) / 1e3
        return delay_s

    def carry(self, source: SimLink, frame: Frame | None) -> None:
        """None ends the stream."""
        source.under_way += len(frame[1]) if frame else 0
        if not self.is_healed and self.plan.resets and self.rng.random() < self.plan.resets:
            self.counts["link_reset"] += 1
            self.reset(source)
            return
        due_s = self.loop.time() + self.latency_s(source.own, source.department)
        source.due_s = max(due_s, source.due_s + _GAP_S)
        self.loop.call_at(source.due_s, self._arrive, source, frame, context=self.context)

    def _arrive(self, source: SimLink, frame: Frame | None) -> None:
        if self.cuts[source.own, source.department] > 0:
            self.held.append((source, frame))
            return
        receiver = source.other
        if frame is not None:
            self.note(f"{source.own}>{source.department} {frame[0].name}", frame[1])
            self.loop.call_soon(source.took_over, len(frame[1]), context=source.life.context)
        if receiver.life.is_over:
            if self.is_up(source.department):
                self._tell(source, None)  # a machine that is up again knows nothing of the stream
            return
        self._tell(receiver, frame)

    def _tell(self, link: SimLink, frame: Frame | None) -> None:
        self.loop.call_soon(link.deliver, frame, context=link.life.context)

    def note(self, what: str, payload: bytes = b"") -> None:
        self.trace.update(f"{self.loop.time():.6f} {what} {len(payload)} ".encode() + payload)

    def reset(self, link: SimLink) -> None:
        """The stream breaks at both ends at once, and what is under way is gone."""
        for end in (link, link.other):
            self.links.pop(end, None)
            self._tell(end, None)

    def uncut(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self.cuts.subtract(pairs)
        self.cuts += Counter()
        held, self.held = self.held, []
        for source, frame in held:
            self._arrive(source, frame)

    def on_end(self, life: Life, *, is_silent: bool) -> None:
        """A process is gone. Its machine closes the streams for it, unless the machine itself went off."""
        self.listeners = {name: one for name, one in self.listeners.items() if one.life is not life}
        for link in [link for link in self.links if link.life is life]:
            del self.links[link]
            if not is_silent:
                self.carry(link, None)

    # Calls

    async def dial(self, identity: Identity, department: str, peer: Peer, deadline_s: float) -> Link:
        own, life = identity.department, LIFE.get()
        if life is None:
            raise RuntimeError("a node runs within a life")
        began_s = self.loop.time()
        await asyncio.sleep(2 * self.latency_s(own, department))
        listener = self.listeners.get(department)
        is_cut = self.cuts[own, department] > 0 or self.cuts[department, own] > 0
        if is_cut or self.loop.time() - began_s > deadline_s or (listener is not None and listener.life.is_paused):
            await asyncio.sleep(max(0.0, began_s + deadline_s - self.loop.time()))
            raise KehuError(PEER_TIMEOUT, department=department)
        if listener is None:
            raise KehuError(PEER_UNREACHABLE, department=department, problem="refused")
        known = listener.peers().get(own)
        if known is None or known.key != identity.key.public or peer.key != listener.identity.key.public:
            raise KehuError(PEER_REFUSED_US, reason="peer.unknown_department")
        if not is_dialler(own, department):
            self.loop.call_soon(listener.on_knock, own, context=listener.life.context)
            raise KehuError(PEER_REFUSED_US, reason="peer.direction")
        here = SimLink(self, own, life, department, peer.key)
        there = SimLink(self, department, listener.life, own, known.key)
        here.other, there.other = there, here
        self.links |= {here: None, there: None}
        self.loop.call_soon(listener.on_link, there, context=listener.life.context)
        return here

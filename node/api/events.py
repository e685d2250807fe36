"""Events as they happen (server-sent events): one per appended block, public facts only.

One task reads the node's events and hands each to the bounded queue of every listener. Whoever can't keep up is
told so ("lagging") and cut off; the height is each event's id, so a client sees a gap and asks for the blocks. A key
that is revoked while it listens hears nothing more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from aiohttp import web

from chain.errors import KehuError, define
from node.api.context import Slots, allow, context_of
from node.api.facade import NodeFacade
from node.api.limits import ApiLimits
from node.api.people import require_active_person
from node.api.policy import EVENT_STREAM, Policy, Route, person_of

EVENTS_TOO_MANY = define(
    "events.too_many",
    "the node has as many event listeners as it may, in all or for this person",
    "close another listener, or wait as Retry-After says",
)

Event = Mapping[str, Any]
LAGGING: Final = b"event: lagging\ndata: {}\n\n"
STOPPING: Final = b"event: stopping\ndata: {}\n\n"
_HEARTBEAT: Final = b": \n\n"


class _Listener:
    """A bounded queue that ends instead of growing. `None` is the end."""

    def __init__(self, queue_max: int) -> None:
        self.events: asyncio.Queue[Event | None] = asyncio.Queue(queue_max)
        self.is_lagging = False

    def hand(self, event: Event) -> None:
        if self.events.full():
            self.end(is_lagging=True)
        elif not self.is_lagging:
            self.events.put_nowait(event)

    def end(self, *, is_lagging: bool) -> None:
        """What is queued is dropped: whoever lags asks for the blocks anyway."""
        self.is_lagging = self.is_lagging or is_lagging
        while not self.events.empty():
            self.events.get_nowait()
        self.events.put_nowait(None)


class Hub:
    """Reads the node's events once and fans them out. `close` ends every listener."""

    def __init__(self, node: NodeFacade, limits: ApiLimits) -> None:
        self._node = node
        self._limits = limits
        self._listeners: dict[int, _Listener] = {}
        self._slots = Slots(limits.events_max, limits.events_per_person_max, EVENTS_TOO_MANY)
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @contextmanager
    def listen(self, person: str) -> Iterator[_Listener]:
        """Errors: events.too_many."""
        with self._slots.take(person):
            listener = _Listener(self._limits.event_queue_max)
            self._listeners[id(listener)] = listener
            if self._is_closed:
                listener.end(is_lagging=False)
            try:
                yield listener
            finally:
                del self._listeners[id(listener)]

    def start(self) -> None:
        self._task = asyncio.create_task(self._pump(), name="api-events")

    async def close(self) -> None:
        self._is_closed = True
        for listener in self._listeners.values():
            listener.end(is_lagging=False)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _pump(self) -> None:
        """A node ends a subscription that fell behind (a long catch-up): listeners are told, and it begins anew at
        once, so that who listens from now on misses nothing."""
        while True:
            events = self._node.subscribe()
            try:
                async for event in events:
                    for listener in self._listeners.values():
                        listener.hand(event)
            finally:
                if isinstance(events, AsyncGenerator):
                    await events.aclose()
            for listener in self._listeners.values():
                listener.end(is_lagging=True)


HUB: Final = web.AppKey("event_hub", Hub)


async def send_events(request: web.Request) -> web.StreamResponse:
    context, person = context_of(request), person_of(request)
    with request.app[HUB].listen(person.id) as listener:
        response = web.StreamResponse()
        response.content_type = EVENT_STREAM
        await response.prepare(request)
        await response.write(_HEARTBEAT)
        while True:
            allow(request, context.limits.stream_s)
            try:
                async with asyncio.timeout(context.limits.event_heartbeat_s):
                    event = await listener.events.get()
            except TimeoutError:
                await response.write(_HEARTBEAT)
                continue
            if event is None:
                await response.write(LAGGING if listener.is_lagging else STOPPING)
                return response
            try:
                require_active_person(context.node, person.key)
            except KehuError:
                return response
            await response.write(_framed(event))


def _framed(event: Event) -> bytes:
    data = json.dumps(dict(event), ensure_ascii=False, separators=(",", ":"))
    return f"event: block\nid: {event['height']}\ndata: {data}\n\n".encode()


ROUTES: Final = (
    Route(
        "GET",
        "/v1/events",
        Policy.PERSON,
        send_events,
        "Appended blocks as server-sent events",
        answer_type=EVENT_STREAM,
    ),
)

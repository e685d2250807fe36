"""Events: what is heard, what is not, and that a listener who doesn't listen costs nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from chain.transaction import Call
from node.api.events import Hub
from node.api.limits import ApiLimits
from tests.node.api.conftest import Api, Start
from tests.node.api.fake_node import FakeNode, key_of

PATIENCE_S = 20


class Stream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._content = response.content

    async def next(self) -> dict[str, str] | None:
        """The next event by its fields, heartbeats left out; None at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif fields:
                    return fields
        return None

    async def heartbeat(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            assert await self._content.readuntil(b"\n\n") == b": \n\n"


@asynccontextmanager
async def listening(api: Api, name: str = "li") -> AsyncIterator[Stream]:
    """A listener that has its place: the first heartbeat says so."""
    headers = api.signature("GET", "/v1/events", key=key_of(name))
    async with api.session.get(f"{api.url}/v1/events", headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        stream = Stream(response)
        await stream.heartbeat()
        yield stream


async def test_every_block_is_an_event_for_every_listener(api: Api) -> None:
    async with listening(api) as first, listening(api, "wang") as second:
        for height in (1, 2):
            api.node.enact("li")
            block = api.node.blocks.block(height)
            for stream in (first, second):
                event: Any = await stream.next()
                assert (event["event"], event["id"]) == ("block", str(height))
                data = json.loads(event["data"])
                assert data["block_id"] == block.id.hex()
                assert data["transactions"] == [item.id.hex() for _, item in block.transactions()]


async def test_a_quiet_stream_has_heartbeats(start: Start) -> None:
    api = await start(limits=ApiLimits(event_heartbeat_s=0.05))
    async with listening(api) as stream:
        await stream.heartbeat()
        await stream.heartbeat()
        api.node.enact("li")
        assert await stream.next() is not None


async def test_a_revoked_key_hears_nothing_more(api: Api) -> None:
    async with listening(api) as stream:
        api.node.enact("boss", Call("people.revoke_key", {"key": key_of("li").public.hex()}))
        assert await stream.next() is None


async def test_a_person_has_only_so_many_listeners_and_gets_them_back(start: Start) -> None:
    api = await start(limits=ApiLimits(events_per_person_max=1, event_heartbeat_s=0.02))
    async with listening(api):
        answer = await api.signed("GET", "/v1/events")
        assert (answer.status, answer.code) == (429, "events.too_many")
        async with listening(api, "wang"):
            pass
    async with asyncio.timeout(PATIENCE_S):
        while True:
            headers = api.signature("GET", "/v1/events")
            async with api.session.get(f"{api.url}/v1/events", headers=headers) as response:
                if response.status == 200:
                    break


async def test_closing_the_server_tells_listeners_and_ends_at_once(start: Start) -> None:
    api = await start()
    async with listening(api) as stream:
        closing = asyncio.create_task(api.server.close())
        event: Any = await stream.next()
        assert event["event"] == "stopping"
        assert await stream.next() is None
        await closing


async def test_a_listener_that_falls_behind_is_told_and_holds_no_more_than_its_queue() -> None:
    node = FakeNode()
    hub = Hub(node, ApiLimits(event_queue_max=2))
    hub.start()
    await node.subscribed.wait()
    with hub.listen("li") as slow, hub.listen("wang") as quick:
        heard = []
        for height in (1, 2, 3):
            node.enact("li")
            event: Any = await quick.events.get()
            heard.append(event["height"])
            assert event["height"] == height
            assert slow.events.qsize() <= 2
        assert heard == [1, 2, 3]
        assert slow.is_lagging
        assert await slow.events.get() is None
        node.enact("li")
        await quick.events.get()
        assert slow.events.empty()
    await hub.close()


async def test_who_listens_right_after_the_subscription_was_dropped_misses_nothing(api: Api) -> None:
    async with listening(api) as stream:
        api.node.waiting.close()
        event: Any = await stream.next()
        assert event["event"] == "lagging"
    async with listening(api) as stream:
        api.node.enact("li")
        event = await stream.next()
        assert (event["event"], event["id"]) == ("block", "1")


async def test_when_the_node_drops_the_subscription_listeners_are_told_that_they_lag() -> None:
    node = FakeNode()
    hub = Hub(node, ApiLimits())
    hub.start()
    await node.subscribed.wait()
    with hub.listen("li") as listener:
        node.waiting.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await listener.events.get() is None
        assert listener.is_lagging
    await hub.close()
    with hub.listen("li") as late:
        assert late.events.get_nowait() is None

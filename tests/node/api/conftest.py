"""The real API over real HTTP on loopback, and a client that signs, or signs wrongly on purpose."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from yarl import URL

from chain.crypto import SigningKey
from node.api.app import make_app
from node.api.limits import ApiLimits
from node.api.server import ApiServer, serve
from node.api.signing import sign_request
from tests.node.api.fake_node import Clock, FakeNode, key_of

_NONCES = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["code"])


@dataclass
class Api:
    """A served API. `request` sends as given; `signed` signs for this node and now, unless told otherwise."""

    node: FakeNode
    server: ApiServer
    session: aiohttp.ClientSession
    limits: ApiLimits
    last_headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        async with self.session.request(
            method, URL(self.url + path, encoded=True), data=body, headers=headers, skip_auto_headers=["Content-Type"]
        ) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    def signature(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        key: SigningKey | None = None,
        chain_id: bytes | None = None,
        department: str | None = None,
        created: int | None = None,
        nonce: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, str]:
        given = dict(headers or {})
        if body is not None:
            given.setdefault("Content-Type", "application/json")
        return sign_request(
            key or key_of("li"),
            method,
            self.url + path,
            given,
            body,
            self.node.genesis.chain_id if chain_id is None else chain_id,
            department or self.node.department,
            self.node.now_ms() // 1000 if created is None else created,
            nonce or next(_NONCES).to_bytes(16, "big"),
        )

    async def signed(self, method: str, path: str, body: bytes | None = None, **more: Any) -> Answer:
        return await self.request(method, path, body, self.signature(method, path, body, **more))

    async def post(self, path: str, value: Any, **headers: str) -> Answer:
        body = json.dumps(value).encode()
        return await self.request("POST", path, body, {"Content-Type": "application/json", **headers})


Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts APIs: `await start()`, or with a node and limits of your own."""
    async with AsyncExitStack() as stack:

        async def start_one(node: FakeNode | None = None, limits: ApiLimits | None = None) -> Api:
            chosen, bounds = node or FakeNode(), limits or ApiLimits()
            server = await serve(make_app(chosen, chosen.clock, bounds), "127.0.0.1", 0)
            stack.push_async_callback(server.close)
            session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
            return Api(chosen, server, session, bounds)

        yield start_one


@pytest.fixture
async def api(start: Start) -> Api:
    served: Api = await start()
    return served


@pytest.fixture
def clock() -> Clock:
    return Clock()

"""Bytes on a connection to the API: the whole way through aiohttp, gate, authentication, bodies and handlers.

Each input is one connection's bytes, given to the real protocol over a transport that goes nowhere. Requests are
written almost right: paths, headers, framings and bodies changed; some are signed after the change, so that what
stands behind the signature is reached.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final

from node.api.app import ROUTES, make_app
from node.api.limits import ApiLimits
from node.api.server import prepare
from node.api.signing import sign_request
from tests.fuzz.files import dump_json
from tests.fuzz.mutation import TOKENS, Mutator, change_bytes
from tests.fuzz.target import Finding, Take, Target
from tests.node.api.fake_node import TIME_MS, FakeNode, key_of, make_genesis

PATIENCE_S: Final = 20.0
LIMITS: Final = ApiLimits(header_s=600, body_s=600, request_s=600)
PLACES: Final = {"id": "ab" * 32, "table": "people", "key": "li", "record": "c1", "height": 1}
SALT: Final = "01" * 32
UNSERVED: Final = ("/v1/events", "/v1/backup")
"""Streams without end, and what the node of these tests does not have."""
PATHS: Final = sorted({(route.method, route.path.format(**PLACES)) for route in ROUTES if route.path not in UNSERVED})
QUERIES: Final = ("", "?limit=1", "?from=1&to=2", "?proof=1", "?after=%00&limit=-1", "?limit=" + "9" * 30, "?a=b;c=d")
BODIES: Final[tuple[tuple[str, Any], ...]] = (
    ("/v1/customers/duplicates", {"phones": ["+8613800138000"], "purpose": "registration"}),
    ("/v1/phone/attest", {"customer": "c1", "phone": "+8613800138000", "phone_salt": SALT}),
    ("/v1/phone/check", {"customer": "c1"}),
    ("/v1/search", {"search": 1, "salt": SALT, "query": {"where": [{"kind": "contains", "name": "name", "value": "张"}],
                    "sort": {"kind": "id", "name": ""}, "descending": False, "after": None}}),
    ("/v1/permissions/preview", {"calls": [{"name": "permissions.revoke", "args": {"grant": "g"}}]}),
)  # fmt: skip


class Connection(asyncio.Transport):
    """The server's end of a connection: keeps what the server writes, and says when it has gone."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = bytearray()
        self.progress = asyncio.Event()
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        self.progress.set()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        self.is_closed = True
        self.progress.set()

    abort = close

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Everything was given at once."""

    resume_reading = pause_reading


class _Requests:
    def __init__(self) -> None:
        node = FakeNode()
        envelope = base64.b64encode(node.transaction("li").raw).decode()
        value = {"table": "customers", "record": "c1", "field": "name", "salt": SALT, "value": "张三"}
        submit = {"transactions": [envelope], "values": [value], "wait": "admitted", "timeout_ms": 1}
        self._bodies = [*BODIES, ("/v1/transactions", submit), ("/v1/transactions", {"transactions": [envelope]})]
        self._mutators = [Mutator([dump_json(body)], [body], dump_json) for _, body in self._bodies]
        self._chain_id = make_genesis().chain_id
        self._nonce = 0

    def draw(self, rng: Random) -> bytes:
        data = self._request(rng)
        return change_bytes(rng, data) if rng.random() < 0.35 else data

    def _request(self, rng: Random) -> bytes:
        headers, body = {"Host": "node"}, None
        method, path = rng.choice(PATHS)
        if rng.random() < 0.6:
            place = rng.randrange(len(self._bodies))
            method, path, body = "POST", self._bodies[place][0], self._mutators[place].draw(rng)
            headers["Content-Type"] = "application/json"
        elif rng.random() < 0.5:
            path += rng.choice(QUERIES)
        if rng.random() < 0.25:
            path = change_bytes(rng, path.encode()).decode("latin-1")
        if rng.random() < 0.6:
            headers |= self._signature(rng, method, path, headers, body)
        if rng.random() < 0.2:
            name = rng.choice(list(headers))
            headers[name] = change_bytes(rng, headers[name].encode("latin-1", "replace")).decode("latin-1")
        return _written(rng, method, path, headers, body)

    def _signature(
        self, rng: Random, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> dict[str, str]:
        who = rng.choice(("li", "li", "boss", "rui", "nobody", "node sales"))
        nonce = rng.randbytes(16)
        try:
            return sign_request(
                key_of(who),
                method,
                f"http://node{path}",
                headers,
                body,
                self._chain_id,
                "sales",
                TIME_MS // 1000,
                nonce,
            )
        except Exception:  # a path that no client could sign
            return {}


def _written(rng: Random, method: str, path: str, headers: dict[str, str], body: bytes | None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1".encode("latin-1", "replace")]
    lines += [f"{name}: {value}".encode("latin-1", "replace") for name, value in headers.items()]
    if rng.random() < 0.15:
        lines.insert(rng.randrange(1, len(lines) + 1), rng.choice(TOKENS) + b": " + rng.choice(TOKENS) * 3)
    if body is None:
        return b"\r\n".join(lines) + b"\r\n\r\n"
    if rng.random() < 0.15:
        framed = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        length = len(body) if rng.random() < 0.95 else rng.choice((0, -1, len(body) + 1, 2**63, 2**70))
        framed = b"Content-Length: %d\r\n\r\n%b" % (length, body)
    return b"\r\n".join(lines) + b"\r\n" + framed


class _Api:
    """An API in this process. `take` gives one connection's bytes and tells the outcome of its first request."""

    def __init__(self) -> None:
        self._handler_of: Any = None
        self._node: FakeNode | None = None
        self._runner: Any = None

    async def take(self, data: bytes) -> str:
        if self._handler_of is None:
            self._node = FakeNode(commits_at_once=True)
            app = make_app(self._node, self._node.clock, LIMITS)
            self._runner, self._handler_of = await prepare(app, LIMITS)
        handler, transport = self._handler_of(), Connection()
        handler.connection_made(transport)
        handler.data_received(data)
        try:
            await self._settle(handler, transport)
        finally:
            handler.connection_lost(None)
            await asyncio.sleep(0)
        return self._outcome(bytes(transport.written))

    async def _settle(self, handler: Any, transport: Connection) -> None:
        """Until the server has answered, given up, or waits for bytes that will not come."""
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(4):
                await asyncio.sleep(0)
            while not transport.is_closed and not transport.written and _is_working(handler):
                transport.progress.clear()
                await transport.progress.wait()

    def _outcome(self, written: bytes) -> str:
        if self._node is None or self._node.failures:
            raise Finding("a request stops the node")
        if not written:
            return "no answer"
        head, _, body = written.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        if status >= 500 and status != 503:
            raise Finding(f"the API answers {status}")
        if status < 400:
            return "accepted" if status >= 200 else "continue"
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        return str(json.loads(body[:length])["code"])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _is_working(handler: Any) -> bool:
    """Whether a request is being answered whose body has come."""
    request = handler._current_request
    return request is not None and request.content.is_eof()


@contextmanager
def open_api() -> Iterator[Take]:
    log = logging.getLogger("kehu")
    level = log.level
    log.setLevel(logging.CRITICAL)
    loop, api = asyncio.new_event_loop(), _Api()
    try:
        yield lambda data: loop.run_until_complete(api.take(data))
    finally:
        loop.run_until_complete(api.close())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        log.setLevel(level)


def http_targets() -> list[Target]:
    return [Target("HTTP", _Requests().draw, open_api, 24, (lambda bomb: bomb, *_CARRIERS))]


def _posted(bomb: bytes) -> bytes:
    head = (
        b"POST /v1/transactions HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    return head % len(bomb) + bomb


def _as_value(bomb: bytes) -> bytes:
    """A submission of the right shape whose one transaction is the bomb."""
    return _posted(json.dumps({"transactions": [base64.b64encode(bomb).decode()]}).encode())


def _in_header(bomb: bytes) -> bytes:
    text = bomb.translate(None, b"\r\n\x00")
    return b"GET /v1/grants HTTP/1.1\r\nHost: node\r\nSignature-Input: kehu=(%b\r\n\r\n" % text


_CARRIERS: Final = (_posted, _as_value, _in_header)

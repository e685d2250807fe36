"""Slow, huge and hostile clients (S01, S11, scenario 25): closed or refused, while others are served."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import pytest

from chain.errors import InvariantError
from node.api.limits import ApiLimits
from node.storage.durable import STORAGE_IO, StorageFailure
from tests.node.api.conftest import Api, Start

QUICK = ApiLimits(header_s=0.2, body_s=0.2, request_s=0.5, stream_s=0.3)
PATIENCE_S = 20
POST = b"POST /v1/transactions HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\n"


@dataclass
class Socket:
    """A client that sends exactly what a test says."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, api: Api) -> Socket:
        return cls(*await asyncio.open_connection("127.0.0.1", api.server.port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self) -> bytes:
        """All that comes until the node closes; fails if it doesn't."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self.reader.read()
        except ConnectionError:
            return b""
        finally:
            self.writer.close()


async def exchange(api: Api, data: bytes) -> tuple[int, dict[str, object]]:
    """Status and problem of an answer after which the node closes."""
    client = await Socket.open(api)
    await client.send(data)
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /healthz HTTP/1.1\r\nHost: no", b"GET /healthz HTTP/1.1\r\n", b"G"],
    ids=["nothing", "half a header", "no end", "one byte"],
)
async def test_a_connection_that_does_not_finish_its_header_is_closed(start: Start, sent: bytes) -> None:
    api = await start(limits=QUICK)
    client = await Socket.open(api)
    await client.send(sent)
    assert await client.rest() == b""


async def test_dribbling_header_bytes_does_not_prolong_the_deadline(start: Start) -> None:
    api = await start(limits=QUICK)
    client = await Socket.open(api)
    await client.send(b"GET /healthz HTTP/1.1\r\n")
    closed = asyncio.create_task(client.rest())

    async def dribble() -> None:
        number = 0
        while not closed.done():
            number += 1
            client.writer.write(b"X-%d: y\r\n" % (number % 10))
            await asyncio.wait([closed], timeout=0.02)

    await dribble()
    assert b"200" not in closed.result()


async def test_an_idle_connection_is_closed_and_a_busy_one_is_kept(start: Start) -> None:
    api = await start(limits=replace(QUICK, header_s=1.5, request_s=600))
    client = await Socket.open(api)
    for _ in range(3):
        await client.send(b"GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n")
        assert (await client.reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
    await client.send(b"GET /healthz HT")
    assert await client.rest() == b""


async def test_a_request_that_came_in_time_is_answered_though_the_node_was_held_up_beyond_it(start: Start) -> None:
    api = await start(limits=replace(QUICK, request_s=600))
    client = await Socket.open(api)
    for is_held_up in (False, True):
        await client.send(b"GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n")
        if is_held_up:
            time.sleep(QUICK.header_s + 0.05)  # noqa: ASYNC251 - the loop itself, as a large block holds it up
        assert (await client.reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
    assert await client.rest() == b""


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"])
async def test_a_body_that_does_not_come_is_a_timeout_and_the_connection_closes(start: Start, framing: bytes) -> None:
    api = await start(limits=replace(QUICK, request_s=30))
    status, problem = await exchange(api, POST + framing)
    assert (status, problem["code"]) == (408, "http.timeout")


async def test_a_handler_that_hangs_is_cut_off_by_the_request_deadline(start: Start) -> None:
    api = await start(limits=QUICK)
    released = asyncio.Event()

    async def hang(*_args: object) -> None:
        await released.wait()

    api.node.check_phone = hang
    headers = api.signature("POST", "/v1/phone/check", b'{"customer":"c1"}')
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    client = await Socket.open(api)
    await client.send(
        f"POST /v1/phone/check HTTP/1.1\r\nHost: node\r\nContent-Length: 17\r\n{head}\r\n".encode()
        + b'{"customer":"c1"}'
    )
    assert await client.rest() == b""
    released.set()


async def test_an_export_that_nobody_reads_is_cut_off_and_its_place_is_free_again(start: Start) -> None:
    api = await start(limits=replace(QUICK, exports_per_address_max=1))
    api.node.enact("li")
    big = api.node.blocks.block_bytes(1) + bytes(64 << 20)  # more than both sockets' buffers hold
    api.node.blocks.block_bytes = lambda _height: big
    client = await Socket.open(api)
    client.writer.transport.pause_reading()
    await client.send(b"GET /v1/export HTTP/1.1\r\nHost: node\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        while (await api.request("GET", "/v1/export?from=2")).status == 429:
            pass
    client.writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: +8613800138000\r\n" * 10_000 + b"\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"8" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"8" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/..%2f..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
    ids=[
        "tls",
        "version",
        "short",
        "zeros",
        "bytes",
        "name",
        "lengths",
        "smuggling",
        "headers",
        "field",
        "line",
        "escaped path",
        "path",
    ],
)
async def test_what_is_not_http_is_refused_as_a_problem_that_quotes_nothing(
    api: Api, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    status, problem = await exchange(api, sent)
    assert (status, problem["code"]) in ((400, "http.malformed"), (404, "http.no_route"))
    assert "8613800138000" not in json.dumps(problem) + caplog.text
    assert (await api.request("GET", "/healthz")).status == 200


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [(b"GET /nowhere", 404, "http.no_route"), (b"DELETE /healthz", 405, "http.method")],
)
async def test_an_expectation_where_there_is_no_route_is_refused_as_a_problem_that_quotes_nothing(
    api: Api, line: bytes, status: int, code: str
) -> None:
    method, path = line.decode().split()
    answer = await api.request(method, path, headers={"Expect": "+8613800138000"})
    assert (answer.status, answer.code) == (status, code)
    assert ("Allow" in answer.headers) is (status == 405)
    assert "8613800138000" not in f"{answer.headers} {answer.body!r}"


async def test_what_never_became_a_request_is_answered_under_an_id_that_the_log_has_and_kept_by_nobody(
    start: Start, held: list[Socket], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kehu.api.access")
    api = await start(limits=ApiLimits(connections_per_address_max=1))
    held.append(await Socket.open(api))
    turned_away = await (await Socket.open(api)).rest()
    await held[0].send(b"GET\r\n\r\n")
    for answer in (turned_away, await held[0].rest()):
        head, _, body = answer.decode().partition("\r\n\r\n")
        id_ = json.loads(body)["request"]
        assert {f"Kehu-Request: {id_}", "Server: kehu", "Cache-Control: no-store"} <= set(head.split("\r\n"))
        assert f"{id_} other unmatched" in caplog.text


async def test_an_oversize_body_is_refused_by_its_length_without_being_read(api: Api) -> None:
    status, problem = await exchange(api, POST + b"Content-Length: 99999999999\r\nConnection: close\r\n\r\n{")
    assert (status, problem["code"]) == (413, "http.too_large")
    assert problem["details"] == {"bytes": 99_999_999_999, "limit": 4 << 20}


async def test_an_oversize_body_without_a_length_is_refused_where_the_limit_is(start: Start) -> None:
    api = await start(limits=ApiLimits(body_bytes_max=10_000))

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            yield b" " * 100

    async with api.session.post(
        f"{api.url}/v1/transactions", data=endless(), headers={"Content-Type": "application/json"}
    ) as response:
        assert (response.status, json.loads(await response.read())["code"]) == (413, "http.too_large")


async def test_a_hundred_thousand_tiny_chunks_are_read_as_one_body(api: Api) -> None:
    chunks = b"1\r\n \r\n" * 100_000 + b"2\r\n{}\r\n0\r\n\r\n"
    status, problem = await exchange(api, POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert (status, problem["code"]) == (400, "http.fields")


async def test_a_client_that_asks_first_is_told_to_go_on_only_when_it_is_authorised(api: Api) -> None:
    expecting = b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    client = await Socket.open(api)
    await client.send(POST + expecting)
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"{}")
    assert (await client.rest()).startswith(b"HTTP/1.1 400")
    status, problem = await exchange(api, POST.replace(b"transactions", b"phone/check") + expecting)
    assert (status, problem["code"]) == (401, "auth.required")


async def test_answers_do_not_say_which_software_gives_them_and_are_kept_by_nobody(api: Api) -> None:
    answers = [await api.request("GET", path) for path in ("/healthz", "/nowhere", "/v1/export")]
    for headers in [answer.headers for answer in (*answers, await api.signed("GET", "/v1/state/policy/current"))]:
        assert (headers["Server"], headers["X-Content-Type-Options"]) == ("kehu", "nosniff")
        assert headers["Cache-Control"] == "no-store"


async def test_a_compressed_body_is_refused_and_never_inflated(api: Api) -> None:
    bomb = gzip.compress(b" " * (64 << 20))
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await api.request("POST", "/v1/transactions", bomb, headers)
    assert (answer.status, answer.code) == (415, "http.media_type")


@pytest.fixture
def held() -> Iterator[list[Socket]]:
    sockets: list[Socket] = []
    yield sockets
    for socket in sockets:
        socket.writer.close()


async def test_one_address_has_only_so_many_connections_and_gets_them_back(start: Start, held: list[Socket]) -> None:
    api = await start(limits=ApiLimits(connections_per_address_max=5, retry_after_s=7))
    for _ in range(5):
        held.append(await Socket.open(api))
        await held[-1].send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await held[-1].reader.readuntil(b"}")
    refused = await (await Socket.open(api)).rest()
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"Retry-After: 7" in refused
    assert json.loads(refused.partition(b"\r\n\r\n")[2])["code"] == "http.connections"
    for socket in held:
        await socket.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await socket.rest()
    assert (await api.request("GET", "/healthz")).status == 200


async def test_all_addresses_together_have_only_so_many_connections(start: Start, held: list[Socket]) -> None:
    api = await start(limits=ApiLimits(connections_max=3))
    for _ in range(3):
        held.append(await Socket.open(api))
        await held[-1].send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await held[-1].reader.readuntil(b"}")
    assert (await (await Socket.open(api)).rest()).startswith(b"HTTP/1.1 503")


async def test_who_goes_away_gives_the_place_back_when_the_work_that_was_asked_for_ends(start: Start) -> None:
    """Or one address could have any number of bodies and waits in hand, by leaving again and again."""
    api = await start(limits=ApiLimits(connections_per_address_max=3))
    encoded = base64.b64encode(api.node.transaction("li").raw).decode()
    body = json.dumps({"transactions": [encoded], "timeout_ms": 30_000}).encode()
    for _ in range(3):
        client = await Socket.open(api)
        await client.send(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await api.node.admitted.wait()
        api.node.admitted.clear()
        client.writer.transport.abort()
    assert (await (await Socket.open(api)).rest()).startswith(b"HTTP/1.1 503")
    api.node.commit()
    async with asyncio.timeout(PATIENCE_S):
        while (await api.request("GET", "/healthz")).status == 503:
            pass


async def test_hundreds_of_idle_connections_go_and_the_next_client_is_served(start: Start) -> None:
    api = await start(limits=ApiLimits(header_s=1.5, connections_per_address_max=300))
    idle = [await Socket.open(api) for _ in range(300)]
    assert await asyncio.gather(*(socket.rest() for socket in idle)) == [b""] * 300
    assert (await api.request("GET", "/healthz")).status == 200


async def test_exports_at_once_are_bounded_per_address(start: Start) -> None:
    api = await start(limits=ApiLimits(exports_per_address_max=1))
    api.node.enact("li")
    big = api.node.blocks.block_bytes(1) + bytes(8 << 20)
    api.node.blocks.block_bytes = lambda _height: big
    async with api.session.get(f"{api.url}/v1/export") as first:
        answer = await api.request("GET", "/v1/export")
        assert (answer.status, answer.code) == (429, "export.too_many")
        assert answer.headers["Retry-After"] == "1"
        assert len(await first.read()) > 8 << 20
    assert (await api.request("GET", "/v1/export?from=2")).status == 200


async def test_the_access_log_has_the_route_and_nothing_of_what_was_sent(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kehu.api.access")
    await api.request("GET", "/v1/transactions/13800138000?phone=13800138000")
    await api.request("GET", "/13800138000")
    await api.signed("POST", "/v1/phone/check", b'{"customer":"c1"}')
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert " GET /v1/transactions/{id} 400 " in lines[0]
    assert " GET unmatched 404 " in lines[1]
    assert " POST /v1/phone/check 200 " in lines[2]
    assert "13800138000" not in caplog.text
    assert "127.0.0.1" not in caplog.text


@pytest.mark.parametrize(
    "failure", [InvariantError("two heads"), StorageFailure(STORAGE_IO, path="chain", operation="get", reason="EIO")]
)
async def test_what_a_node_must_not_survive_reaches_the_node(api: Api, failure: Exception) -> None:
    api.node.fault = failure
    answer = await api.request(
        "POST", "/v1/transactions", b'{"transactions":["AA=="]}', {"Content-Type": "application/json"}
    )
    assert answer.status == 500
    assert "two heads" not in answer.body.decode()
    assert api.node.failures == [failure]


async def test_a_stream_that_fails_midway_is_cut_and_not_finished_as_if_complete(api: Api) -> None:
    api.node.enact("li")
    api.node.enact("li")
    whole = api.node.blocks.block_bytes

    def fail_at_two(height: int) -> bytes:
        if height == 2:
            raise StorageFailure(STORAGE_IO, path="chain", operation="get", reason="EIO")
        return whole(height)

    api.node.blocks.block_bytes = fail_at_two  # type: ignore[method-assign]
    client = await Socket.open(api)
    await client.send(b"GET /v1/export HTTP/1.1\r\nHost: node\r\n\r\n")
    received = await client.rest()
    assert received.startswith(b"HTTP/1.1 200")
    assert not received.endswith(b"0\r\n\r\n")
    assert len(api.node.failures) == 1

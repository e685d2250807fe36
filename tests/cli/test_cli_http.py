"""The commands' own HTTP: answers in every framing, broken ones, and connections that are used again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from cli.http import ConnectError, HttpError, Session


@asynccontextmanager
async def serving(answers: Sequence[bytes]) -> AsyncIterator[tuple[str, list[int]]]:
    """A server that gives `answers` in turn, whatever is asked, and ends its connection after the last. Gives its URL
    and, for every request, on which of its connections it came."""
    waiting, seen = list(answers), []
    connections: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = asyncio.current_task()
        assert mine is not None
        connections.append(mine)
        number = len(connections)
        while await reader.read(1 << 16):
            seen.append(number)
            if waiting:
                writer.write(waiting.pop(0))
            if not waiting and answers:
                break
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()
        await asyncio.gather(*connections, return_exceptions=True)


async def body_of(session: Session, url: str) -> tuple[int, bytes]:
    async with session.ask("GET", url) as response:
        return response.status, b"".join([piece async for piece in response.pieces()])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello")),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", (200, b"")),
        (b"HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno", (404, b"no")),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", (200, b"until the end")),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", (200, b"a")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: t\r\n\r\n",
            (200, b"abc0123456789"),
        ),
    ],
)
async def test_a_body_is_read_as_its_head_says(answer: bytes, expected: tuple[int, bytes]) -> None:
    async with serving([answer]) as (url, _), Session() as session:
        assert await body_of(session, url) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 99 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n0123456789",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_half_an_answer_and_what_is_not_http_are_errors(answer: bytes) -> None:
    async with serving([answer]) as (url, _), Session() as session:
        with pytest.raises(HttpError) as caught:
            await body_of(session, url)
    assert not isinstance(caught.value, ConnectError)


async def test_a_connection_is_used_again_when_its_answer_was_read() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    async with serving([answer, answer, answer]) as (url, seen), Session() as session:
        await body_of(session, url)
        async with session.ask("GET", url):
            pass  # not read: what is left would be taken for the next answer
        await body_of(session, url)
    assert seen == [1, 1, 2]


async def test_a_connection_that_lay_idle_for_long_is_not_used_again() -> None:
    """The node may be ending it just then: of what was sent on it nobody would know whether it arrived."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    async with serving([answer, answer, answer]) as (url, seen), Session(idle_max_s=0.0) as session:
        await body_of(session, url)
        await body_of(session, url)
    assert seen == [1, 2]


@pytest.mark.parametrize("answers", [[b"Connection: close\r\n"], []])
async def test_a_connection_that_the_node_ends_is_not_used_again(answers: list[bytes]) -> None:
    first = b"HTTP/1.1 200 OK\r\n" + b"".join(answers) + b"Content-Length: 1\r\n\r\na"
    async with Session() as session:
        async with serving([first]) as (url, _):
            assert await body_of(session, url) == (200, b"a")
        with pytest.raises(ConnectError):
            await body_of(session, url)


async def test_who_says_nothing_is_given_up() -> None:
    async with serving([]) as (url, _), Session(silence_max_s=0.01) as session:
        with pytest.raises(HttpError):
            await body_of(session, url)


@pytest.mark.parametrize(
    "url", ["", "node", "ftp://127.0.0.1", "http://", "http://a:99999", "http://[::1", "http://a..b"]
)
async def test_where_no_connection_can_be_made_nothing_was_sent(url: str) -> None:
    async with Session() as session:
        with pytest.raises(ConnectError):
            await body_of(session, url)

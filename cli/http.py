"""HTTP/1.1 as commands need it.

aiohttp's client takes longer to import than all else that a command does. What it has beyond this (cookies,
redirects, proxies, compression) no command uses.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Self

from yarl import URL

CONNECT_TIMEOUT_S: Final = 5.0
SILENCE_MAX_S: Final = 60.0
PIECE_BYTES: Final = 1 << 16
HEADERS_MAX: Final = 100
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?")
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?")
_LENGTH: Final = re.compile(r"[0-9]{1,15}")


class HttpError(Exception):
    """No answer, half an answer, or one that is not HTTP."""


class ConnectError(HttpError):
    """The connection could not be made: nothing was sent."""


class Session:
    """Connections that are kept for the next request to the same node, as long as commands make any."""

    def __init__(self, silence_max_s: float = SILENCE_MAX_S) -> None:
        """`silence_max_s` is how long the other side may say nothing."""
        self._silence_max_s = silence_max_s
        self._idle: dict[URL, list[_Wire]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for wires in self._idle.values():
            for wire in wires:
                await wire.close()

    @asynccontextmanager
    async def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> AsyncIterator[Response]:
        """Sends one request and gives its answer. Errors: ConnectError, HttpError."""
        place = _place(url)
        wire = self._kept(place.origin()) or await self._connect(place)
        response: Response | None = None
        try:
            wire.send(_request(method, place, headers or {}, body))
            response = await _answer(wire)
            yield response
        finally:
            if response is not None and response.is_spent:
                self._idle.setdefault(place.origin(), []).append(wire)
            else:
                wire.abort()

    def _kept(self, origin: URL) -> _Wire | None:
        wires = self._idle.get(origin, [])
        while wires:
            if (wire := wires.pop()).is_open():
                return wire
            wire.abort()
        return None

    async def _connect(self, place: URL) -> _Wire:
        secure = True if place.scheme == "https" else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                streams = await asyncio.open_connection(place.host, place.port, ssl=secure, limit=PIECE_BYTES)
        except (OSError, ValueError) as error:  # a TimeoutError is an OSError; what is no host name, a ValueError
            raise ConnectError(type(error).__name__) from None
        return _Wire(*streams, self._silence_max_s)


@dataclass(slots=True)
class Response:
    """An answer whose body is still to be read. `headers` have lower-case names; `is_spent`: all was read, and the
    connection can carry another request."""

    status: int
    headers: dict[str, str]
    _wire: _Wire
    is_spent: bool = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, at most `PIECE_BYTES` at a time. Errors: HttpError if it ends early or stalls."""
        length = self.headers.get("content-length")
        if "transfer-encoding" in self.headers:
            while size := await self._chunk_size():
                async for piece in self._wire.exactly(size):
                    yield piece
                await self._wire.line()
            while await self._wire.line():
                pass  # trailers
        elif length is None:
            while piece := await self._wire.some():
                yield piece
            return
        elif _LENGTH.fullmatch(length):
            async for piece in self._wire.exactly(int(length)):
                yield piece
        else:
            raise HttpError("the length is not a number")
        self.is_spent = self.headers.get("connection", "").lower() != "close"

    async def _chunk_size(self) -> int:
        match = _CHUNK_LINE.fullmatch(await self._wire.line())
        if match is None:
            raise HttpError("not a chunk")
        return int(match[1], 16)


def _place(url: str) -> URL:
    try:
        place = URL(url)
    except ValueError:
        raise ConnectError("not a URL") from None
    if place.scheme not in {"http", "https"} or not place.host or not place.port:
        raise ConnectError("not an HTTP URL")
    return place


def _request(method: str, place: URL, headers: Mapping[str, str], body: bytes | None) -> bytes:
    lines = {"Host": place.host_port_subcomponent, "Accept": "*/*", **headers}
    if body is not None:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {place.raw_path_qs} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")


async def _answer(wire: _Wire) -> Response:
    status, headers = await _head(wire)
    while status < 200:
        status, headers = await _head(wire)
    return Response(status, headers, wire)


async def _head(wire: _Wire) -> tuple[int, dict[str, str]]:
    match = _STATUS_LINE.fullmatch(await wire.line())
    if match is None:
        raise HttpError("not HTTP")
    headers: dict[str, str] = {}
    for _ in range(HEADERS_MAX):
        line = await wire.line()
        if not line:
            return int(match[1]), headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    raise HttpError("too many headers")


class _Wire:
    """A connection, read by lines and lengths; stalls and early ends are `HttpError`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silence_max_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self._silence_max_s = silence_max_s

    def is_open(self) -> bool:
        return not self._reader.at_eof() and not self._writer.is_closing()

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self.abort()
        with suppress(OSError):
            await self._writer.wait_closed()

    def send(self, request: bytes) -> None:
        """Without waiting: who refuses a body may answer and close before it has read it."""
        self._writer.write(request)

    async def some(self, limit: int = PIECE_BYTES) -> bytes:
        """What is there, or comes next; nothing at the end."""
        try:
            async with asyncio.timeout(self._silence_max_s):
                return await self._reader.read(limit)
        except OSError as error:
            raise HttpError(type(error).__name__) from None

    async def exactly(self, length: int) -> AsyncIterator[bytes]:
        """`length` bytes, piece by piece."""
        while length:
            piece = await self.some(min(length, PIECE_BYTES))
            if not piece:
                raise HttpError("ended early")
            length -= len(piece)
            yield piece

    async def line(self) -> bytes:
        """A line without its end."""
        try:
            async with asyncio.timeout(self._silence_max_s):
                return (await self._reader.readuntil(b"\r\n"))[:-2]
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            raise HttpError(type(error).__name__) from None

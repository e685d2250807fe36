"""HTTP/1.1 as commands need it: h11 says what the bytes mean, asyncio's streams carry them.

aiohttp's client takes longer to import than all else that a command does. What it has beyond this (cookies,
redirects, proxies, compression) no command uses.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Self

import h11
from yarl import URL

CONNECT_TIMEOUT_S: Final = 5.0
SILENCE_MAX_S: Final = 60.0
IDLE_MAX_S: Final = 5.0
"""A node ends a connection on which nothing is asked for 10 s. What is sent on one that is just being ended is lost,
and nobody could say of a transaction whether it was among it."""
PIECE_BYTES: Final = 1 << 16
HEAD_BYTES_MAX: Final = 1 << 14


class HttpError(Exception):
    """No answer, half an answer, or one that is not HTTP."""


class ConnectError(HttpError):
    """The connection could not be made: nothing was sent."""


class Session:
    """Connections that are kept for the next request to the same node, as long as commands make any."""

    def __init__(self, silence_max_s: float = SILENCE_MAX_S, idle_max_s: float = IDLE_MAX_S) -> None:
        """`silence_max_s`: how long the other side may say nothing; `idle_max_s`: how long a connection lies idle and
        is still used."""
        self._silence_max_s, self._idle_max_s = silence_max_s, idle_max_s
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
        try:
            wire.send(_request(method, place, headers or {}, body), body)
            yield await _answer(wire)
        finally:
            if wire.is_done():
                wire.idle_since = time.monotonic()
                self._idle.setdefault(place.origin(), []).append(wire)
            else:
                wire.abort()

    def _kept(self, origin: URL) -> _Wire | None:
        wires = self._idle.get(origin, [])
        while wires:
            if (wire := wires.pop()).is_open() and time.monotonic() - wire.idle_since <= self._idle_max_s:
                return wire
            wire.abort()
        return None

    async def _connect(self, place: URL) -> _Wire:
        secure = True if place.scheme == "https" else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                streams = await asyncio.open_connection(place.host, place.port, ssl=secure)
        except (OSError, ValueError) as error:  # a TimeoutError is an OSError; what is no host name, a ValueError
            raise ConnectError(type(error).__name__) from None
        return _Wire(*streams, self._silence_max_s)


class Response:
    """An answer whose body is still to be read; a connection whose answer was not read to its end is not kept."""

    def __init__(self, status: int, wire: _Wire) -> None:
        self.status = status
        self._wire = wire

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, at most `PIECE_BYTES` at a time. Errors: HttpError if it ends early or stalls."""
        while isinstance(event := await self._wire.event(), h11.Data):
            yield bytes(event.data)


def _place(url: str) -> URL:
    try:
        place = URL(url)
    except ValueError:
        raise ConnectError("not a URL") from None
    if place.scheme not in {"http", "https"} or not place.host or not place.port:
        raise ConnectError("not an HTTP URL")
    return place


def _request(method: str, place: URL, headers: Mapping[str, str], body: bytes | None) -> h11.Request:
    lines = {"Host": place.host_port_subcomponent or "", "Accept": "*/*", **headers}
    if body is not None:
        lines["Content-Length"] = str(len(body))
    return h11.Request(method=method, target=place.raw_path_qs, headers=list(lines.items()))


async def _answer(wire: _Wire) -> Response:
    while isinstance(event := await wire.event(), h11.InformationalResponse):
        pass
    if not isinstance(event, h11.Response):
        raise HttpError("ended early")
    return Response(event.status_code, wire)


class _Wire:
    """A connection and what was said on it; stalls, early ends and what is not HTTP are `HttpError`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silence_max_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self._silence_max_s = silence_max_s
        self.idle_since = 0.0
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)

    def is_open(self) -> bool:
        return not self._reader.at_eof() and not self._writer.is_closing()

    def is_done(self) -> bool:
        """Whether the exchange came to its end and the connection can carry another one."""
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self.abort()
        with suppress(OSError):
            await self._writer.wait_closed()

    def send(self, request: h11.Request, body: bytes | None) -> None:
        """Without waiting: who refuses a body may answer and close before it has read it."""
        if self.is_done():
            self._http.start_next_cycle()
        said = [request, *([] if body is None else [h11.Data(body)]), h11.EndOfMessage()]
        self._writer.write(b"".join([self._http.send(event) or b"" for event in said]))

    async def event(self) -> object:
        """What the other side says next."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                async with asyncio.timeout(self._silence_max_s):
                    self._http.receive_data(await self._reader.read(PIECE_BYTES))
        except (OSError, h11.RemoteProtocolError) as error:
            raise HttpError(type(error).__name__) from None
        return event

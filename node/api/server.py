"""Serving the API on a socket, with the deadlines and caps that aiohttp does not have.

aiohttp keeps a connection open for as long as somebody dribbles header bytes into it. Here every connection has one
deadline at any time: for the next request's headers, for the whole answer, or for the next piece of a stream to be
taken; whoever misses it is cut off. Connections are counted, in all and per address, before anything is read, until
both they and the work that they asked for have ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger

from chain.errors import InvariantError, KehuError
from node.api.context import CONTEXT
from node.api.limits import ApiLimits
from node.api.problems import (
    HTTP_CONNECTIONS,
    HTTP_MALFORMED,
    LOG,
    MEDIA_TYPE,
    NODE_FAULT,
    REQUEST_ID,
    REQUEST_ID_HEADER,
    http_problem,
    marks,
    new_request_id,
    problem_of,
    problem_response,
    whence,
)

ACCESS_LOG: Final = logging.getLogger("kehu.api.access")
_NEVER_S: Final = 86_400.0
"""For aiohttp's own timer, so that there is one deadline and not two."""
_LINGER_S: Final = 1.0
"""How long an unread body is drained, so that the client sees the refusal rather than a reset."""
_ONCE_MORE_S: Final = 0.05


class Gate:
    """Counts open connections, in all and per address."""

    def __init__(self, limits: ApiLimits) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """False if there is no place; otherwise `leave` must follow."""
        limits = self._limits
        if self._open.total() >= limits.connections_max or self._open[address] >= limits.connections_per_address_max:
            return False
        self._open[address] += 1
        return True

    def leave(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]


class GuardedHandler(web.RequestHandler):
    """aiohttp's connection handler with a gate before it and a deadline over it."""

    def __init__(self, server: web.Server, gate: Gate, limits: ApiLimits, **options: Any) -> None:
        super().__init__(server, **options)
        self._gate = gate
        self._limits = limits
        self._address: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_malformed = False
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if not self._gate.enter(address):
            _turn_away(transport, self._limits.retry_after_s)
            return
        self._address = address
        super().connection_made(transport)
        self.allow(self._limits.header_s)

    def data_received(self, data: bytes) -> None:
        if self._address is not None:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._address is None:
            return
        work, leave = self._task_handler, partial(self._gate.leave, self._address)
        self._gone.set()
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)
        # What was asked for goes on though nobody is there to hear of it: whoever asks and goes away, again and again,
        # has no more work in hand than whoever stays.
        if work is None or work.done():
            leave()
        else:
            work.add_done_callback(lambda _: leave())

    def allow(self, seconds: float) -> None:
        """Sets the connection's deadline to `seconds` from now."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._look_once_more)

    def _look_once_more(self) -> None:
        """Where the loop was held up, a request that came in time may still be unread: it is, before the end."""
        self._deadline = asyncio.get_running_loop().call_later(_ONCE_MORE_S, self._cut)

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends the answer, then gives the next request's headers their time."""
        if isinstance(request, web.Request) and isinstance(resp, web.HTTPException):
            resp = _unquoted(request, resp)
        finished = await super().finish_response(request, resp, start_time)
        self.allow(self._limits.header_s)
        if self._is_malformed:
            await self._linger()
        return finished

    async def _linger(self) -> None:
        """Closing over bytes that nobody read resets the connection, and the client would lose the refusal."""
        if self.transport is not None and self.transport.can_write_eof():
            self.transport.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_S):
                    await self._gone.wait()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - quotes what was sent
    ) -> web.StreamResponse:
        """What never became a request: aiohttp would answer with a text that quotes it."""
        if request.writer.output_size > 0:
            raise ConnectionResetError
        self._is_malformed = True
        if status >= 500 and exc is not None:
            LOG.error("a connection failed: %s", whence(exc))
        request_id = request.get(REQUEST_ID) or new_request_id()
        response = problem_response(KehuError(HTTP_MALFORMED if status < 500 else NODE_FAULT), request_id)
        response.headers.update(marks(request_id))
        response.force_close()
        return response

    def log_exception(self, *_args: Any, **options: Any) -> None:
        """The place in the source, not the message, which may quote the request."""
        error = options.get("exc_info")
        LOG.error("a connection failed: %s", whence(error) if isinstance(error, BaseException) else "unknown")


def _unquoted(request: web.Request, refusal: web.HTTPException) -> web.StreamResponse:
    """What aiohttp refuses before the application hears of it, an expectation at a path that is none: it would answer
    with a text that quotes it, where the path is the matter."""
    request_id = request[REQUEST_ID] = new_request_id()
    error = request.match_info.http_exception or refusal
    response = problem_response(http_problem(error), request_id)
    if hdrs.ALLOW in error.headers:
        response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return response


def _turn_away(transport: asyncio.BaseTransport, retry_after_s: int) -> None:
    request_id = new_request_id()
    body = json.dumps({**problem_of(KehuError(HTTP_CONNECTIONS)), "request": request_id}).encode()
    headers = {
        "Connection": "close",
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Retry-After": str(retry_after_s),
        **marks(request_id),
    }
    if isinstance(transport, asyncio.Transport):
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        transport.write(f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode() + body)
        transport.close()
        ACCESS_LOG.info("%s other unmatched 503 0 ms", request_id)


class AccessLog(AbstractAccessLogger):
    """One line per request: its id, method, route, status, duration. No path as sent, no query, no body, no person."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        # What could not be parsed was never routed, and aiohttp's match_info refuses to be asked then.
        is_routed = isinstance(request, web.Request) and REQUEST_ID in request
        resource = cast(web.Request, request).match_info.route.resource if is_routed else None
        path = resource.canonical if resource is not None else "unmatched"
        method = request.method if request.method in hdrs.METH_ALL else "other"
        self.logger.info(
            "%s %s %s %d %d ms",
            response.headers.get(REQUEST_ID_HEADER, "-"),
            method,
            path,
            response.status,
            round(time * 1000),
        )


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A serving API; `port` is the one really bound."""

    port: int
    _runner: web.AppRunner
    _listening: asyncio.Server

    async def close(self, timeout_s: float = 5.0) -> None:
        """Takes no new connections, ends streams, and lets running requests finish for at most `timeout_s`."""
        self._listening.close()
        try:
            async with asyncio.timeout(timeout_s):
                await self._runner.cleanup()
        except TimeoutError:
            LOG.warning("requests were still running after %d ms and were cut off", round(timeout_s * 1000))


async def serve(app: web.Application, host: str, port: int, shutdown_s: float = 2.0) -> ApiServer:
    """Serves an application made by `make_app`. Returns once the socket listens. Errors: OSError of the socket.

    Waits for the end of the second in which the application was made: signatures say whole seconds, and those of an
    earlier process are told from later ones by them (see `authentication`).
    """
    context = app[CONTEXT]
    await asyncio.sleep((-context.authenticator.started_ms % 1000) / 1000)
    return await listen(app, host, port, context.limits, shutdown_s)


async def listen(app: web.Application, host: str, port: int, limits: ApiLimits, shutdown_s: float = 2.0) -> ApiServer:
    """Any application behind gate and deadlines. Returns once the socket listens. Errors: OSError of the socket."""
    runner, make_handler = await prepare(app, limits, shutdown_s)
    listening = await asyncio.get_running_loop().create_server(make_handler, host, port, reuse_address=True)
    return ApiServer(listening.sockets[0].getsockname()[1], runner, listening)


async def prepare(
    app: web.Application, limits: ApiLimits, shutdown_s: float = 2.0
) -> tuple[web.AppRunner, Callable[[], GuardedHandler]]:
    """The application set up, and what makes a handler for each connection; all of them share one gate."""
    runner = web.AppRunner(app, access_log_class=AccessLog, shutdown_timeout=shutdown_s)
    await runner.setup()
    server = runner.server
    if server is None:
        raise InvariantError("a runner that was set up has no server")
    gate, loop = Gate(limits), asyncio.get_running_loop()

    def make_handler() -> GuardedHandler:
        return GuardedHandler(
            server,
            gate,
            limits,
            loop=loop,
            keepalive_timeout=_NEVER_S,
            access_log=ACCESS_LOG,
            access_log_class=AccessLog,
            logger=LOG,
            lingering_time=_LINGER_S,
            auto_decompress=False,
            max_line_size=limits.header_line_bytes_max,
            max_field_size=limits.header_line_bytes_max,
            max_headers=limits.headers_max,
        )

    return runner, make_handler

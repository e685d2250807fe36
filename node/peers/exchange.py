"""Requests and responses on one link, for catch-up and the vault.

request   [id, kind, payload]      id is the asking side's, kind a name both sides know
response  [id, code, payload]      code "ok", or the error code that says why there is no payload

Both directions are bounded: at most `asked_max` requests wait for this peer at once (more wait their turn inside their
own timeout), and at most `served_max` of its requests are worked on; beyond that it is told `peer.busy`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from chain import codec
from chain.errors import InvariantError, KehuError, define
from node.peers.frames import PAYLOAD_BYTES_MAX, Kind
from node.peers.outbox import Outbox
from node.peers.transport import PEER_TIMEOUT
from node.storage.durable import StorageFailure

log = logging.getLogger("kehu.peers")

PEER_REQUEST_REFUSED = define(
    "peer.request_refused",
    "the other node answered a request with an error",
    "see `reason`, an error code of the other node",
)
PEER_BUSY = define(
    "peer.busy", "this node already works on as many requests of that peer as it may", "ask again, or ask another node"
)
PEER_REQUEST_UNKNOWN = define(
    "peer.request_unknown", "this node does not serve requests of this kind", "run matching versions on both sides"
)
PEER_HANDLER_FAILED = define("peer.handler_failed", "the node failed while answering a request", "see that node's log")
PEER_DISCONNECTED = define(
    "peer.disconnected", "there is no link to this department, or it broke", "ask another node, or again later"
)

Handler = Callable[[str, bytes], Awaitable[bytes]]
"""(asking department, payload) -> payload of the response; a `KehuError` becomes an error response."""

_CODE_LENGTH_MAX: Final = 64


class Exchange:
    """Both directions of one link. Ends with it: open requests fail, handlers are cancelled."""

    def __init__(
        self,
        department: str,
        outbox: Outbox,
        handlers: Mapping[str, Handler],
        *,
        asked_max: int,
        served_max: int,
        handler_s: float,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._department, self._outbox, self._handlers = department, outbox, handlers
        self._served_max, self._handler_s, self._on_fatal = served_max, handler_s, on_fatal
        self._slots = asyncio.Semaphore(asked_max)
        self._waiting: dict[int, asyncio.Future[tuple[str, bytes]]] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._last_id = 0
        self._is_closed = False

    async def request(self, kind: str, payload: bytes, timeout_s: float) -> bytes:
        """The response's payload. Raises `peer.timeout`, `peer.disconnected` or `peer.request_refused`."""
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                code, answer = await self._ask(kind, payload)
        except TimeoutError:
            raise KehuError(PEER_TIMEOUT, department=self._department, kind=kind) from None
        if code != "ok":
            raise KehuError(PEER_REQUEST_REFUSED, department=self._department, kind=kind, reason=code)
        return answer

    async def _ask(self, kind: str, payload: bytes) -> tuple[str, bytes]:
        if self._is_closed:
            raise KehuError(PEER_DISCONNECTED, department=self._department)
        self._last_id += 1
        number = self._last_id
        future: asyncio.Future[tuple[str, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            await self._outbox.put(Kind.REQUEST, codec.encode_flat([number, kind, payload]))
            return await future
        finally:
            del self._waiting[number]

    def on_response(self, frame: bytes) -> None:
        """A response nobody waits for any more is let go. Raises `codec.*` for one that is none."""
        value = codec.decode(frame, PAYLOAD_BYTES_MAX[Kind.RESPONSE], elements_max=8)
        number, code, payload = codec.fields(value, "response", codec.is_uint, _is_code, codec.is_bytes)
        future = self._waiting.get(number)
        if future is not None and not future.done():
            future.set_result((code, payload))

    def on_request(self, frame: bytes) -> bool:
        """Starts the work and returns; False: it is too much at once, and the peer is told so. Raises `codec.*` for a
        frame that is no request."""
        value = codec.decode(frame, PAYLOAD_BYTES_MAX[Kind.REQUEST], elements_max=8)
        number, kind, payload = codec.fields(value, "request", codec.is_uint, _is_code, codec.is_bytes)
        if len(self._serving) >= self._served_max:
            self._outbox.offer(Kind.RESPONSE, codec.encode_flat([number, PEER_BUSY.code, b""]))
            return False
        task = asyncio.create_task(self._serve(number, kind, payload), name=f"serve {kind}")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return True

    async def _serve(self, number: int, kind: str, payload: bytes) -> None:
        code, answer = await self._answer(kind, payload)
        response = codec.encode_flat([number, code, answer])
        if len(response) > PAYLOAD_BYTES_MAX[Kind.RESPONSE]:
            log.error("the answer to a %s request is too large: %d bytes", kind, len(response))
            response = codec.encode_flat([number, PEER_HANDLER_FAILED.code, b""])
        await self._outbox.put(Kind.RESPONSE, response)

    async def _answer(self, kind: str, payload: bytes) -> tuple[str, bytes]:
        handler = self._handlers.get(kind)
        if handler is None:
            return PEER_REQUEST_UNKNOWN.code, b""
        try:
            async with asyncio.timeout(self._handler_s):
                return "ok", await handler(self._department, payload)
        except (StorageFailure, InvariantError) as error:
            self._on_fatal(error)
            return PEER_HANDLER_FAILED.code, b""
        except KehuError as error:
            return error.code, b""
        except TimeoutError:
            return PEER_TIMEOUT.code, b""
        except Exception as error:  # a peer's request must not end the link; the text may quote values
            log.error("a %s request failed: %s", kind, type(error).__name__)  # noqa: TRY400
            return PEER_HANDLER_FAILED.code, b""

    async def close(self) -> None:
        self._is_closed = True
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(KehuError(PEER_DISCONNECTED, department=self._department))
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


def _is_code(value: codec.Value) -> bool:
    return codec.is_text(value) and 1 <= len(value) <= _CODE_LENGTH_MAX

"""Accepting peers without being filled up by strangers.

A stranger can hold one of `pending_max` places for at most the deadline. When all are taken the oldest goes, not the
newest: an honest greeting takes milliseconds, so whoever has waited longest is the least likely to be a peer, and
thousands of idle connections can't keep a department out. Established links are not counted here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable

from chain.errors import KehuError, define
from node.peers.transport import (
    PEER_DIRECTION,
    Identity,
    Link,
    PeerTable,
    as_peer_error,
    authenticate_dialler,
    close_stream,
)

log = logging.getLogger("kehu.peers")

PEER_CROWDED_OUT = define(
    "peer.crowded_out",
    "too many connections waited to be authenticated, and this one had waited longest",
    "nothing, if it stays rare; else look where the connections come from and close the port to them",
)
_RETRY_S = 0.1


class Listener:
    """Accepts, authenticates and hands over links. `refused` counts failures by code. `on_knock` hears of members that
    dial the wrong way: they are there, and wait to be dialled."""

    def __init__(
        self,
        identity: Identity,
        peers: PeerTable,
        on_link: Callable[[Link], None],
        *,
        on_knock: Callable[[str], None] = lambda _: None,
        deadline_s: float = 5.0,
        pending_max: int = 64,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self.refused_departments: dict[str, str] = {}
        """The code with which somebody who claimed to be that member was refused last."""
        self._identity, self._peers, self._on_link, self._on_knock = identity, peers, on_link, on_knock
        self._deadline_s, self._pending_max = deadline_s, pending_max
        self._pending: dict[asyncio.Task[None], None] = {}  # in order of arrival
        self._evicted: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None

    @property
    def pending(self) -> int:
        """Connections that are not authenticated yet."""
        return len(self._pending)

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port (useful when 0 was asked for)."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=256)
        listener.setblocking(False)
        self._socket = listener
        self._listen(listener)
        bound: int = listener.getsockname()[1]
        return bound

    async def close(self) -> None:
        listener, self._socket = self._socket, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
        if self._retry is not None:
            self._retry.cancel()
        await asyncio.sleep(0)  # every greeting has begun and owns its socket
        tasks = [*self._pending, *self._evicted]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if listener is not None:
            listener.close()

    def _listen(self, listener: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """One connection in each turn of the loop: a burst must neither hold it up nor evict what has not begun. From
        here to its greeting nothing waits, so no connection is lost between the two when the node stops."""
        loop = asyncio.get_running_loop()
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:  # out of descriptors
            loop.remove_reader(listener)
            self._retry = loop.call_later(_RETRY_S, self._listen, listener)
            return
        connection.setblocking(False)
        task = loop.create_task(self._greet(connection), name="greet peer")
        self._pending[task] = None
        task.add_done_callback(self._forget)
        if len(self._pending) > self._pending_max:
            self._evict_oldest()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._pending.pop(task, None)
        self._evicted.discard(task)

    def _evict_oldest(self) -> None:
        oldest = next(iter(self._pending))
        del self._pending[oldest]
        self._evicted.add(oldest)
        oldest.cancel()
        self.refused[PEER_CROWDED_OUT.code] += 1

    async def _greet(self, connection: socket.socket) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        writer = None
        try:
            # asyncio does so for connections that it accepts or makes itself. Without it a frame that follows another
            # one waits until that is acknowledged, which the other side's kernel puts off by up to 40 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self._deadline_s):
                transport, _ = await loop.connect_accepted_socket(
                    lambda: protocol,
                    connection,
                    ssl=self._identity.server_tls,
                    ssl_handshake_timeout=self._deadline_s,
                    ssl_shutdown_timeout=1,
                )
                writer = asyncio.StreamWriter(transport, protocol, reader, loop)
                link = await authenticate_dialler(self._identity, self._peers, reader, writer)
        except (KehuError, OSError, EOFError, TimeoutError) as error:
            self._note_refusal(error)
            if writer is not None:
                await close_stream(writer)  # lets the refusal out
        except asyncio.CancelledError:
            if writer is not None:
                writer.transport.abort()
            raise
        else:
            self._on_link(link)

    def _note_refusal(self, error: Exception) -> None:
        reason = as_peer_error(error)
        code = reason.code if isinstance(reason, KehuError) else type(reason).__name__
        self.refused[code] += 1
        department = reason.details.get("department") if isinstance(reason, KehuError) else None
        if isinstance(department, str) and department in self._peers():
            if code == PEER_DIRECTION.code:
                self._on_knock(department)
            else:
                self.refused_departments[department] = code
        log.info("refused a peer connection: %s", reason)

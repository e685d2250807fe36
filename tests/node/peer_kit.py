"""Departments, keys and networks for the peer tests: real sockets on the loopback, real TLS."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from chain import codec
from chain.crypto import SigningKey, digest
from node.peers.connection import PeerSettings
from node.peers.frames import HEADER, Kind, read_frame
from node.peers.network import PeerNetwork
from node.peers.tls import client_context
from node.peers.transport import Identity, Peer

CHAIN = digest("genesis", b"peer tests")
HOST = "127.0.0.1"
ANY = frozenset(Kind)
PATIENCE_S = 20.0
"""How long a test waits for what must happen; never how long it waits for nothing to happen."""

FAST = PeerSettings(
    greeting_s=5.0, heartbeat_s=0.05, silence_s=5.0, backoff_first_s=0.01, backoff_max_s=0.05, settled_s=60.0
)


def key_of(name: str) -> SigningKey:
    return SigningKey(digest("test key", name.encode()))


def identity_of(name: str, key: SigningKey | None = None, chain_id: bytes = CHAIN) -> Identity:
    return Identity(name, key or key_of(name), chain_id)


async def until(condition: Callable[[], object]) -> None:
    """Yields to the loop until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the conditions are many and have no event of their own
            await asyncio.sleep(0.002)


class HeldUp:
    """Stands for what answers requests for blocks in a thread: gives each back, but one for height 0 not before
    `may_end`. `begun`: the heights that were asked for."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.may_end = threading.Event()

    def __call__(self, _blocks: object, _height: int, request: bytes) -> bytes:
        self.begun.append(codec.decode(request, 64)[0])
        if self.begun[-1] == 0:
            self.may_end.wait()
        return request


class Node:
    """One department's network and what it received."""

    def __init__(self, name: str, table: dict[str, Peer], settings: PeerSettings = FAST) -> None:
        self.name = name
        self.messages: list[tuple[str, Kind, bytes]] = []
        self.changes: list[str] = []
        self.network = PeerNetwork(
            identity_of(name),
            lambda: table,
            lambda department, kind, payload: self.messages.append((department, kind, payload)),
            on_connected=lambda department: self.changes.append(f"+{department}"),
            on_disconnected=lambda department: self.changes.append(f"-{department}"),
            settings=settings,
            jitter=lambda: 0.5,
        )
        self.table = table

    async def start(self, port: int = 0) -> None:
        bound = await self.network.start(HOST, port)
        self.table[self.name] = Peer(key_of(self.name).public, HOST, bound)

    @property
    def port(self) -> int:
        return self.table[self.name].port


@asynccontextmanager
async def running(*names: str, settings: PeerSettings = FAST) -> AsyncIterator[dict[str, Node]]:
    """A network of these departments, fully connected."""
    table = {name: Peer(key_of(name).public, HOST, 1) for name in names}
    nodes = {name: Node(name, table, settings) for name in names}
    try:
        for name in sorted(names, reverse=True):  # listeners first, so that nobody has to back off
            await nodes[name].start()
        await until(lambda: all(len(node.network.connected) == len(names) - 1 for node in nodes.values()))
        yield nodes
    finally:
        await asyncio.gather(*(node.network.close() for node in nodes.values()))


class Stranger:
    """A raw TLS connection to a node's peer port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Stranger:
        return cls(*await asyncio.open_connection(HOST, port, ssl=client_context(), server_hostname=""))

    async def receive(self) -> tuple[Kind, bytes]:
        async with asyncio.timeout(PATIENCE_S):
            return await read_frame(self.reader, ANY)

    def send(self, kind: int, payload: bytes, length: int | None = None) -> None:
        self.writer.write(HEADER.pack(len(payload) if length is None else length, kind) + payload)

    async def is_dropped(self) -> bool:
        """Waits for the end of the stream; what still comes before is read and forgotten."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while await self.reader.read(1 << 16):
                    pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        finally:
            self.writer.transport.abort()
        return True

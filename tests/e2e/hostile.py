"""A department that has its key and means ill: it is let in by the others' nodes as itself, and misbehaves there."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

from chain import codec
from chain.certificate import sign_vote
from chain.crypto import SigningKey
from chain.errors import KehuError
from consensus.messages import Message, PrePrepare, ProposalRequest, Status, ViewChange, VoteMessage
from node.folder.config import Home, split_address
from node.keys.files import load_key
from node.peers.frames import HEADER, LINKED, PAYLOAD_BYTES_MAX, Kind
from node.peers.transport import Identity, Link, Peer, dial
from node.replica.catch_up import REQUEST_KIND
from tests.e2e.cluster import Cluster

GREETING_S: Final = 10.0
VIEWS_FROM: Final = 100
"""The honest node with this key never gets so far: nothing that is signed here contradicts what it will sign."""
VIEWS: Final = (VIEWS_FROM, 1 << 12, 1 << 16, 1 << 31, 1 << 60)
HEIGHTS_BEYOND: Final = (2, 3, 4, 1_000, 1 << 40)
JUNK_BYTES: Final = 1 << 16
ENDED_S: Final = 0.2
"""How long the victim may take to end a link before this side does."""

Attack = Callable[["Hostile", Link], Coroutine[Any, Any, None]]


class Hostile:
    """Dials as `department`, whose real node must be down. `height`: the chain's when it began."""

    def __init__(self, cluster: Cluster, department: str, height: int) -> None:
        home = Home(cluster.home(department))
        passphrase = (home.path / "secrets" / "passphrase").read_text(encoding="ascii").strip()
        self.department, self.height, self.rng = department, height, random.Random(height)
        self.key: SigningKey = load_key(home.node_key, passphrase)
        self.chain_id = cluster.genesis.chain_id
        self.links = self.answers = 0
        self._cluster = cluster
        self._identity = Identity(department, self.key, self.chain_id)

    @contextlib.asynccontextmanager
    async def link(self, victim: str) -> AsyncIterator[Link]:
        host, port = split_address(str(self._cluster.genesis.addresses[victim]))
        validators = self._cluster.genesis.validators
        link = await dial(self._identity, victim, Peer(validators.key_of(victim), host, port), GREETING_S)
        self.links += 1
        try:
            yield link
        finally:
            await link.close(goodbye=False)

    async def attack(self, victim: str, attack: Attack, seconds: float) -> None:
        """Again and again for so long, each time over a new link; a node may end the link whenever it likes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(OSError, EOFError, KehuError):
                        async with self.link(victim) as link:
                            await attack(self, link)

    def of_the_future(self) -> Message:
        """Well signed, of heights and views that nobody is at."""
        rng, height = self.rng, self.height + self.rng.choice(HEIGHTS_BEYOND)
        view, block_id, common = (
            rng.choice(VIEWS) + rng.randrange(1 << 16),
            rng.randbytes(32),
            (self.key, self.chain_id),
        )
        match rng.randrange(5):
            case 0:
                return PrePrepare.signed(*common, 0, height, view, block_id, self.department, b"flood", None)
            case 1:
                return ViewChange.signed(*common, 0, height, view, None, self.department)
            case 2:
                return Status(height, view, True, False, True, None)
            case 3:
                return ProposalRequest(height, block_id)
            case _:
                return VoteMessage(sign_vote(*common, "prepare", 0, height, view, block_id, self.department))


async def send(link: Link, kind: Kind, payload: bytes) -> None:
    await link.send((kind, payload))
    await asyncio.sleep(0)  # a socket with room makes nobody wait: let the writers of the test have their turn


async def flood_the_future(hostile: Hostile, link: Link) -> None:
    """Thousands of messages, and bytes beyond any share."""
    messages = [hostile.of_the_future().to_bytes() for _ in range(500)]
    junk = secrets.token_bytes(JUNK_BYTES)
    while True:
        for message in messages:
            await send(link, Kind.CONSENSUS, message)
        for _ in range(100):
            await send(link, Kind.CONSENSUS, junk)
            await send(link, Kind.GOSSIP, junk)
            await send(link, Kind.PING, b"")


async def ask_for_everything(_hostile: Hostile, link: Link) -> None:
    """Every block, from 0 for 2^32, again and again, and no answer is taken from the socket."""
    wanted = codec.encode_flat([0, 1 << 32])
    number = 0
    while True:
        number += 1
        await send(link, Kind.REQUEST, codec.encode_flat([number, REQUEST_KIND, wanted]))


async def take_everything(hostile: Hostile, link: Link) -> None:
    """The same, and all answers are taken, so that there is always room for more."""
    asking = asyncio.create_task(ask_for_everything(hostile, link))
    try:
        while True:
            kind, _ = await link.receive()
            hostile.answers += kind is Kind.RESPONSE
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def send_bad_frames(hostile: Hostile, link: Link) -> None:
    """One frame that is none: too long, of no kind, a greeting, cut short, or with nothing in it."""
    kind = hostile.rng.choice(sorted(LINKED - {Kind.GOODBYE}))
    length = PAYLOAD_BYTES_MAX[kind]
    sent = hostile.rng.choice(
        (
            HEADER.pack(length + 1, kind) + bytes(JUNK_BYTES),
            HEADER.pack((1 << 32) - 1, kind) + bytes(JUNK_BYTES),
            HEADER.pack(8, 99) + bytes(8),
            HEADER.pack(512, Kind.HELLO) + bytes(512),
            HEADER.pack(length, kind) + bytes(min(length, JUNK_BYTES) // 2),
            HEADER.pack(0, kind) * 1_000,
            HEADER.pack(8, kind)[:3],
        )
    )
    link._writer.write(sent)
    await link._writer.drain()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDED_S):
            while await link._reader.read(JUNK_BYTES):
                pass

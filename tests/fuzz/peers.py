"""What another department's node, or somebody who is none, can send to the peer port; every request handler."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from chain import codec
from chain.crypto import SigningKey, digest
from chain.errors import KehuError
from chain.store import MemoryStore
from chain.transaction import Call, Transaction
from node.peers.exchange import PEER_HANDLER_FAILED, Exchange, Handler
from node.peers.frames import HEADER, LINKED, Kind, read_frame
from node.peers.outbox import LANE_LIMITS, Outbox
from node.peers.transport import Identity, Peer, authenticate_dialler
from node.replica.catch_up import REQUEST_KIND, answer_request, decode_response
from node.snapshot.offers import OFFERS_KIND, PIECE_KIND, SnapshotOffers
from node.snapshot.past import PAST_KIND, answer_past
from node.vault.exchange import STAGE
from node.vault.release import FETCH, HELD, decode_answers, encode_wanted
from node.vault.values import VaultValue, encode_values
from node.why.standing import read_standing
from tests.fuzz.files import MEMORY
from tests.fuzz.mutation import Mutator, change_bytes
from tests.fuzz.target import ACCEPTED, Draw, Finding, Take, Target, reader
from tests.fuzz.wire import drawing, story
from tests.node.vault_network import Network, VaultNode

CHAIN_ID = digest("genesis", b"fuzzed peers")
NONCE = bytes(range(32))
OWN, OTHER = SigningKey(digest("test key", b"sales")), SigningKey(digest("test key", b"finance"))
PEERS = {"finance": Peer(OTHER.public, "127.0.0.1", 1), "sales": Peer(OWN.public, "127.0.0.1", 1)}


class Wire(asyncio.Transport):
    """A transport that goes nowhere and keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""


def ended_stream(data: bytes) -> asyncio.StreamReader:
    reader_ = asyncio.StreamReader()
    reader_.feed_data(data)
    reader_.feed_eof()
    return reader_


@contextmanager
def in_loop(take: Callable[[bytes], Awaitable[str | None]]) -> Iterator[Take]:
    loop = asyncio.new_event_loop()
    try:
        yield lambda data: loop.run_until_complete(take(data))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


# The handshake: a dialler that holds a member's key says anything.


def _hellos() -> Draw:
    identity = Identity("finance", OTHER, CHAIN_ID)
    mutator = Mutator([identity.hello("sales", OWN.public, NONCE), codec.encode_flat(["peer.version"])])

    def draw(rng: Random) -> bytes:
        hello = mutator.draw(rng)
        frame = HEADER.pack(len(hello), rng.choice((Kind.HELLO, Kind.HELLO, Kind.HELLO, Kind.REFUSAL, 77))) + hello
        return change_bytes(rng, frame) if rng.random() < 0.2 else frame

    return draw


@contextmanager
def _handshake() -> Iterator[Take]:
    identity = Identity("sales", OWN, CHAIN_ID)

    async def take(data: bytes) -> str:
        wire, stream = Wire(), ended_stream(data)
        writer = asyncio.StreamWriter(wire, asyncio.StreamReaderProtocol(stream), stream, asyncio.get_running_loop())
        try:
            link = await authenticate_dialler(identity, lambda: PEERS, stream, writer, lambda: NONCE)
        except asyncio.IncompleteReadError:
            return "ends early"
        finally:
            writer.close()
        if link.department != "finance":
            raise Finding("somebody else was let in")
        return ACCEPTED

    with in_loop(take) as taker:
        yield taker


# Frames of an authenticated peer, to an exchange with real handlers.


def _requests(payloads: Mapping[str, list[bytes]]) -> Draw:
    """A stream of one to three frames; most are requests whose payloads are almost right."""
    mutators = {kind: Mutator(seeds) for kind, seeds in payloads.items()}
    names = sorted(payloads)

    def draw_one(rng: Random) -> bytes:
        kind = rng.choice(names)
        payload = mutators[kind].draw(rng)
        frame = codec.encode_flat([rng.choice((0, 1, 7, 2**64 - 1)), kind, payload])
        if rng.random() < 0.15:
            frame = change_bytes(rng, frame)
        number = Kind.REQUEST if rng.random() < 0.85 else rng.choice((*Kind, 0, 99))
        length = len(frame) if rng.random() < 0.97 else rng.choice((0, 1, 2**24, 2**32 - 1, len(frame) + 1))
        return HEADER.pack(length, number) + frame

    return lambda rng: b"".join(draw_one(rng) for _ in range(rng.choice((1, 1, 1, 2, 3))))


@contextmanager
def _frames(make: Callable[[], Awaitable[Mapping[str, Handler]]], clean: Callable[[], None]) -> Iterator[Take]:
    handlers: dict[str, Handler] = {}

    async def take(data: bytes) -> str:
        fatal: list[BaseException] = []
        if not handlers:
            handlers.update(await make())
        outbox = Outbox(LANE_LIMITS, Counter())
        exchange = Exchange(
            "finance", outbox, handlers, asked_max=4, served_max=16, handler_s=30, on_fatal=fatal.append
        )
        stream = ended_stream(data)
        try:
            outcome = await _serve(stream, exchange, outbox)
        finally:
            await exchange.close()
        if fatal:
            raise Finding(f"a request stops the node: {fatal[0]!r}") from fatal[0]
        return outcome

    try:
        with in_loop(take) as taker:
            yield taker
    finally:
        clean()


async def _serve(stream: asyncio.StreamReader, exchange: Exchange, outbox: Outbox) -> str:
    """Each request is answered before the next is read: how long threads take is no part of the outcome."""
    codes: list[str] = []
    try:
        while True:
            kind, payload = await read_frame(stream, LINKED)
            if kind is Kind.REQUEST:
                exchange.on_request(payload)
                async with asyncio.timeout(20):
                    _, answer = await outbox.take()
                codes.append(codec.decode(answer, 1 << 25)[1])
            elif kind is Kind.RESPONSE:
                exchange.on_response(payload)
    except asyncio.IncompleteReadError:
        codes += [] if codes else ["ends early"]
    except KehuError as error:
        codes.append(error.code)
    if PEER_HANDLER_FAILED.code in codes:
        raise Finding("a handler failed with something that is no KehuError")
    return next((code for code in reversed(codes) if code), ACCEPTED)


async def _chain_handlers() -> dict[str, Handler]:
    chain = story()
    offers = SnapshotOffers(chain.ledger, chain.blocks, 1, asyncio.get_running_loop().time)
    offers._add()

    async def blocks(_department: str, request: bytes) -> bytes:
        return answer_request(chain.blocks, chain.ledger.height, request)

    async def past(_department: str, request: bytes) -> bytes:
        return answer_past(chain.blocks, chain.ledger.height, request)

    return {
        REQUEST_KIND: blocks,
        PAST_KIND: past,
        OFFERS_KIND: offers.answer_offers,
        PIECE_KIND: offers.answer_piece,
    }


CHAIN_REQUESTS = {
    REQUEST_KIND: [codec.encode([1, 500]), codec.encode([0, 2**32]), codec.encode([3, 1])],
    PAST_KIND: [codec.encode([4, 0]), codec.encode([2**63, 0])],
    OFFERS_KIND: [codec.encode([]), codec.encode([1])],
    PIECE_KIND: [codec.encode([4, b""]), codec.encode([4, b"\x03"]), codec.encode([4, b"\x03\x04\x05\x06"])],
}


class _Vaults:
    """The node of sales with a customer's values; finance asks. What is staged stays staged, releases are committed."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.network: Network | None = None

    async def handlers(self) -> dict[str, Handler]:
        self.network = Network(self.folder)
        node = VaultNode(self.network, "sales", self.folder / "sales", MemoryStore(), self.network.timing)
        self.network.nodes["sales"] = node
        transaction, values = _registration(self.network)
        node.vault.stage(transaction.id, values, transaction.expires_height, "sales")
        await self.network.append([transaction], "sales")
        return node.links.handlers

    def clean(self) -> None:
        for node in self.network.nodes.values() if self.network is not None else ():
            node.vault.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _registration(network: Network) -> tuple[Transaction, list[VaultValue]]:
    """A temporary customer of finance's and sales'."""
    values = [network.value("c1", name, text) for name, text in (("name", "张三"), ("phone", "+8613800138000"))]
    arguments = {"customer": "c1", "fields": network.digests(*values), "attestation": None, "temporary": True}
    return network.transaction("li", Call("customers.register", arguments)), values


def _vault_requests() -> dict[str, list[bytes]]:
    network = Network(Path("never-made"))
    transaction, values = _registration(network)
    again, _ = network.registration("c2", "qian")
    wanted = encode_wanted([(value.id, value.digest(network.chain_id)) for value in values])
    staged = codec.encode([[one.raw, encode_values(values)] for one in (transaction, again)])
    return {FETCH: [wanted], HELD: [wanted, codec.encode([])], STAGE: [staged]}


def _as_hello(bomb: bytes) -> bytes:
    return HEADER.pack(len(bomb), Kind.HELLO) + bomb


def _asking(payloads: Mapping[str, list[bytes]]) -> tuple[Callable[[bytes], bytes], ...]:
    """A large input as a frame of each kind, and as the payload of a request of each kind."""

    def frame(kind: Kind) -> Callable[[bytes], bytes]:
        return lambda bomb: HEADER.pack(len(bomb), kind) + bomb

    def request(name: str) -> Callable[[bytes], bytes]:
        return lambda bomb: frame(Kind.REQUEST)(codec.encode_flat([1, name, bomb]))

    return (frame(Kind.REQUEST), frame(Kind.RESPONSE), *(request(name) for name in sorted(payloads)))


def peer_targets() -> list[Target]:
    def vaults() -> Any:
        made = _Vaults()
        return _frames(made.handlers, made.clean)

    requests = _vault_requests()
    value = VaultValue("customers", "c1", "name", bytes(32), "张三")
    answers = codec.encode([["ok", value.to_value()], ["vault.missing", None]])
    pair = codec.encode([[story().blocks.block_bytes(1), b"\x90"]])
    standing = codec.encode([2, 1_700_000_000_000, 4, 0, True, False, "ok", 1, 2])
    return [
        Target("handshake", _hellos(), _handshake, 10, (_as_hello,)),
        Target("requests for the chain", _requests(CHAIN_REQUESTS), lambda: _frames(_chain_handlers, lambda: None), 10,
               _asking(CHAIN_REQUESTS)),
        Target("requests to the vault", _requests(requests), vaults, 12, _asking(requests)),
        Target("vault value", drawing(codec.encode(value.to_value())),
               reader(lambda data: VaultValue.from_value(codec.decode(data, 1 << 20))), 5),
        Target("vault answers", drawing(answers), reader(lambda data: decode_answers(data, 2)), 5),
        Target("blocks answer", drawing(pair), reader(decode_response), 5),
        Target("standing", drawing(standing), reader(lambda data: read_standing(data, 1, 2)), 5),
    ]  # fmt: skip

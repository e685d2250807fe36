"""One authenticated link between two nodes.

The way in, for both sides within one deadline and under 1 KiB:

1. TLS 1.3. The server's CertificateVerify proves that it holds the key in its certificate. The dialler compares that
   key with the one the chain names for the department it wanted, before it sends a byte.
2. CHALLENGE, server to dialler: [nonce(32)], fresh for every connection.
3. HELLO, dialler to server: [version, chain id, department, key, signature]. The signature has the purpose
   "peer-hello" and covers [nonce, server's department, server's key, own department, own key, version].
4. WELCOME [version], or REFUSAL [code]. A former member that proved its former key then gets FAREWELL [proof, ...]:
   the receipts of the changes of membership, by which it finds that it was removed (node/members/farewell.py).

Why the signature needs no channel binding: somebody in the middle would have to get an honest dialler to sign the
nonce that the server gave to *them*. But a dialler signs only nonces that reached it inside a TLS channel whose other
end proved the pinned key, and names that key in what it signs. A nonce from the server's own channel is one that the
server made for exactly this channel; a nonce from anybody else's channel is signed with that other's key in it, and
the server refuses it. Node keys sign TLS transcripts and certificates too, but those messages never begin with
"kehu/sign/", so no signature can stand for another.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from chain import codec
from chain.crypto import SigningKey, is_valid_key, verify
from chain.errors import KehuError, define
from node.peers.frames import GREETINGS, LINKED, PAYLOAD_BYTES_MAX, Kind, encode_header, read_frame
from node.peers.resolving import open_connection
from node.peers.tls import client_context, server_context, server_key

PROTOCOL_VERSION: Final = 1
PROTOCOL_VERSION_MIN: Final = 1
HELLO_PURPOSE: Final = "peer-hello"
WRITE_BUFFER_BYTES: Final = 1 << 18
"""What may wait in the socket's own buffer; everything else waits in the peer's bounded queues."""
TAKE_LEAVE_S: Final = 1.0

PEER_UNKNOWN = define(
    "peer.unknown_department",
    "the department on the other side is not in this network",
    "wait until the membership transaction is decided, or correct the department's name",
)
PEER_WRONG_KEY = define(
    "peer.wrong_key",
    "the other side does not hold the key that the chain names for its department",
    "check the address and the node key; after a key change both sides must have decided it",
)
PEER_WRONG_CHAIN = define(
    "peer.wrong_chain", "the other side belongs to another chain", "start both nodes from the same genesis file"
)
PEER_OWN_KEY = define(
    "peer.own_key",
    "the other side shows this node's own department or key",
    "correct the address; if it is not this node itself, the key was copied: replace it",
)
PEER_VERSION = define(
    "peer.version", "the other side speaks a version of the peer protocol that is not supported", "upgrade it"
)
PEER_DIRECTION = define(
    "peer.direction",
    "of two departments the one whose name comes first dials, and this one is the other",
    "nothing: a node that has come up, or is alone, shows itself like this and is dialled then",
)
PEER_GREETING = define(
    "peer.greeting", "the other side does not speak the peer protocol", "check that the address is a node's peer port"
)
PEER_TIMEOUT = define(
    "peer.timeout", "the other side did not answer in time", "check that the node runs and the network lets it through"
)
PEER_UNREACHABLE = define(
    "peer.unreachable", "the connection could not be made, or broke", "check address, port and firewall"
)
PEER_REFUSED_US = define(
    "peer.refused_us", "the other node refused this one", "see `reason`; the other node's log says more"
)
_REFUSALS: Final = (
    PEER_UNKNOWN,
    PEER_WRONG_KEY,
    PEER_WRONG_CHAIN,
    PEER_OWN_KEY,
    PEER_VERSION,
    PEER_DIRECTION,
    PEER_GREETING,
)
REFUSAL_CODES: Final = frozenset(spec.code for spec in _REFUSALS)


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a department's node is and by which key it is known."""

    key: bytes
    host: str
    port: int


Farewell = Callable[[str, bytes], Awaitable[Sequence[bytes]]]
"""(department, key) -> what to tell a former member known by this key; nothing for everybody else."""
OnFarewell = Callable[[Sequence[bytes]], None]
FAREWELL_PROOFS_MAX: Final = 1_024


async def no_farewell(_department: str, _key: bytes) -> Sequence[bytes]:
    return ()


PeerTable = Callable[[], Mapping[str, Peer]]
"""The current departments; asked again for every connection. May include this node's own."""


class Link:
    """An authenticated stream of frames. Closed once, by whoever ends it first."""

    def __init__(self, department: str, key: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.department = department
        self.key = key
        self.bytes_received = 0
        self.bytes_sent = 0
        self._clock = asyncio.get_running_loop().time
        self.last_received_s = self._clock()
        self._reader, self._writer = reader, writer

    async def receive(self) -> tuple[Kind, bytes]:
        return await read_frame(self._reader, LINKED, self._note_received)

    async def send(self, *frames: tuple[Kind, bytes]) -> None:
        """Returns when the frames are in the socket's buffer and that has room again."""
        data = b"".join([part for kind, payload in frames for part in (encode_header(kind, len(payload)), payload)])
        self._writer.write(data)
        self.bytes_sent += len(data)
        await self._writer.drain()

    def _note_received(self, count: int) -> None:
        self.bytes_received += count
        self.last_received_s = self._clock()

    async def close(self, *, goodbye: bool) -> None:
        """Takes leave and flushes if `goodbye`; otherwise cuts the connection at once."""
        if goodbye and not self._writer.is_closing():
            self._writer.write(encode_header(Kind.GOODBYE, 0))
            await close_stream(self._writer)
        else:
            self._writer.transport.abort()


class Identity:
    """This node on the peer network: its department, key, chain and TLS contexts (made once, when first needed)."""

    def __init__(self, department: str, key: SigningKey, chain_id: bytes) -> None:
        self.department = department
        self.key = key
        self.chain_id = chain_id
        self.farewell: Farewell = no_farewell
        """What this node tells former members."""
        self.on_farewell: OnFarewell = lambda _: None
        """Hears what another node tells this one as a former member."""

    @cached_property
    def server_tls(self) -> ssl.SSLContext:
        return server_context(self.key)

    @cached_property
    def client_tls(self) -> ssl.SSLContext:
        return client_context()

    def hello(self, server_department: str, key: bytes, nonce: bytes, version: int = PROTOCOL_VERSION) -> bytes:
        covered = hello_payload(nonce, server_department, key, self.department, self.key.public, version)
        signature = self.key.sign(HELLO_PURPOSE, self.chain_id, covered)
        return codec.encode_flat([version, self.chain_id, self.department, self.key.public, signature])


def hello_payload(nonce: bytes, server: str, of_server: bytes, dialler: str, of_dialler: bytes, version: int) -> bytes:
    """What the dialler signs, beside purpose and chain id: the nonce, both names with their keys, the version."""
    return codec.encode_flat([nonce, server, of_server, dialler, of_dialler, version])


Dial = Callable[[Identity, str, Peer, float], Awaitable[Link]]
"""(own identity, department, its place and key, deadline in seconds) -> link, or a `peer.*` error."""


def is_dialler(own: str, other: str) -> bool:
    """Of two departments the one whose name comes first dials, so their connections never cross."""
    return own < other


async def dial(identity: Identity, department: str, peer: Peer, deadline_s: float) -> Link:
    """A link to `department`, or a `peer.*` error that says why not. Nothing stays open on failure."""
    if department == identity.department or hmac.compare_digest(peer.key, identity.key.public):
        raise KehuError(PEER_OWN_KEY, department=department)
    writer = None
    try:
        async with asyncio.timeout(deadline_s):
            reader, writer = await open_connection(
                peer.host,
                peer.port,
                ssl=identity.client_tls,
                server_hostname="",  # no SNI: the address is not the identity
                ssl_handshake_timeout=deadline_s,
                ssl_shutdown_timeout=1,
            )
            await _greet_server(identity, department, peer, reader, writer)
    except BaseException as error:
        if writer is not None:
            writer.transport.abort()
        reason = as_peer_error(error, department)
        if reason is error:
            raise
        raise reason from error
    writer.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
    return Link(department, peer.key, reader, writer)


async def _greet_server(
    identity: Identity, department: str, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    shown = server_key(writer.get_extra_info("ssl_object"))
    if shown is not None and hmac.compare_digest(shown, identity.key.public):
        raise KehuError(PEER_OWN_KEY, department=department)
    if not is_valid_key(peer.key) or shown is None or not hmac.compare_digest(shown, peer.key):
        raise KehuError(PEER_WRONG_KEY, department=department, expected=peer.key, actual=shown)
    [nonce] = await _expect(reader, Kind.CHALLENGE, codec.is_digest)
    _write(writer, Kind.HELLO, identity.hello(department, peer.key, nonce))
    try:
        [version] = await _expect(reader, Kind.WELCOME, codec.is_uint)
    except KehuError as error:
        if error.spec is PEER_REFUSED_US and error.details["reason"] in (PEER_UNKNOWN.code, PEER_WRONG_KEY.code):
            with suppress(KehuError, OSError, EOFError):  # nothing more is said to those who never were members
                proofs = codec.list_of(codec.is_bytes, FAREWELL_PROOFS_MAX)
                identity.on_farewell((await _expect(reader, Kind.FAREWELL, proofs))[0])
        raise
    if version < PROTOCOL_VERSION_MIN:
        raise KehuError(PEER_VERSION, department=department, actual=version, expected=PROTOCOL_VERSION_MIN)


async def authenticate_dialler(
    identity: Identity,
    peers: PeerTable,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    draw_nonce: Callable[[], bytes] = lambda: secrets.token_bytes(32),
) -> Link:
    """The server's half, after TLS. Sends the refusal itself; the caller sets the deadline and aborts on error."""
    nonce = draw_nonce()
    _write(writer, Kind.CHALLENGE, codec.encode_flat([nonce]))
    try:
        is_key = codec.is_bytes  # its form is judged as `peer.wrong_key`, not as a malformed greeting
        hello = await _expect(
            reader, Kind.HELLO, codec.is_uint, codec.is_digest, codec.is_text, is_key, codec.is_signature
        )
        department, key = _check_hello(identity, peers(), nonce, hello)
    except KehuError as error:
        code = error.code if error.code in REFUSAL_CODES else PEER_GREETING.code
        _write(writer, Kind.REFUSAL, codec.encode_flat([code]))
        if error.spec in (PEER_UNKNOWN, PEER_WRONG_KEY):
            await _take_leave(identity, nonce, hello, writer)
        raise
    _write(writer, Kind.WELCOME, codec.encode_flat([PROTOCOL_VERSION]))
    writer.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
    return Link(department, key, reader, writer)


async def _take_leave(identity: Identity, nonce: bytes, hello: list[codec.Value], writer: asyncio.StreamWriter) -> None:
    """Tells who proves a former key what became of the department: it was removed, or has another key. Strangers are
    told nothing."""
    version, _, department, key, signature = hello
    covered = hello_payload(nonce, identity.department, identity.key.public, department, key, version)
    if is_valid_key(key) and verify(key, HELLO_PURPOSE, identity.chain_id, covered, signature):
        proofs = await identity.farewell(department, key)
        if proofs:
            _write(writer, Kind.FAREWELL, codec.encode_flat([list(proofs)]))


def _check_hello(
    identity: Identity, peers: Mapping[str, Peer], nonce: bytes, hello: list[codec.Value]
) -> tuple[str, bytes]:
    """Department and key that signed the hello. Cheap checks first, then the signature."""
    version, chain_id, department, key, signature = hello
    if version < PROTOCOL_VERSION_MIN:
        raise KehuError(PEER_VERSION, actual=version, expected=PROTOCOL_VERSION_MIN)
    if chain_id != identity.chain_id:
        raise KehuError(PEER_WRONG_CHAIN, expected=identity.chain_id, actual=chain_id)
    if department == identity.department or key == identity.key.public:
        raise KehuError(PEER_OWN_KEY, key=key)
    if department not in peers:
        raise KehuError(PEER_UNKNOWN, key=key)
    expected = peers[department].key
    covered = hello_payload(nonce, identity.department, identity.key.public, department, key, version)
    if key != expected or not verify(expected, HELLO_PURPOSE, identity.chain_id, covered, signature):
        raise KehuError(PEER_WRONG_KEY, department=department, expected=expected, actual=key)
    if not is_dialler(department, identity.department):  # last: whoever hears of it is to know that it was this one
        raise KehuError(PEER_DIRECTION, department=department)
    return department, expected


async def _expect(reader: asyncio.StreamReader, wanted: Kind, *checks: codec.Check) -> list[codec.Value]:
    """The fields of the greeting `wanted`; a refusal in its place becomes an error with the other side's code."""
    kind, payload = await read_frame(reader, frozenset({wanted, Kind.REFUSAL}))
    value = codec.decode(payload, PAYLOAD_BYTES_MAX[kind], elements_max=16 + FAREWELL_PROOFS_MAX)
    if kind is Kind.REFUSAL and wanted is not Kind.REFUSAL:
        [code] = codec.fields(value, "refusal", codec.is_text)
        raise KehuError(PEER_REFUSED_US, reason=code if code in REFUSAL_CODES else "unknown")
    return codec.fields(value, wanted.name.lower(), *checks)


def _write(writer: asyncio.StreamWriter, kind: Kind, payload: bytes) -> None:
    """Greetings fit the empty socket buffer, so there is nothing to wait for."""
    if kind not in GREETINGS:
        raise KehuError(PEER_GREETING, kind=kind.name)
    writer.write(encode_header(kind, len(payload)) + payload)


def as_peer_error(error: BaseException, department: str | None = None) -> BaseException:
    """Network trouble by its code; errors of ours and cancellation as they are."""
    if isinstance(error, TimeoutError):
        return KehuError(PEER_TIMEOUT, department=department)
    if isinstance(error, (OSError, EOFError, UnicodeError, OverflowError)):
        return KehuError(PEER_UNREACHABLE, department=department, problem=type(error).__name__)
    if isinstance(error, KehuError) and error.code.startswith(("codec.", "frame.")):
        return KehuError(PEER_GREETING, department=department, problem=error.code)
    return error


async def close_stream(writer: asyncio.StreamWriter) -> None:
    """Flushes and closes; a peer that doesn't take its leave is cut off."""
    try:
        async with asyncio.timeout(TAKE_LEAVE_S):
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()

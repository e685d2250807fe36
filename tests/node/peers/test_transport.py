"""Getting a link: who is let in, who is refused by which code, and that both within the deadline."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import secrets
import socket
import ssl
import tempfile
import warnings
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from chain import codec
from chain.crypto import SigningKey
from chain.errors import KehuError
from node.peers.frames import Kind
from node.peers.listener import Listener
from node.peers.tls import make_certificate, server_context
from node.peers.transport import HELLO_PURPOSE, Identity, Link, Peer, dial, hello_payload
from tests.node.peer_kit import CHAIN, HOST, Stranger, identity_of, key_of, until

TABLE = {name: Peer(key_of(name).public, HOST, 1) for name in ("finance", "process", "sales", "technical")}


class Server:
    """The department `sales`, listening; `links` are those it let in."""

    def __init__(self, deadline_s: float = 5.0, pending_max: int = 64) -> None:
        self.links: list[Link] = []
        identity = identity_of("sales")
        identity.farewell = self._farewell
        self.listener = Listener(
            identity,
            lambda: TABLE,
            self.links.append,
            deadline_s=deadline_s,
            pending_max=pending_max,
        )
        self.port = 0

    async def _farewell(self, department: str, key: bytes) -> Sequence[bytes]:
        return [b"proof"] if (department, key) == ("legal", key_of("legal").public) else []

    @property
    def peer(self) -> Peer:
        return Peer(key_of("sales").public, HOST, self.port)

    async def close(self) -> None:
        await self.listener.close()
        for link in self.links:
            await link.close(goodbye=False)


@pytest.fixture
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    made = Server(**getattr(request, "param", {}))
    made.port = await made.listener.start(HOST, 0)
    yield made
    await made.close()


async def refusal_of(identity: Identity, department: str, peer: Peer, deadline_s: float = 5.0) -> KehuError:
    with pytest.raises(KehuError) as caught:
        await dial(identity, department, peer, deadline_s)
    return caught.value


async def refusal_of_hello(server: Server, identity: Identity, **changes: object) -> tuple[str, str]:
    """What the server answers to a hello with these changes, and what it counts."""
    stranger = await Stranger.connect(server.port)
    _, challenge = await stranger.receive()
    [nonce] = codec.decode(challenge, 64)
    hello = identity.hello("sales", key_of("sales").public, nonce)
    version, chain, name, key, signature = codec.decode(hello, 512)
    fields = {"version": version, "chain": chain, "name": name, "key": key, "signature": signature} | changes
    stranger.send(Kind.HELLO, codec.encode(list(fields.values())))
    kind, answer = await stranger.receive()
    assert kind is Kind.REFUSAL
    assert await stranger.is_dropped()
    return codec.decode(answer, 64)[0], next(iter(server.listener.refused))


async def test_a_department_of_the_network_is_let_in_and_frames_pass_both_ways(server: Server) -> None:
    link = await dial(identity_of("finance"), "sales", server.peer, 5.0)
    await until(lambda: server.links)
    assert (link.department, server.links[0].department) == ("sales", "finance")
    big = secrets.token_bytes(3 << 20)
    sending = asyncio.create_task(link.send((Kind.CONSENSUS, big)))
    assert await server.links[0].receive() == (Kind.CONSENSUS, big)
    await sending
    await server.links[0].send((Kind.GOSSIP, b""))
    assert await link.receive() == (Kind.GOSSIP, b"")
    assert server.listener.pending == 0
    await link.close(goodbye=True)
    assert await server.links[0].receive() == (Kind.GOODBYE, b"")


async def test_a_server_with_another_key_is_refused_before_anything_is_sent(server: Server) -> None:
    wrong = Peer(key_of("somebody").public, HOST, server.port)
    error = await refusal_of(identity_of("finance"), "sales", wrong)
    assert (error.code, error.details["actual"]) == ("peer.wrong_key", key_of("sales").public)
    await until(lambda: server.listener.refused)
    assert not server.links


@pytest.mark.parametrize(
    ("name", "key", "chain_id", "code"),
    [
        ("marketing", "marketing", CHAIN, "peer.unknown_department"),
        ("finance", "marketing", CHAIN, "peer.wrong_key"),
        ("finance", "process", CHAIN, "peer.wrong_key"),
        ("finance", "finance", bytes(32), "peer.wrong_chain"),
        ("technical", "technical", CHAIN, "peer.direction"),
    ],
)
async def test_a_dialler_is_refused_with_the_code_that_says_why(
    server: Server, name: str, key: str, chain_id: bytes, code: str
) -> None:
    error = await refusal_of(identity_of(name, key_of(key), chain_id), "sales", server.peer)
    assert (error.code, error.details["reason"]) == ("peer.refused_us", code)
    assert (dict(server.listener.refused), server.links) == ({code: 1}, [])


async def test_the_own_key_is_recognised_on_both_sides(server: Server) -> None:
    copied = identity_of("finance", key_of("sales"))
    assert (await refusal_of(copied, "sales", server.peer)).code == "peer.own_key"
    assert await refusal_of_hello(server, copied) == ("peer.own_key", "peer.own_key")
    misconfigured = Peer(key_of("finance").public, HOST, server.port)
    assert (await refusal_of(copied, "finance", misconfigured)).code == "peer.own_key"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 0}, "peer.version"),
        ({"version": 7}, "peer.wrong_key"),  # a version that is not the signed one
        ({"signature": bytes(64)}, "peer.wrong_key"),
        ({"key": b""}, "peer.wrong_key"),
        ({"key": bytes(31)}, "peer.wrong_key"),
        ({"key": bytes(33)}, "peer.wrong_key"),
        ({"key": bytes(32)}, "peer.wrong_key"),  # of small order
        ({"key": None}, "peer.greeting"),
        ({"chain": b"short"}, "peer.greeting"),
        ({"name": b"finance"}, "peer.greeting"),
        ({"name": "sales"}, "peer.own_key"),
        ({"extra": 1}, "peer.greeting"),
    ],
)
async def test_a_hello_with_any_wrong_field_is_refused(server: Server, changes: dict[str, object], code: str) -> None:
    answer, counted = await refusal_of_hello(server, identity_of("finance"), **changes)
    assert answer == code
    assert counted in {code, "codec.shape"}
    assert not server.links


async def test_a_hello_made_for_one_server_is_worthless_to_another(server: Server) -> None:
    """The man in the middle: finance dials the department `process`, which passes everything on to sales."""
    middle = await Stranger.connect(server.port)
    _, challenge = await middle.receive()
    [nonce] = codec.decode(challenge, 64)
    middle.send(Kind.HELLO, identity_of("finance").hello("process", key_of("process").public, nonce))
    kind, answer = await middle.receive()
    assert (kind, codec.decode(answer, 64)) == (Kind.REFUSAL, ["peer.wrong_key"])
    assert await middle.is_dropped()


async def test_a_hello_can_not_be_replayed_on_another_connection(server: Server) -> None:
    first, second = await Stranger.connect(server.port), await Stranger.connect(server.port)
    [nonce], [other] = [codec.decode((await one.receive())[1], 64) for one in (first, second)]
    assert nonce != other
    hello = identity_of("finance").hello("sales", key_of("sales").public, nonce)
    second.send(Kind.HELLO, hello)
    assert (await second.receive())[0] is Kind.REFUSAL
    first.send(Kind.HELLO, hello)
    assert (await first.receive())[0] is Kind.WELCOME
    assert await second.is_dropped()
    first.writer.transport.abort()


def test_what_a_hello_signs_names_both_sides_and_the_nonce() -> None:
    payload = hello_payload(b"n" * 32, "sales", b"s" * 32, "finance", b"f" * 32, 1)
    assert codec.decode(payload, 512) == [b"n" * 32, "sales", b"s" * 32, "finance", b"f" * 32, 1]
    assert HELLO_PURPOSE == "peer-hello"


@pytest.mark.parametrize(
    ("kind", "payload", "length"),
    [
        (Kind.HELLO, b"", 1 << 31),
        (Kind.HELLO, b"x" * 513, None),
        (Kind.CONSENSUS, b"x", None),
        (Kind.PING, b"", None),
        (99, b"", None),
        (Kind.HELLO, b"\xc1", None),
    ],
)
async def test_anything_but_a_small_hello_ends_the_greeting(
    server: Server, kind: int, payload: bytes, length: int | None
) -> None:
    stranger = await Stranger.connect(server.port)
    await stranger.receive()
    stranger.send(kind, payload, length)
    kind_of_answer, answer = await stranger.receive()
    assert (kind_of_answer, codec.decode(answer, 64)) == (Kind.REFUSAL, ["peer.greeting"])
    assert await stranger.is_dropped()
    await until(lambda: server.listener.pending == 0)


@pytest.mark.parametrize("server", [{"deadline_s": 0.3}], indirect=True)
@pytest.mark.parametrize("stage", ["no tls", "half a client hello", "tls and silence", "half a hello"])
async def test_whoever_is_slow_to_greet_is_dropped_at_the_deadline(server: Server, stage: str) -> None:
    if stage in {"no tls", "half a client hello"}:
        stranger = Stranger(*await asyncio.open_connection(HOST, server.port))
        if stage == "half a client hello":
            stranger.writer.write(bytes.fromhex("16030100f8010000f40303"))
    else:
        stranger = await Stranger.connect(server.port)
        await stranger.receive()
        if stage == "half a hello":
            stranger.send(Kind.HELLO, b"x" * 20, length=200)
    assert await stranger.is_dropped()
    await until(lambda: server.listener.pending == 0)
    assert sum(server.listener.refused.values()) == 1


async def test_a_server_that_never_answers_costs_the_dialler_its_deadline_and_no_more() -> None:
    with socket.create_server((HOST, 0)) as silent:
        peer = Peer(key_of("sales").public, HOST, silent.getsockname()[1])
        assert (await refusal_of(identity_of("finance"), "sales", peer, deadline_s=0.2)).code == "peer.timeout"
        port = silent.getsockname()[1]
    nobody = Peer(key_of("sales").public, HOST, port)
    assert (await refusal_of(identity_of("finance"), "sales", nobody)).code == "peer.unreachable"


async def test_plain_tcp_garbage_is_refused_and_the_next_peer_let_in(server: Server) -> None:
    stranger = Stranger(*await asyncio.open_connection(HOST, server.port))
    stranger.writer.write(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n" * 20)
    assert await stranger.is_dropped()
    link = await dial(identity_of("finance"), "sales", server.peer, 5.0)
    await link.close(goodbye=False)


async def test_tls_before_1_3_is_refused(server: Server) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(HOST, server.port, ssl=old, server_hostname="")
    await until(lambda: server.listener.refused)


def _issued_certificate() -> ssl.SSLContext:
    """A certificate for the right name, with another kind of key, as some authority might issue it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kehu node")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        context.load_cert_chain(file.name)
    return context


@pytest.mark.parametrize("context", [_issued_certificate(), server_context(SigningKey(bytes(32)))])
async def test_a_certificate_counts_for_nothing_but_its_key(context: ssl.SSLContext) -> None:
    received = asyncio.Event()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            received.set()
        writer.transport.abort()

    imposter = await asyncio.start_server(on_connection, HOST, 0, ssl=context)
    port = imposter.sockets[0].getsockname()[1]
    error = await refusal_of(identity_of("finance"), "sales", Peer(key_of("sales").public, HOST, port))
    assert error.code == "peer.wrong_key"
    imposter.close()
    await imposter.wait_closed()
    assert not received.is_set(), "not a byte before the key was checked"


def test_the_certificate_carries_the_node_key_and_no_private_key_stays_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_of("sales")
    certificate = x509.load_pem_x509_certificate(make_certificate(key))
    assert certificate.public_key() == Ed25519PrivateKey.from_private_bytes(key.seed).public_key()
    written: list[bytes] = []
    real = Path.write_bytes
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: (written.append(data), real(path, data))[1])
    server_context(key)
    assert not list(tmp_path.iterdir())
    assert len(written) == 1
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in written[0]
    assert b"BEGIN PRIVATE KEY" not in written[0]


async def test_a_thousand_failed_greetings_leave_nothing_behind(server: Server) -> None:
    tasks_before = len(asyncio.all_tasks())
    wrong = identity_of("finance", key_of("marketing"))
    for _ in range(20):
        attempts = [dial(wrong, "sales", server.peer, 10.0) for _ in range(10)]
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
        assert {error.code for error in outcomes} == {"peer.refused_us"}
    for _ in range(20):
        plain = await asyncio.gather(*(asyncio.open_connection(HOST, server.port) for _ in range(40)))
        for _, writer in plain:
            writer.write(b"\x00garbage")
            writer.transport.abort()
    await until(lambda: server.listener.pending == 0 and sum(server.listener.refused.values()) >= 1000)
    await until(lambda: len(asyncio.all_tasks()) <= tasks_before)
    link = await dial(identity_of("finance"), "sales", server.peer, 5.0)
    await link.close(goodbye=False)


@pytest.mark.parametrize("server", [{"pending_max": 8}], indirect=True)
async def test_idle_connections_can_not_keep_a_department_out(server: Server) -> None:
    idle = [await asyncio.open_connection(HOST, server.port) for _ in range(100)]
    link = await dial(identity_of("finance"), "sales", server.peer, 5.0)
    await until(lambda: server.links)
    assert server.listener.pending <= 8
    assert server.listener.refused["peer.crowded_out"] >= 92
    for _, writer in idle:
        writer.transport.abort()
    await link.close(goodbye=False)


def told_by(identity: Identity, told: list[Sequence[bytes]]) -> Identity:
    identity.on_farewell = told.append
    return identity


async def test_a_former_member_is_refused_and_told_why_with_proofs(server: Server) -> None:
    told: list[Sequence[bytes]] = []
    with pytest.raises(KehuError) as caught:
        await dial(told_by(identity_of("legal"), told), "sales", server.peer, 5.0)
    assert (caught.value.code, caught.value.details["reason"]) == ("peer.refused_us", "peer.unknown_department")
    assert told == [[b"proof"]]
    assert not server.links


async def test_strangers_and_those_who_only_claim_to_have_been_members_are_told_nothing(server: Server) -> None:
    told: list[Sequence[bytes]] = []
    for identity in (identity_of("nobody"), Identity("legal", key_of("nobody"), CHAIN)):
        with pytest.raises(KehuError):
            await dial(told_by(identity, told), "sales", server.peer, 5.0)
    assert await refusal_of_hello(server, identity_of("legal"), signature=bytes(64)) == (
        "peer.unknown_department",
        "peer.unknown_department",
    )
    assert told == []


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_comes_while_the_node_stops_is_closed(turns: int) -> None:
    server = Server()
    server.port = await server.listener.start(HOST, 0)
    for _ in range(3):
        await asyncio.sleep(0)  # it waits for connections
    with warnings.catch_warnings(record=True) as told, socket.create_connection((HOST, server.port)) as stranger:
        warnings.simplefilter("always")
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.close()
        await asyncio.sleep(0)
        gc.collect()
        stranger.settimeout(5)
        with contextlib.suppress(ConnectionResetError):  # it was never accepted
            assert await asyncio.to_thread(stranger.recv, 1) == b""
    assert [str(one.message) for one in told] == []

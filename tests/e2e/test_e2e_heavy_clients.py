"""S11, scenarios 25 and 29: clients of a node process that send more than their share, take nothing of big answers, or
send bombs. Others' transactions commit meanwhile, and the node's memory comes back to where it was."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from chain.crypto import SigningKey
from chain.transaction import NONCE_BYTES, Call, sign_transaction
from cli.client import NodeClient
from node.folder.config import split_address
from tests.e2e.cluster import Cluster
from tests.e2e.writing import writers, writing

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

GROWTH_BYTES_MAX = 48 << 20
BOMB_BYTES_MAX = 64 << 20
GREEDY = "greedy"
SENT_AT_ONCE = 750
ROUNDS = 3
EXPORTS = 8
"""So many does a node send at once."""
READERS_MAX = 40
"""Some stand still between two answers and not within one."""
EVENTS = 4
"""As many event streams as one person may have."""
BOMBERS = 8
BOMB_BYTES = 64 << 20
HEAD = b"POST /v1/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\n"


# --- a client beyond its share


def logins(cluster: Cluster, key: SigningKey, height: int) -> bytes:
    """A request with `SENT_AT_ONCE` good transactions that nobody sent before."""
    expires, chain_id = height + 500, cluster.genesis.chain_id
    made = [
        sign_transaction(key, chain_id, secrets.token_bytes(NONCE_BYTES), expires, [Call("access.login", {})])
        for _ in range(SENT_AT_ONCE)
    ]
    encoded = [base64.b64encode(one.raw).decode() for one in made]
    return json.dumps({"transactions": encoded, "values": [], "wait": "admitted", "timeout_ms": 1}).encode()


async def flood_with_transactions(url: str, bodies: list[bytes], answers: Counter[str]) -> None:
    """Sends all of them at once; counts what became of each transaction, by status or by the code of its refusal."""
    headers = {"Content-Type": "application/json"}

    async def send(session: aiohttp.ClientSession, body: bytes) -> None:
        async with session.post(f"{url}/v1/transactions", data=body, headers=headers) as response:
            said = await response.json(content_type=None)
            if "transactions" not in said:
                answers[f"{response.status} {said['code']}"] += SENT_AT_ONCE
                return
            for one in said["transactions"]:
                error = one.get("error")
                answers[f"{error['status']} {error['code']}" if error else str(one["status"])] += 1

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(send(session, body) for body in bodies))


async def test_a_client_beyond_its_share_is_told_to_wait_and_others_commit(cluster: Cluster) -> None:
    cluster.add_person(GREEDY, "sales")
    async with cluster.client("sales") as client:
        height = (await client.status())["height"]
    key, answers = cluster.key(GREEDY), Counter[str]()
    bodies = [logins(cluster, key, height) for _ in range(ROUNDS * 3)]
    memory = []
    async with writing(writers(cluster)):
        for first in range(0, len(bodies), ROUNDS):
            await flood_with_transactions(cluster.url("sales"), bodies[first : first + ROUNDS], answers)
            memory.append(cluster.memory_bytes("sales"))
    refused = sum(count for code, count in answers.items() if code.startswith("429 mempool."))
    assert refused > 0
    assert answers["pending"] + answers["committed"] + refused == len(bodies) * SENT_AT_ONCE
    assert cluster.memory_bytes("sales") - memory[0] < GROWTH_BYTES_MAX
    cluster.wait_equal()


# --- readers that do not read


def address_of(number: int) -> str:
    """Exports and connections are bounded for each address."""
    return f"127.0.9.{number}"


@contextlib.asynccontextmanager
async def unread(target: tuple[str, int], request: bytes, address: str) -> AsyncIterator[bytes]:
    """A connection that asks, takes the first line of the answer and no more. Yields that line."""
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
    slow.setblocking(False)
    slow.bind((address, 0))
    await asyncio.get_running_loop().sock_connect(slow, target)
    reader, writer = await asyncio.open_connection(sock=slow, limit=1 << 12)
    try:
        writer.write(request)
        yield await reader.readline()
    finally:
        writer.transport.abort()


def events_request(client: NodeClient) -> bytes:
    headers = client._transport._signature("GET", f"{client.url}/v1/events", {}, b"")
    lines = [f"{name}: {value}" for name, value in headers.items()]
    host = client.url.removeprefix("http://")
    return "\r\n".join(["GET /v1/events HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()


async def is_refused(cluster: Cluster) -> bool:
    """Whether all exports that the node sends at once are under way."""
    async with aiohttp.ClientSession() as session, session.get(f"{cluster.url('sales')}/v1/export") as response:
        return response.status == 429


async def stand_still(cluster: Cluster) -> bool:
    for _ in range(3):
        if not await is_refused(cluster):
            return False
        await asyncio.sleep(0.3)
    return True


async def lengthen(cluster: Cluster) -> None:
    """The export of the chain is half a megabyte then at least."""
    async with cluster.client("sales") as client:
        body, answers = logins(cluster, client.key, (await client.status())["height"]), Counter[str]()
        await flood_with_transactions(cluster.url("sales"), [body], answers)
        assert answers == {"pending": SENT_AT_ONCE}
        assert (await client.execute([Call("access.login", {})])).receipt.is_ok


async def test_readers_that_take_nothing_hold_up_nobody(cluster: Cluster) -> None:
    """So many exports are asked for in each connection that no socket takes them all, until the node sends no more."""
    target = split_address(cluster.url("sales").removeprefix("http://"))
    exports = b"GET /v1/export HTTP/1.1\r\nHost: x\r\n\r\n" * 60
    await lengthen(cluster)
    memory = []
    for _ in range(2):
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(cluster.client("sales"))
            said = []
            for number in range(1, EVENTS + 2):
                reading = unread(target, events_request(client), address_of(number))
                said.append((await stack.enter_async_context(reading))[9:12])
            assert said == [b"200"] * EVENTS + [b"429"]
            async with writing(writers(cluster)):
                for number in range(1, READERS_MAX):
                    await stack.enter_async_context(unread(target, exports, address_of(number)))
                    if number >= EXPORTS and await stand_still(cluster):
                        break
                else:
                    pytest.fail("the node sends more exports at once than it may")
            memory.append(cluster.memory_bytes("sales"))
        async with writing(writers(cluster)), asyncio.timeout(30):  # an event stream ends at the next event
            while await is_refused(cluster):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert memory[1] - memory[0] < GROWTH_BYTES_MAX
    cluster.wait_equal()


# --- bombs


def compressed() -> bytes:
    body = gzip.compress(b" " * BOMB_BYTES)
    return HEAD % b"application/json" + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def tiny_chunks() -> bytes:
    return HEAD % b"application/json" + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n"


def endless_chunks() -> bytes:
    """Beyond what a body may be, without having said so."""
    chunk = b"%x\r\n%b\r\n" % (1 << 16, b" " * (1 << 16))
    return HEAD % b"application/json" + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 256


def many_parts() -> bytes:
    body = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n" * 60_000 + b"--x--\r\n"
    return HEAD % b"multipart/form-data; boundary=x" + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def deep_json() -> bytes:
    body = b'{"transactions":' + b"[" * 2_000_000 + b"]" * 2_000_000 + b"}"
    return HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def empty_maps() -> bytes:
    body = b'{"transactions":[' + b"{}," * 1_300_000 + b"{}]}"
    return HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def many_headers() -> bytes:
    return b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 100_000 + b"\r\n"


def many_requests() -> bytes:
    """In one connection, and no answer is waited for."""
    return b"GET /v1/genesis HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000


async def throw(target: tuple[str, int], bomb: bytes) -> bytes:
    """Sends it, for as long as the node takes it; the first line of what it said."""
    reader, writer = await asyncio.open_connection(*target, local_addr=(address_of(1), 0))
    try:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(10):
                writer.write(bomb)
                await writer.drain()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(10):
                return await reader.readline()
        return b""
    finally:
        writer.transport.abort()


def forget_highest(pid: int) -> None:
    """VmHWM begins anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def highest_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


BOMBS: dict[Callable[[], bytes], set[bytes]] = {
    compressed: {b"415"},
    tiny_chunks: {b"400"},
    endless_chunks: {b"413"},
    many_parts: {b"415"},
    deep_json: {b"400"},
    empty_maps: {b"400"},
    many_headers: {b"400"},
    many_requests: {b"200"},
}


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
async def test_bombs_are_refused_and_cost_a_node_little_memory(cluster: Cluster, bomb: Callable[[], bytes]) -> None:
    target = split_address(cluster.url("sales").removeprefix("http://"))
    pid, sent = cluster.process("sales").pid() or 0, bomb()
    before = cluster.memory_bytes("sales")
    forget_highest(pid)
    async with writing(writers(cluster)):
        said = await asyncio.gather(*(throw(target, sent) for _ in range(BOMBERS)))
    assert {line[9:12] for line in said} <= {*BOMBS[bomb], b""}
    assert highest_bytes(pid) - before < BOMB_BYTES_MAX

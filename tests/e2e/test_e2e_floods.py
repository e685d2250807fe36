"""S01, S04: thousands of connections that do nothing, or nothing good, against a node process of four. Meanwhile
people write and all departments agree; after a first flood, the next ones leave its memory where it was."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator

import pytest

from chain.transaction import Call
from tests.e2e.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

ATTACKER = "127.0.0.9"
"""An address of its own: the bounds are for each address."""
SOCKETS = 5_000
WRITES = 3
FLOODS = 3
"""The first only fills what a flood fills."""
GROWTH_BYTES_MAX = 48 << 20


async def hold(host: str, port: int, sent: bytes) -> None:
    """One connection that says `sent` and then nothing, until the node ends it or the test does."""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection(host, port, local_addr=(ATTACKER, 0))
        try:
            writer.write(sent)
            while await reader.read(1 << 12):
                pass
        finally:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def flood(address: tuple[str, int], sent: bytes) -> AsyncIterator[None]:
    """`SOCKETS` such connections, all under way when it begins."""
    tasks = [asyncio.create_task(hold(*address, sent)) for _ in range(SOCKETS)]
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def addresses(cluster: Cluster) -> dict[str, tuple[str, int]]:
    api = cluster.url("sales").removeprefix("http://").split(":")
    peer = str(cluster.genesis.addresses["sales"]).split(":")
    return {"api": (api[0], int(api[1])), "peer": (peer[0], int(peer[1]))}


@pytest.mark.parametrize(
    ("port", "sent"),
    [
        ("api", b""),
        ("api", b"POST /v1/transactions HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n{"),
        ("peer", b""),
        ("peer", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" + bytes(64)),
    ],
    ids=["idle at the API", "half bodies", "idle at the peer port", "failed handshakes"],
)
async def test_thousands_of_connections_keep_nobody_from_writing_and_memory_stays_flat(
    cluster: Cluster, port: str, sent: bytes
) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < SOCKETS + 500:
        pytest.skip(f"ONLY {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} FILES MAY BE OPEN: no flood of {SOCKETS}")
    after = []
    for _ in range(FLOODS):
        await write_under_flood(cluster, addresses(cluster)[port], sent)
        after.append(cluster.memory_bytes("sales"))
    assert after[-1] - after[-2] < GROWTH_BYTES_MAX


async def write_under_flood(cluster: Cluster, address: tuple[str, int], sent: bytes) -> None:
    async with flood(address, sent):
        for department in ("sales", "finance"):
            async with cluster.client(department) as client:
                for _ in range(WRITES):
                    assert (await client.execute([Call("access.login", {})])).receipt.is_ok
    cluster.wait_equal()

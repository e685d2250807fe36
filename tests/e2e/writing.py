"""People who go on writing while something else happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from chain.transaction import Call
from cli.client import NodeClient
from tests.e2e.cluster import Cluster

WRITES_MIN = 3


async def write(client: NodeClient, done: list[int], place: int) -> None:
    while True:
        assert (await client.execute([Call("access.login", {})])).receipt.is_ok
        done[place] += 1


@contextlib.asynccontextmanager
async def writing(clients: Sequence[NodeClient]) -> AsyncIterator[list[int]]:
    """Each client commits one transaction after another, and each a few at least before this ends. Yields how many."""
    done = [0] * len(clients)
    async with contextlib.AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client)
        tasks = [asyncio.create_task(write(client, done, place)) for place, client in enumerate(clients)]
        try:
            yield done
            async with asyncio.timeout(30):
                while min(done) < WRITES_MIN and not any(task.done() for task in tasks):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        failed = [end for end in ends if not isinstance(end, asyncio.CancelledError)]
        if failed:
            raise ExceptionGroup("somebody could not write", [end for end in failed if isinstance(end, Exception)])


def writers(cluster: Cluster) -> list[NodeClient]:
    """Of two departments."""
    return [cluster.client(department) for department in ("sales", "finance")]

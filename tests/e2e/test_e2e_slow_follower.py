"""B46: a node with a third of a processor follows the others under load: it falls behind, and not for good."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.writing import writers, writing

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

SLOW = "technical"
STOPPED_S, GOING_S = 0.07, 0.03
ROUNDS, COMMITS = 4, 20


@contextmanager
def throttled(pid: int) -> Iterator[None]:
    """The process runs for a third of the time, in small pieces."""
    done = threading.Event()

    def throttle() -> None:
        while not done.is_set():
            os.kill(pid, signal.SIGSTOP)
            done.wait(STOPPED_S)
            os.kill(pid, signal.SIGCONT)
            done.wait(GOING_S)

    thread = threading.Thread(target=throttle)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


async def height_of(cluster: Cluster, department: str) -> int:
    async with cluster.client(department) as client:
        return int((await client.status())["height"])


async def test_a_follower_with_a_third_of_a_processor_keeps_up_under_load_b46(cluster: Cluster) -> None:
    """While people go on writing it reaches, time and again, where the others were."""
    pid = cluster.process(SLOW).pid()
    assert pid is not None
    with throttled(pid):
        async with writing(writers(cluster)) as done:
            for _ in range(ROUNDS):
                async with asyncio.timeout(60):
                    wanted = sum(done) + COMMITS
                    while sum(done) < wanted:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                    height = await height_of(cluster, "sales")
                    while await height_of(cluster, SLOW) < height:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
    assert cluster.wait_equal()["height"] > ROUNDS

"""S16: one transaction, ten thousand times, at every node, before and after all of them were started anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.cluster import DEPARTMENTS, Cluster, running

TIMES, AT_ONCE = 10_000, 250


async def send_again(cluster: Cluster, raw: bytes, times: int) -> None:
    for number in range(times // AT_ONCE):
        await cluster.nodes[DEPARTMENTS[number % len(DEPARTMENTS)]].submit([raw] * AT_ONCE, [])


@pytest.mark.slow
async def test_ten_thousand_times_the_same_transaction_is_executed_once(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        transaction = cluster.login("li")
        await cluster.submit([transaction], "sales")
        await send_again(cluster, transaction.raw, TIMES // 2)
        assert await cluster.nodes["sales"].wait_committed(transaction.id, 60) is not None
        await cluster.stop()
        await cluster.start()
        await cluster.ready()
        await send_again(cluster, transaction.raw, TIMES // 2)
        await cluster.commit(cluster.login("wang"), via="sales")  # whatever was still on its way is decided with it
        await cluster.agree()
        assert len(cluster.heights_of(transaction)) == 1

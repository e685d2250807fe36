"""A wiped node in a network that has gone far takes a snapshot, follows from there, votes, and fetches the past."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chain.export import stored_frames
from tests.node.cluster import Cluster, eventually, running

pytestmark = pytest.mark.slow

SETTINGS = "[snapshot]\nbehind_blocks = 20\ninterval_blocks = 50\n"


async def test_a_wiped_node_takes_a_snapshot_votes_again_and_has_the_whole_chain_later(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, SETTINGS, expiry_heights_max=210)
    await cluster.start()
    try:
        await cluster.ready()
        transaction, values = cluster.register("c1")
        await cluster.commit(transaction, via="sales", values=values)
        await cluster.stop("after_sales")
        while cluster.any.height < 320:
            await cluster.commit(cluster.login("li"), via="sales")
        early = cluster.heights_of(transaction)
        assert early[0] < 10
        cluster.wipe("after_sales")
        await cluster.start("after_sales")
        await eventually(lambda: cluster.nodes["after_sales"].height >= 300)
        node = cluster.nodes["after_sales"]
        assert node.blocks.first()[1] == 300
        assert sorted(node.status()["snapshot"]) == ["first_block", "is_back_filling", "offered_heights", "taking"]
        await eventually(lambda: not cluster.nodes["after_sales"].status()["snapshot"]["is_back_filling"])
        await cluster.agree(at_least=320)
        height = cluster.any.height
        whole, known = (
            [(frame.block, frame.receipts) for frame in stored_frames(one.blocks, 1, height)]
            for one in (node, cluster.nodes["sales"])
        )
        assert whole == known
        assert node.find(transaction.id) == cluster.nodes["sales"].find(transaction.id)
        while node.status()["is_observer"]:
            await cluster.commit(cluster.login("li"), via="sales")
        await cluster.stop("finance")
        await cluster.commit(cluster.login("li"), via="sales")
        await cluster.agree(at_least=height + 1)
    finally:
        async with asyncio.timeout(30):
            await cluster.stop()


async def test_nodes_wiped_one_after_the_other_come_back_to_an_idle_network(tmp_path: Path) -> None:
    """f + 1 of them, nobody sends anything meanwhile, and in the end the network goes on with both of them needed."""
    async with running(tmp_path) as cluster:
        await cluster.commit(cluster.login("li"), via="sales")
        await cluster.agree()
        for name in ("after_sales", "finance"):
            await cluster.stop(name)
            cluster.wipe(name)
            await cluster.start(name)
            await eventually(lambda name=name: cluster.nodes[name].status()["view"] is not None)
            await eventually(lambda name=name: not cluster.nodes[name].status()["is_observer"])
            await cluster.agree()
            assert cluster.nodes[name].view().has("vote_losses", f"{name}.1")
            assert cluster.nodes[name].height <= 1 + 2 * 4
        await cluster.stop("administration")
        await cluster.commit(cluster.login("li"), via="sales")
        await cluster.agree()

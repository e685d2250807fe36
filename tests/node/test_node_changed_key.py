"""A node that has changed its key gets over a damaged chain as any other does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from node.keys import read_public
from tests.node.cluster import Cluster, eventually, key_of
from tests.node.test_node_membership import accept, give_next_key, node_key

pytestmark = pytest.mark.slow


async def test_a_lost_chain_comes_again_though_the_key_was_changed_since_genesis(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    home = cluster.homes["sales"]
    try:
        await cluster.start()
        await cluster.ready()
        give_next_key(home, "node sales 2")
        change = {"kind": "rotate", "department": "sales", **node_key(cluster, "sales", "node sales 2")}
        height = await accept(cluster, change, "li", "qian")
        await eventually(lambda: read_public(home.node_key).public == key_of("node sales 2").public)
        await cluster.ready()
        await cluster.commit(cluster.login("li"), via="sales")
        await cluster.stop("sales")
        shutil.rmtree(home.chain)
        await cluster.start("sales")
        await eventually(lambda: cluster.nodes["sales"].height >= height)
    finally:
        await cluster.stop()

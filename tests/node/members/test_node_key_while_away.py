"""The departments agree on a node's next key while the node is down: it learns so by proof, and takes the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.keys.files import read_public
from tests.node.cluster import Cluster, eventually, key_of
from tests.node.members.test_node_membership import accept, give_next_key, node_key

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]


@pytest.mark.parametrize("is_wiped", [False, True])
async def test_a_node_that_was_down_when_its_key_changed_takes_the_next_one_by_itself(
    tmp_path: Path, *, is_wiped: bool
) -> None:
    """Its own chain still has the old key, by which the others let nobody in; another one's key has changed too."""
    cluster = Cluster(tmp_path)
    try:
        await cluster.start()
        await cluster.ready()
        registration, values = cluster.register("c1")
        await cluster.commit(registration, via="sales", values=values)
        await cluster.stop("after_sales")
        for department in ("after_sales", "finance"):
            name = f"node {department} 2"
            give_next_key(cluster.homes[department], name)
            change = {"kind": "rotate", "department": department, **node_key(cluster, department, name)}
            height = await accept(cluster, change, "li", "qian")
            await eventually(lambda height=height: cluster.nodes["sales"].height >= height)  # type: ignore[misc]
            await eventually(lambda: all(node.is_ready for node in cluster.nodes.values()))
        if is_wiped:
            cluster.wipe("after_sales")
        await cluster.start("after_sales")
        await eventually(lambda: cluster.nodes["after_sales"].height >= height)
        assert read_public(cluster.homes["after_sales"].node_key).public == key_of("node after_sales 2").public
        while cluster.nodes["after_sales"].status()["is_observer"]:
            await cluster.commit(cluster.login("li"), via="sales")
        await cluster.ready()
        await cluster.stop("finance")  # three of four
        await cluster.commit(cluster.login("wu"), via="after_sales")
        await cluster.agree(height)
    finally:
        await cluster.stop()

"""A member that was away while others changed their keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.membership import describe
from tests.node.cluster import Cluster, eventually
from tests.node.test_node_membership import accept, give_next_key, node_key

pytestmark = pytest.mark.slow

BACK_S = 60


@pytest.mark.parametrize("is_introduced", [False, True])
async def test_it_comes_back_though_it_knows_one_of_the_others_only(tmp_path: Path, is_introduced: bool) -> None:
    cluster = Cluster(tmp_path)
    try:
        await cluster.start()
        await cluster.ready()
        await cluster.stop("after_sales")
        for name in ("finance", "sales"):
            give_next_key(cluster.homes[name], f"node {name} 2")
            change = {"kind": "rotate", "department": name, **node_key(cluster, name, f"node {name} 2")}
            height = await accept(cluster, change, "li", "qian")
            await eventually(lambda height=height: all(node.height >= height for node in cluster.nodes.values()))
            await cluster.ready()
        if is_introduced:
            told = {"format": 1, "members": describe(cluster.any.ledger)["members"]}
            cluster.homes["after_sales"].members.write_text(json.dumps(told), encoding="utf-8")
        await cluster.start("after_sales")
        await cluster.commit(cluster.login("li"), via="sales")
        away, height = cluster.nodes["after_sales"], cluster.nodes["sales"].height
        await eventually(lambda: away.height >= height, BACK_S)
    finally:
        await cluster.stop()

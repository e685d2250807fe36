"""A member that was away while others changed their keys."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.members.membership import describe
from node.peers.network import PeerNetwork
from node.peers.transport import Identity, Peer
from tests.node.cluster import Cluster, eventually, key_of
from tests.node.members.test_node_membership import accept, give_next_key, node_key

pytestmark = pytest.mark.slow

BACK_S = 60


@pytest.mark.parametrize("is_introduced", [False, True])
async def test_it_comes_back_though_it_knows_one_of_the_others_only(tmp_path: Path, is_introduced: bool) -> None:
    cluster = Cluster(tmp_path)
    try:
        await change_keys_without_after_sales(cluster)
        if is_introduced:
            told = {"format": 1, "members": describe(cluster.any.ledger)["members"]}
            cluster.homes["after_sales"].members.write_text(json.dumps(told), encoding="utf-8")
        await cluster.start("after_sales")
        await cluster.commit(cluster.login("li"), via="sales")
        away, height = cluster.nodes["after_sales"], cluster.nodes["sales"].height
        await eventually(lambda: away.height >= height, BACK_S)
    finally:
        await cluster.stop()


async def test_it_comes_back_though_another_one_that_it_knows_is_linked_and_silent(tmp_path: Path) -> None:
    """Then it has links to a quorum and hears of later heights from one, which could be lying."""
    cluster = Cluster(tmp_path)
    try:
        await change_keys_without_after_sales(cluster)
        await cluster.stop("finance")
        async with silent(cluster, "finance") as network:
            await cluster.start("after_sales")
            away, height = cluster.nodes["after_sales"], cluster.nodes["sales"].height
            await eventually(lambda: "finance" in away.peers.connected)
            assert network.connected == ("after_sales",)
            await eventually(lambda: away.height >= height, BACK_S)
    finally:
        await cluster.stop()


async def change_keys_without_after_sales(cluster: Cluster) -> None:
    await cluster.start()
    await cluster.ready()
    await cluster.stop("after_sales")
    for name in ("finance", "sales"):
        give_next_key(cluster.homes[name], f"node {name} 2")
        change = {"kind": "rotate", "department": name, **node_key(cluster, name, f"node {name} 2")}
        height = await accept(cluster, change, "li", "qian")
        await eventually(lambda height=height: all(node.height >= height for node in cluster.nodes.values()))
        await cluster.ready()


@asynccontextmanager
async def silent(cluster: Cluster, name: str) -> AsyncIterator[PeerNetwork]:
    """In the place of the department's node, with its former key, something that takes links and says nothing."""
    table = {"after_sales": Peer(key_of("node after_sales").public, "127.0.0.1", cluster.peer_ports["after_sales"])}
    identity = Identity(name, key_of(f"node {name}"), cluster.chain_id)
    network = PeerNetwork(identity, lambda: table, lambda *_: None)
    await network.start("127.0.0.1", cluster.peer_ports[name])
    try:
        yield network
    finally:
        await network.close()

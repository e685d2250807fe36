"""A node that has changed its key gets over a damaged chain as any other does; one that lost its key begins anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from chain.errors import KehuError
from node.keys.files import read_public
from node.members.membership import describe
from tests.node.cluster import Cluster, eventually, key_of
from tests.node.members.test_node_membership import accept, give_next_key, node_key

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


async def test_key_and_data_are_lost_and_the_department_takes_part_again_once_the_others_agreed_on_a_new_key(
    tmp_path: Path,
) -> None:
    cluster = Cluster(tmp_path)
    home = cluster.homes["sales"]
    try:
        await cluster.start()
        await cluster.ready()
        registration, values = cluster.register("c1")
        await cluster.commit(registration, via="sales", values=values)
        await cluster.stop("sales")
        cluster.wipe("sales")
        home.node_key.unlink()
        give_next_key(home, "node sales 2")
        with pytest.raises(KehuError) as caught:  # nobody knows that key yet
            await cluster.start("sales")
        assert caught.value.code == "node.wrong_key"
        assert not home.node_key.exists()
        change = {"kind": "rotate", "department": "sales", **node_key(cluster, "sales", "node sales 2")}
        height = await accept(cluster, change, "qian", "wu")
        await eventually(lambda: key_of("node sales 2").public.hex() in {row["key"] for row in members_to_be(cluster)})
        home.members.write_text(json.dumps({"format": 1, "members": members_to_be(cluster)}), encoding="utf-8")
        await cluster.start("sales")
        assert read_public(home.node_key).public == key_of("node sales 2").public
        await eventually(lambda: cluster.nodes["sales"].height >= height)
        await cluster.ready()
        await eventually(lambda: not cluster.nodes["sales"].status()["is_observer"])
        await cluster.stop("finance")
        await cluster.commit(cluster.login("li"), via="sales")  # three of four, the one with the new key among them
    finally:
        await cluster.stop()


def members_to_be(cluster: Cluster) -> list[dict[str, Any]]:
    """What `kehu node introduce` writes."""
    told = describe(cluster.nodes["finance"].ledger)
    members: list[dict[str, Any]] = (told["next"] or told)["members"]
    return members

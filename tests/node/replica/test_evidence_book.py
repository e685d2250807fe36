"""What one node finds, all have on the chain, and somebody without a node can check."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.certificate import Vote, sign_vote
from chain.evidence import Evidence
from chain.state import state_key
from consensus.messages import VoteMessage
from tests.node.cluster import Cluster, eventually, key_of, running

NAME = "finance.2.0.prepare"


def vote(cluster: Cluster, block: int) -> bytes:
    key, block_id = key_of("node finance"), bytes([block]) * 32
    found: Vote = sign_vote(key, cluster.chain_id, "prepare", 0, 2, 0, block_id, "finance")
    return VoteMessage(found).to_bytes()


@pytest.mark.slow
async def test_an_equivocation_found_by_one_node_is_on_the_chain_of_all(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.commit(cluster.login("li"), via="sales")
        await cluster.agree(1)
        for block in (1, 2):
            cluster.nodes["sales"]._driver.receive("finance", vote(cluster, block))
        path = cluster.homes["sales"].evidence / f"{NAME}.evidence"
        await eventually(path.exists)
        Evidence.from_file(path.read_bytes()).verify(cluster.genesis.validators, cluster.chain_id)
        key = state_key("evidence", NAME)
        await eventually(lambda: all(node.ledger.state.get(key) for node in cluster.nodes.values()))
        await eventually(lambda: not cluster.nodes["sales"]._evidence.waiting)
        assert not any((cluster.homes[name].evidence / path.name).exists() for name in ("finance", "administration"))


@pytest.mark.slow
async def test_evidence_that_was_not_reported_is_reported_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.commit(cluster.login("li"), via="sales")
        await cluster.agree(1)
        await cluster.stop("after_sales", "administration", "sales")
        await cluster.start("sales")
        for block in (1, 2):
            cluster.nodes["sales"]._driver.receive("finance", vote(cluster, block))
        await eventually((cluster.homes["sales"].evidence / f"{NAME}.evidence").exists)
        await cluster.stop("sales")
        await cluster.start("administration", "after_sales", "sales")
        key = state_key("evidence", NAME)
        await eventually(lambda: all(node.ledger.state.get(key) for node in cluster.nodes.values()))

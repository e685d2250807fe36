"""What one node finds, all have on the chain, and somebody without a node can check."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from chain.certificate import Vote, sign_vote
from chain.evidence import Evidence, Statement
from chain.state import state_key
from chain.transaction import Call
from consensus.effects import Accuse
from consensus.evidence import VOTE_EQUIVOCATION
from consensus.messages import VoteMessage
from node.replica.evidence import EvidenceBook
from tests.node.cluster import Cluster, eventually, key_of, running
from tests.node.node_kit import CHAIN, Chain

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


def accusation(department: str, height: int) -> Accuse:
    statements = (Statement(bytes([block]) * 32, bytes(64)) for block in (1, 2))
    evidence = Evidence.of(CHAIN, "prepare", 0, height, 0, department, *statements)
    return Accuse(department, VOTE_EQUIVOCATION, f"height {height}", evidence)


async def test_a_department_that_fills_its_share_of_the_folder_keeps_no_evidence_against_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.replica.evidence.FILES_MAX", 2)
    ledger, folder = Chain(tmp_path).ledger, tmp_path / "evidence"

    async def commit(_calls: Sequence[Call]) -> None:
        """It is not on the chain yet."""

    for heights in (range(2, 6), range(6, 8)):  # the second time after a restart
        book = EvidenceBook(folder, "administration", ledger, commit)
        for height in heights:
            book.note(accusation("finance", height))
        book.note(accusation("sales", heights[0]))
        running = asyncio.create_task(book.run())
        await eventually((folder / f"sales.{heights[0]}.0.prepare.evidence").exists)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert [path.name for path in sorted(folder.iterdir())] == [
        f"{name}.0.prepare.evidence" for name in ("finance.2", "finance.3", "sales.2", "sales.6")
    ]

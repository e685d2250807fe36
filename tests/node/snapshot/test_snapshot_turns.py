"""Whoever asks for old blocks or pieces without end takes neither the threads nor the others' turns."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chain import codec
from node.folder.config import Home, Snapshots
from node.peers.exchange import Handler
from node.snapshot.offers import PIECE_KIND
from node.snapshot.past import PAST_KIND
from node.snapshot.room import SnapshotRoom
from tests.node.node_kit import Chain
from tests.node.peer_kit import HeldUp, until

GREEDY = 12


@pytest.fixture
async def handlers(tmp_path: Path) -> dict[str, Handler]:
    """What a node serves of its snapshots."""
    chain, served = Chain(tmp_path), dict[str, Handler]()
    chain.append()
    peers: Any = SimpleNamespace(handle=served.__setitem__, request=None)
    SnapshotRoom(
        Home(tmp_path), "technical", chain.ledger, chain.blocks, Snapshots(), peers, lambda _: None, lambda: 0.0
    )
    return served


async def test_who_asks_for_old_blocks_all_the_time_leaves_the_threads_to_others(
    handlers: dict[str, Handler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those that store blocks: one peer could make a node wait for all its answers at each block."""
    stuck = HeldUp()
    monkeypatch.setattr("node.snapshot.room.answer_past", stuck)
    greedy = [asyncio.create_task(handlers[PAST_KIND]("sales", codec.encode([0, 0]))) for _ in range(GREEDY)]
    try:
        await until(lambda: stuck.begun)
        async with asyncio.timeout(30):
            assert await handlers[PAST_KIND]("finance", codec.encode([1, 0])) == codec.encode([1, 0])
        assert sorted(stuck.begun) == [0, 1]
    finally:
        stuck.may_end.set()
    async with asyncio.timeout(30):
        await asyncio.gather(*greedy)


async def test_who_asks_for_pieces_all_the_time_is_not_served_before_one_that_asks_once(
    handlers: dict[str, Handler], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = list[bytes](), threading.Event()

    def piece(_pin: object, _buckets: object, _gone: object, prefix: bytes) -> bytes:
        begun.append(prefix)
        may_end.wait()
        return prefix

    monkeypatch.setattr("node.snapshot.offers._piece", piece)
    greedy = [asyncio.create_task(handlers[PIECE_KIND]("sales", codec.encode([1, b"\x00"]))) for _ in range(GREEDY)]
    await until(lambda: begun)
    once = asyncio.create_task(handlers[PIECE_KIND]("finance", codec.encode([1, b"\x01"])))
    await asyncio.sleep(0)
    may_end.set()
    async with asyncio.timeout(30):
        await asyncio.gather(once, *greedy)
    assert begun.index(b"\x01") == 1

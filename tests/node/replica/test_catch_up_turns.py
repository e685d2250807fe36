"""Whoever gives blocks slowly, or only says that it has some, keeps nobody behind."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from chain import codec
from node.members.membership import Membership
from node.replica.catch_up import CatchUp
from node.snapshot.past import PAST_KIND
from tests.node.cluster import DEPARTMENTS
from tests.node.peer_kit import until
from tests.node.replica.test_catch_up import TOP, Bench, response
from tests.node.snapshot.test_snapshot_sync import Network, run


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


async def test_one_that_gives_a_block_at_a_time_has_its_turn_and_no_more(tmp_path: Path) -> None:
    """The slow one's status came first; the others are named while it is asked."""
    bench, is_slow_asked = Bench(tmp_path), asyncio.Event()
    may_answer = asyncio.Event()

    async def request(department: str, _kind: str, request: bytes, _timeout_s: float) -> bytes:
        from_height, _ = codec.decode(request, 64)
        bench.asked.append((department, from_height))
        if department != "finance":
            return bench.honest(from_height)
        is_slow_asked.set()
        await may_answer.wait()
        return response(bench.pair(from_height))

    ticks = itertools.count()
    catch_up = CatchUp(lambda: bench.own.ledger.height, request, bench.append, clock_s=lambda: float(next(ticks)))
    catch_up.start(TOP, ("finance",))
    await is_slow_asked.wait()
    catch_up.start(TOP, ("administration", "after_sales", "finance"))
    may_answer.set()
    await until(lambda: not catch_up.is_running)
    assert bench.own.ledger.height == TOP
    assert bench.asked == [("finance", 1), ("administration", 2)]


async def test_an_observer_is_not_kept_out_by_one_that_only_says_it_has_blocks(tmp_path: Path) -> None:
    """The liar comes first by name."""
    bench = Bench(tmp_path)

    async def request(department: str, _kind: str, request: bytes, _timeout_s: float) -> bytes:
        from_height, _ = codec.decode(request, 64)
        if department == "administration":
            return codec.encode_flat([[b"no block", b"no certificate"]])
        return bench.honest(from_height)

    catch_up = CatchUp(lambda: bench.own.ledger.height, request, bench.append)
    peers = SimpleNamespace(connected=("administration", "after_sales", "finance"), request=request)
    member = Membership.__new__(Membership)
    member._peers, member._ledger, member._far_blocks = peers, bench.own.ledger, 2_000  # type: ignore[assignment]
    for _ in range(TOP):
        await member._follow(catch_up)
        await until(lambda: not catch_up.is_running)
    assert bench.own.ledger.height == TOP


async def test_blocks_from_before_a_snapshot_are_not_left_to_one_that_gives_one_at_a_time(network: Network) -> None:
    async def trickle(kind: str, payload: bytes) -> bytes:
        raw = await network.honest(kind, payload)
        if kind != PAST_KIND:
            return raw
        rows, total, piece = codec.decode(raw, 1 << 24)
        return codec.encode_flat([rows[:1], total, piece])

    network.liars = {"administration": trickle}
    await run(network)
    asked = {name: network.asked[name, PAST_KIND] for name in DEPARTMENTS}
    assert asked["administration"] <= 5, asked


async def test_a_block_from_before_a_snapshot_that_comes_byte_by_byte_is_left_to_others(network: Network) -> None:
    """A byte each nine seconds would have been a year for one block, and no other way to the head meanwhile."""
    asked = list[bytes]()

    async def drip(kind: str, payload: bytes) -> bytes:
        if kind != PAST_KIND:
            return await network.honest(kind, payload)
        asked.append(payload)
        assert len(asked) < 50, "it is asked for ever"
        return codec.encode_flat([[], 9 << 20, b"x"])

    network.liars = {"administration": drip, "after_sales": drip}
    await run(network)
    assert network.whole == 1

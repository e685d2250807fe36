"""One peer's share of bytes and work: what is beyond it is dropped and counted, and costs nobody else anything."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from chain import codec
from node.peers.budget import ALLOWANCES, MIB, Allowance, Budget
from node.peers.frames import PAYLOAD_BYTES_MAX, Kind
from node.peers.transport import Peer, dial
from tests.node.peer_kit import FAST, HOST, Node, identity_of, key_of, running, until

SMALL = {**ALLOWANCES, Kind.GOSSIP: Allowance(bytes=1_000, work=10, burst=2, bytes_per_work=100, work_max=50)}


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_bytes_and_work_come_at_once_up_to_the_burst_and_then_at_the_rate() -> None:
    clock, over = Clock(), Counter[str]()
    budget = Budget(clock, over, SMALL)
    assert [budget.take(Kind.GOSSIP, 900) for _ in range(3)] == [True, True, False]  # 10 pieces of work each, of 20
    clock.now_s = 1.0
    assert [budget.take(Kind.GOSSIP, 900), budget.take(Kind.GOSSIP, 0)] == [True, False]
    clock.now_s = 1_000.0
    assert [budget.take(Kind.GOSSIP, 0) for _ in range(21)] == [True] * 20 + [False]
    assert over == {"gossip": 3}
    assert budget.take(Kind.CONSENSUS, 1 << 20)


def test_every_kind_of_a_link_has_an_allowance_and_its_largest_frame_fits() -> None:
    clock, over = Clock(), Counter[str]()
    budget = Budget(clock, over)
    for kind in (Kind.PING, Kind.CONSENSUS, Kind.GOSSIP, Kind.REQUEST, Kind.RESPONSE):
        assert budget.take(kind, PAYLOAD_BYTES_MAX[kind])
    assert not over


async def test_a_peer_that_floods_is_slowed_and_counted_and_others_are_heard() -> None:
    async with running("a", "b", "c", settings=replace(FAST, allowances=SMALL)) as nodes:
        for _ in range(60):
            nodes["b"].network.send("a", Kind.GOSSIP, bytes(900))
        health = lambda: {one.department: one.over_budget for one in nodes["a"].network.health()}  # noqa: E731
        nodes["b"].network.send("a", Kind.CONSENSUS, b"vote of b")
        nodes["c"].network.send("a", Kind.GOSSIP, b"batch of c")
        await until(lambda: ("c", Kind.GOSSIP, b"batch of c") in nodes["a"].messages)
        await until(lambda: ("b", Kind.CONSENSUS, b"vote of b") in nodes["a"].messages)
        await until(lambda: health()["b"].get("gossip", 0) >= 20)
        assert health()["c"] == {}
        assert "b" in nodes["a"].network.connected


async def test_who_dials_again_has_no_new_share() -> None:
    """A link costs some milliseconds, and with each of them came three seconds' worth at once."""
    once = replace(FAST, allowances={**ALLOWANCES, Kind.GOSSIP: Allowance(1, 1_000, 2_000, 1_000, 1)})
    table = {name: Peer(key_of(name).public, HOST, 1) for name in "ab"}
    victim = Node("b", table, once)
    await victim.start()
    try:
        for turn in range(5):
            link = await dial(identity_of("a"), "b", table["b"], 5.0)
            for _ in range(4):
                await link.send((Kind.GOSSIP, bytes(900)))
            await link.send((Kind.CONSENSUS, b"end %d" % turn))
            await until(lambda turn=turn: ("a", Kind.CONSENSUS, b"end %d" % turn) in victim.messages)  # type: ignore[misc]
            await link.close(goodbye=False)
            await until(lambda: victim.network.connected == ())
        assert sum(kind is Kind.GOSSIP for _, kind, _ in victim.messages) == 2
        assert victim.network.health()[0].over_budget == {"gossip": 18}
    finally:
        await victim.network.close()


async def test_requests_beyond_those_in_hand_are_counted_and_a_link_that_ends_keeps_no_answers() -> None:
    """S08: who asks and takes no answer is slowed; what was queued for it does not wait for the garbage collector."""
    table = {name: Peer(key_of(name).public, HOST, 1) for name in "ab"}
    victim = Node("b", table)
    await victim.start()
    victim.network.handle("blocks", big_answer)
    try:
        link = await dial(identity_of("a"), "b", table["b"], 5.0)
        await until(lambda: "a" in victim.network.connected)
        outbox = victim.network._connections["a"].outbox
        for number in range(100):
            await link.send((Kind.REQUEST, codec.encode_flat([number, "blocks", b""])))
        await until(lambda: victim.network.health()[0].over_budget.get("request", 0) > 0)
        await until(lambda: outbox.queued_bytes > 16 * MIB)
        await link.close(goodbye=False)
        await until(lambda: victim.network.connected == ())
        assert outbox.queued_bytes == 0
    finally:
        await victim.network.close()


async def big_answer(_department: str, _payload: bytes) -> bytes:
    await asyncio.sleep(0)
    return bytes(2 * MIB)

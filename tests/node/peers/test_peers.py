"""The peer network over real sockets: links that keep themselves up, queues that keep their bounds."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections import Counter

import pytest

from chain.errors import InvariantError, KehuError
from node.peers.frames import Kind
from node.peers.outbox import LANE_LIMITS, LaneLimit, Outbox
from node.peers.transport import PEER_UNKNOWN, Link, Peer, dial
from tests.node.peer_kit import FAST, HOST, PATIENCE_S, Node, Stranger, identity_of, key_of, running, until

LIMITS = dict(LANE_LIMITS) | {Kind.CONSENSUS: LaneLimit(3, 100), Kind.GOSSIP: LaneLimit(3, 100)}


async def join(port: int, name: str, server: str) -> Link:
    """A link of its own, without a network behind it: a peer that does only what the test makes it do."""
    return await dial(identity_of(name), server, Peer(key_of(server).public, HOST, port), 5.0)


async def until_goodbye(link: Link) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await link.receive())[0] is not Kind.GOODBYE:
            pass


async def test_every_department_has_one_link_to_every_other_and_messages_arrive_in_order() -> None:
    async with running("finance", "process", "sales", "technical") as nodes:
        for node in nodes.values():
            assert node.network.connected == tuple(sorted(set(nodes) - {node.name}))
            assert [health.links for health in node.network.health()] == [1, 1, 1]
        for number in range(100):
            assert nodes["sales"].network.broadcast(Kind.CONSENSUS, b"%d" % number) == 3
        nodes["sales"].network.send("finance", Kind.GOSSIP, b"batch")
        expected = [("sales", Kind.CONSENSUS, b"%d" % number) for number in range(100)]
        await until(lambda: all(len(nodes[name].messages) >= 100 for name in ("process", "technical")))
        await until(lambda: len(nodes["finance"].messages) == 101)
        assert nodes["process"].messages == nodes["technical"].messages == expected
        assert [message for message in nodes["finance"].messages if message[1] is Kind.CONSENSUS] == expected


async def test_a_frame_does_not_wait_until_the_one_before_is_acknowledged() -> None:
    """Nagle's algorithm with delayed acknowledgements put off a frame by 40 ms where the other side had dialled."""
    async with running("a", "b") as nodes:
        for name, other in (("a", "b"), ("b", "a")):
            held = nodes[name].network._connections[other].link._writer.get_extra_info("socket")
            assert held.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_closing_is_seen_by_the_others_as_an_orderly_leave() -> None:
    async with running("finance", "sales") as nodes:
        await nodes["finance"].network.close()
        await until(lambda: nodes["sales"].changes == ["+finance", "-finance"])
        [health] = nodes["sales"].network.health()
        assert (health.is_connected, health.connected_since_s, health.last_error) == (False, None, "closed")
        assert not nodes["sales"].network.send("finance", Kind.CONSENSUS, b"x")
        assert nodes["sales"].network.health()[0].dropped == {"consensus": 1}
        assert await nodes["finance"].network.failed is None


@pytest.mark.parametrize("restarted", ["finance", "sales"])
async def test_a_restarted_department_is_linked_again_whoever_dials(restarted: str) -> None:
    async with running("finance", "sales") as nodes:
        port, table = nodes[restarted].port, nodes[restarted].table
        other = nodes["sales" if restarted == "finance" else "finance"]
        await nodes[restarted].network.close()
        await until(lambda: not other.network.connected)
        nodes[restarted] = Node(restarted, table)
        await nodes[restarted].start(port)
        await until(lambda: other.network.connected == (restarted,) and nodes[restarted].network.connected)
        other.network.send(restarted, Kind.CONSENSUS, b"welcome back")
        await until(lambda: nodes[restarted].messages)
        assert other.network.health()[0].links == 2
        assert other.changes == [f"+{restarted}", f"-{restarted}", f"+{restarted}"]


async def test_a_department_that_is_down_is_dialled_with_growing_jittered_pauses() -> None:
    node = Node("finance", {"sales": Peer(key_of("sales").public, HOST, 1)})
    pauses = [node.network._backoff_s(failures) for failures in range(6)]
    assert pauses == pytest.approx([0.0075, 0.015, 0.03, 0.0375, 0.0375, 0.0375])
    await node.start()
    await until(lambda: node.network.health()[0].dials_failed >= 3)
    assert node.network.health()[0].last_error == "peer.unreachable"
    await node.network.close()


async def test_a_department_that_comes_up_is_dialled_at_once_however_long_the_pause() -> None:
    """It can't dial itself: its name comes last. Who was away for a minute would wait for as long as a pause may be."""
    patient = dataclasses.replace(FAST, backoff_first_s=600.0, backoff_max_s=600.0)
    table = {name: Peer(key_of(name).public, HOST, 1) for name in ("finance", "process", "sales")}
    nodes = {name: Node(name, table, patient) for name in table}
    try:
        for name in ("finance", "process"):
            await nodes[name].start()
            await until(lambda name=name: nodes[name].network.health()[-1].dials_failed == 1)
        await nodes["sales"].start()
        await until(lambda: nodes["sales"].network.connected == ("finance", "process"))
        assert nodes["sales"].network.health()[0].last_error is None
    finally:
        await asyncio.gather(*(node.network.close() for node in nodes.values()))


async def test_a_knock_under_another_key_makes_nobody_dial() -> None:
    nodes = {"finance": Node("finance", {"sales": Peer(key_of("sales").public, HOST, 1)})}
    await nodes["finance"].start()
    knocks = list[str]()
    nodes["finance"].network.listener._on_knock = knocks.append
    for key, code in (("thief", "peer.wrong_key"), ("sales", "peer.direction")):
        server = Peer(key_of("finance").public, HOST, nodes["finance"].port)
        with pytest.raises(KehuError) as raised:
            await dial(identity_of("sales", key_of(key)), "finance", server, 5.0)
        assert raised.value.details["reason"] == code
    await until(lambda: knocks)
    assert knocks == ["sales"]
    await nodes["finance"].network.close()


async def test_a_new_link_of_a_department_replaces_its_half_open_one() -> None:
    async with running("sales", "technical") as nodes:
        nodes["sales"].table["finance"] = Peer(key_of("finance").public, HOST, 1)
        port = nodes["sales"].port
        first = await join(port, "finance", "sales")
        await until(lambda: "finance" in nodes["sales"].network.connected)
        second = await join(port, "finance", "sales")
        await until(lambda: nodes["sales"].changes[-3:] == ["+finance", "-finance", "+finance"])
        await second.send((Kind.CONSENSUS, b"on the new link"))
        await until(lambda: nodes["sales"].messages)
        await until_goodbye(first)
        await first.close(goodbye=False)
        await second.close(goodbye=False)


async def test_a_silent_peer_is_let_go_and_the_others_are_not() -> None:
    settings = dataclasses.replace(FAST, silence_s=0.5)
    async with running("sales", "technical", settings=settings) as nodes:
        nodes["sales"].table["finance"] = Peer(key_of("finance").public, HOST, 1)
        half_open = await join(nodes["sales"].port, "finance", "sales")  # never sends anything, not even heartbeats
        await until(lambda: nodes["sales"].changes[-2:] == ["+finance", "-finance"])
        assert nodes["sales"].network.health()[0].last_error == "peer.silent"
        assert nodes["sales"].network.health()[1].links == 1
        await half_open.close(goodbye=False)


@pytest.mark.parametrize(
    ("kind", "payload"), [(Kind.CONSENSUS, (1 << 32) - 1), (77, 4), (Kind.HELLO, 4), (Kind.REQUEST, None)]
)
async def test_a_peer_that_breaks_the_protocol_loses_its_link_only(kind: int, payload: int | None) -> None:
    async with running("sales", "technical") as nodes:
        nodes["sales"].table["finance"] = Peer(key_of("finance").public, HOST, 1)
        link = await join(nodes["sales"].port, "finance", "sales")
        await until(lambda: "finance" in nodes["sales"].network.connected)
        Stranger(link._reader, link._writer).send(kind, b"\xc1", length=payload)
        await until(lambda: "-finance" in nodes["sales"].changes)
        assert nodes["sales"].network.health()[0].last_error == "peer.misbehaved"
        assert nodes["sales"].network.connected == ("technical",)
        nodes["technical"].network.send("sales", Kind.CONSENSUS, b"unaffected")
        await until(lambda: nodes["sales"].messages)
        assert not nodes["sales"].network.failed.done()
        await link.close(goodbye=False)


async def test_a_peer_that_does_not_read_fills_its_own_bounded_queue_and_holds_up_nobody() -> None:
    limits = dict(LANE_LIMITS) | {Kind.CONSENSUS: LaneLimit(50, 1 << 20), Kind.GOSSIP: LaneLimit(50, 1 << 20)}
    async with running("sales", "technical", settings=dataclasses.replace(FAST, lanes=limits)) as nodes:
        sales = nodes["sales"].network
        nodes["sales"].table["finance"] = Peer(key_of("finance").public, HOST, 1)
        deaf = await join(nodes["sales"].port, "finance", "sales")
        deaf._writer.transport.pause_reading()
        await until(lambda: "finance" in sales.connected)
        message = bytes(100_000)
        for _ in range(500):
            sales.send("finance", Kind.CONSENSUS, message)
            sales.send("finance", Kind.GOSSIP, message)
            await asyncio.sleep(0)
        health = sales.health()[0]
        assert health.queued_bytes <= 2 << 20
        assert health.dropped["consensus"] > 300
        assert health.dropped["gossip"] > 300
        sales.send("technical", Kind.CONSENSUS, b"unaffected")
        await until(lambda: nodes["technical"].messages)
        await deaf.close(goodbye=False)
        await until(lambda: "finance" not in sales.connected)


async def test_a_request_is_answered_or_refused_by_code() -> None:
    async with running("finance", "sales") as nodes:
        finance, sales = nodes["finance"].network, nodes["sales"].network

        async def echo(department: str, payload: bytes) -> bytes:
            return department.encode() + b":" + payload

        async def refuse(_: str, __: bytes) -> bytes:
            raise KehuError(PEER_UNKNOWN)

        async def fail(_: str, __: bytes) -> bytes:
            raise RuntimeError("the text of an error may quote values and stays here")

        for kind, handler in (("echo", echo), ("refuse", refuse), ("fail", fail)):
            sales.handle(kind, handler)
        answers = await asyncio.gather(*(finance.request("sales", "echo", b"%d" % n, 20.0) for n in range(60)))
        assert answers == [b"finance:%d" % n for n in range(60)]
        for kind, reason in (
            ("refuse", "peer.unknown_department"),
            ("fail", "peer.handler_failed"),
            ("unheard of", "peer.request_unknown"),
        ):
            with pytest.raises(KehuError) as caught:
                await finance.request("sales", kind, b"", 20.0)
            assert (caught.value.code, caught.value.details["reason"]) == ("peer.request_refused", reason)
        assert nodes["finance"].changes == ["+sales"]


async def test_an_unanswered_request_times_out_and_one_on_a_lost_link_fails_at_once() -> None:
    async with running("finance", "sales") as nodes:
        started = asyncio.Event()

        async def never(_: str, __: bytes) -> bytes:
            started.set()
            await asyncio.Event().wait()
            return b""

        nodes["sales"].network.handle("never", never)
        with pytest.raises(KehuError, match=r"peer\.timeout"):
            await nodes["finance"].network.request("sales", "never", b"", 0.05)
        await started.wait()
        pending = asyncio.create_task(nodes["finance"].network.request("sales", "never", b"", 60.0))
        await asyncio.sleep(0)
        await nodes["sales"].network.close()
        with pytest.raises(KehuError, match=r"peer\.disconnected"):
            await pending
        with pytest.raises(KehuError, match=r"peer\.disconnected"):
            await nodes["finance"].network.request("nobody", "never", b"", 60.0)


async def test_a_peer_that_asks_too_much_is_told_busy_and_more_asking_waits_its_turn() -> None:
    async with running("finance", "sales", settings=dataclasses.replace(FAST, asked_max=4, served_max=2)) as nodes:
        gate, working = asyncio.Event(), Counter[str]()

        async def slow(_: str, payload: bytes) -> bytes:
            working["now"] += 1
            working["most"] = max(working["most"], working["now"])
            await gate.wait()
            working["now"] -= 1
            return payload

        nodes["sales"].network.handle("slow", slow)
        ask = nodes["finance"].network.request
        asked = [asyncio.create_task(ask("sales", "slow", b"%d" % n, 20.0)) for n in range(10)]
        await until(lambda: sum(task.done() for task in asked) >= 8)
        gate.set()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, KehuError)]
        assert {error.details["reason"] for error in refused} == {"peer.busy"}
        assert working["most"] == 2
        assert len(refused) == 8


async def test_a_removed_or_rekeyed_department_loses_its_link_and_a_new_one_is_dialled() -> None:
    async with running("finance", "process", "sales") as nodes:
        finance, table = nodes["finance"].network, nodes["finance"].table
        kept = table["sales"]
        del table["process"]
        table["sales"] = Peer(key_of("sales, next key").public, HOST, kept.port)
        finance.refresh()
        await until(lambda: not finance.connected)
        assert [health.department for health in finance.health()] == ["sales"]
        await until(lambda: finance.health()[0].last_error == "peer.wrong_key")
        table["sales"] = kept
        await until(lambda: finance.connected == ("sales",))
        table["process"] = Peer(
            key_of("process").public, HOST, nodes["process"].network.listener._socket.getsockname()[1]
        )
        finance.refresh()
        await until(lambda: finance.connected == ("process", "sales"))


@pytest.mark.parametrize("where", ["message", "handler"])
async def test_a_broken_invariant_behind_a_callback_reaches_the_service(where: str) -> None:
    async with running("finance", "sales") as nodes:
        sales = nodes["sales"]

        def break_down(*_: object) -> None:
            raise InvariantError("two blocks at one height")

        async def handler(_: str, __: bytes) -> bytes:
            raise InvariantError("two blocks at one height")

        if where == "message":
            sales.messages = type("Bomb", (list,), {"append": break_down})()
            nodes["finance"].network.send("sales", Kind.CONSENSUS, b"x")
        else:
            sales.network.handle("bomb", handler)
            with pytest.raises(KehuError):
                await nodes["finance"].network.request("sales", "bomb", b"", 5.0)
        with pytest.raises(InvariantError):
            async with asyncio.timeout(5):
                await asyncio.shield(sales.network.failed)


async def test_a_port_that_is_taken_is_an_error_at_start() -> None:
    with socket.create_server((HOST, 0)) as taken:
        node = Node("sales", {})
        with pytest.raises(OSError):
            await node.network.start(HOST, taken.getsockname()[1])
        await node.network.close()


async def test_consensus_goes_first_and_gives_up_its_oldest() -> None:
    dropped: Counter[str] = Counter()
    box = Outbox(LIMITS, dropped)
    for number in range(5):
        assert box.offer(Kind.CONSENSUS, b"vote %d" % number)
    assert [box.offer(Kind.GOSSIP, b"batch %d" % number) for number in range(4)] == [True, True, True, False]
    box.offer(Kind.PING, b"")
    await box.put(Kind.RESPONSE, b"answer")
    taken = [await box.take() for _ in range(8)]
    assert taken[:4] == [(Kind.PING, b""), *((Kind.CONSENSUS, b"vote %d" % number) for number in (2, 3, 4))]
    assert taken[4:] == [
        (Kind.RESPONSE, b"answer"),
        *((Kind.GOSSIP, b"batch %d" % number) for number in range(3)),
    ]
    assert (dropped["consensus"], dropped["gossip"]) == (2, 1)
    assert (box.queued_bytes, box.queued_frames) == (0, 0)


async def test_a_large_frame_makes_room_by_bytes_and_one_that_fits_nowhere_else_still_goes() -> None:
    box = Outbox(LIMITS, Counter())
    for size in (40, 40, 90, 500):
        box.offer(Kind.CONSENSUS, bytes(size))
    assert await box.take() == (Kind.CONSENSUS, bytes(500))
    assert box.queued_frames == 0
    with pytest.raises(KehuError, match=r"frame\.invalid"):
        box.offer(Kind.PING, b"a heartbeat carries nothing")


async def test_waiting_for_room_ends_when_a_frame_is_taken() -> None:
    box = Outbox(LIMITS, Counter())
    for _ in range(3):
        box.offer(Kind.GOSSIP, b"x")
    waiting = [asyncio.create_task(box.put(Kind.GOSSIP, b"late %d" % n)) for n in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    for _ in range(5):
        await box.take()
        await asyncio.sleep(0)
        assert box.queued_frames <= 3
    assert all(task.done() for task in waiting)

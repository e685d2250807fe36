"""Catching up from peers that may lie about everything, and answering those that ask for everything."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chain import codec
from chain.block import Block
from chain.certificate import Certificate
from chain.crypto import digest
from chain.errors import InvariantError, KehuError
from chain.transaction import Call
from node.intake.mempool import Mempool
from node.intake.verification import BatchVerifier
from node.replica.agreement import Agreement
from node.replica.catch_up import (
    BLOCKS_MAX,
    RESPONSE_BYTES_MAX,
    BlockServer,
    CatchUp,
    answer_request,
    decode_response,
    encode_request,
)
from tests.node.node_kit import CHAIN, DEPARTMENTS, Chain, batch_of, certify, transact
from tests.node.peer_kit import HeldUp, until

TOP = 6
Answer = Callable[[int], bytes]


class Bench:
    """A node that is behind, and peers that answer as they like. `asked`: (department, from height) in order."""

    def __init__(self, folder: Path) -> None:
        self.own, self.others = Chain(folder / "own"), Chain(folder / "others")
        for number in range(TOP):
            self.others.append(batch_of(transact(sender="li" if number % 2 else "wang")))
        self.agreement = Agreement(
            "sales", self.own.ledger, self.own.blocks, Mempool("sales", 9, 9), BatchVerifier(CHAIN), None,  # type: ignore[arg-type]
            lambda: 0,
        )  # fmt: skip
        self.peers: dict[str, Answer] = {}
        self.asked: list[tuple[str, int]] = []
        self.catch_up = CatchUp(lambda: self.own.ledger.height, self.request, self.append)

    async def request(self, department: str, kind: str, request: bytes, timeout_s: float) -> bytes:
        assert kind == "blocks"
        from_height, _ = codec.decode(request, 64)
        self.asked.append((department, from_height))
        assert len(self.asked) < 500, "it asks for ever"
        await asyncio.sleep(0)
        return self.peers[department](from_height)

    async def append(self, block: Block, certificate: Certificate) -> None:
        await self.agreement.append_certified(block, certificate)

    def honest(self, from_height: int) -> bytes:
        return answer_request(self.others.blocks, TOP, encode_request(from_height))

    async def run(self, to_height: int = TOP, **peers: Answer) -> None:
        self.peers = peers
        self.catch_up.start(to_height, tuple(peers))
        assert self.catch_up._task is not None
        async with asyncio.timeout(30):
            await asyncio.shield(self.catch_up._task)
        assert not self.catch_up.is_running

    def pair(self, height: int) -> tuple[Block, Certificate]:
        certificate = self.others.blocks.certificate(height)
        assert certificate is not None
        return self.others.blocks.block(height), certificate


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.own.store.close()
    bench.others.store.close()


def response(*pairs: tuple[Block, Certificate]) -> bytes:
    return codec.encode_flat([[block.raw, certificate.to_bytes()] for block, certificate in pairs])


async def test_an_honest_peer_is_enough(bench: Bench) -> None:
    await bench.run(finance=bench.honest)
    assert bench.own.ledger.head.block_id == bench.others.ledger.head.block_id
    assert bench.own.ledger.state.root == bench.others.ledger.state.root
    assert bench.asked == [("finance", 1)]


async def test_a_peer_that_sends_little_at_a_time_is_asked_on(bench: Bench) -> None:
    await bench.run(finance=lambda height: response(bench.pair(height)))
    assert bench.own.ledger.height == TOP
    assert bench.asked == [("finance", height) for height in range(1, TOP + 1)]


def wrong_root(bench: Bench, height: int) -> tuple[Block, Certificate]:
    block, certificate = bench.pair(height)
    header = replace(block.header, state_root=digest("block", b"x"))
    return Block.of(header, block.parent_certificate, block.batches), certificate


LIES: dict[str, Callable[[Bench, int], bytes]] = {
    "nothing": lambda bench, height: response(),
    "garbage": lambda bench, height: b"\xff" * 999,
    "not pairs": lambda bench, height: codec.encode_flat([[b"only one"]]),
    "garbage blocks": lambda bench, height: codec.encode_flat([[b"block", b"certificate"]]),
    "over-long bytes": lambda bench, height: bytes(RESPONSE_BYTES_MAX + (1 << 20) + 1),
    "too many pairs": lambda bench, height: codec.encode_flat([[b"", b""]] * (BLOCKS_MAX + 1)),
    "another height": lambda bench, height: response(bench.pair(TOP)),
    "old heights": lambda bench, height: response(*[bench.pair(1)] * 9),
    "another certificate": lambda bench, height: response((bench.pair(height)[0], bench.pair(TOP)[1])),
    "a certificate by too few": lambda bench, height: response(
        (bench.pair(height)[0], certify(bench.pair(height)[0], members=DEPARTMENTS[:2]))
    ),
    "a forged header": lambda bench, height: response(wrong_root(bench, height)),
    "a hollow block": lambda bench, height: response(
        (Block.of(bench.pair(height)[0].header, bench.pair(height)[0].parent_certificate, []), bench.pair(height)[1])
    ),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lying_peer_is_passed_over_and_the_next_one_asked(bench: Bench, lie: str) -> None:
    await bench.run(administration=lambda height: LIES[lie](bench, min(height, TOP - 1)), finance=bench.honest)
    assert bench.own.ledger.head.block_id == bench.others.ledger.head.block_id
    assert bench.asked[0] == ("administration", 1)
    assert bench.asked[-1][0] == "finance"
    for height in range(1, TOP + 1):  # who asks this node later gets what a quorum signed
        certificate = bench.own.blocks.certificate(height)
        assert certificate is not None
        certificate.verify(bench.own.ledger.validators(height), CHAIN)


@pytest.mark.parametrize("lie", LIES)
async def test_when_all_lie_it_ends_and_can_be_started_again(bench: Bench, lie: str) -> None:
    liar = lambda height: LIES[lie](bench, min(height, TOP - 1))  # noqa: E731
    await bench.run(administration=liar, finance=liar)
    assert bench.own.ledger.height < TOP
    await bench.run(after_sales=bench.honest)
    assert bench.own.ledger.head.block_id == bench.others.ledger.head.block_id


async def test_a_height_that_nobody_can_prove_is_not_chased_for_ever(bench: Bench) -> None:
    await bench.run(to_height=10**9, finance=bench.honest, administration=bench.honest)
    assert bench.own.ledger.height == TOP
    assert len(bench.asked) < 20


async def test_good_blocks_before_a_bad_one_are_kept(bench: Bench) -> None:
    await bench.run(
        administration=lambda _: response(bench.pair(1), bench.pair(2), wrong_root(bench, 3)), finance=bench.honest
    )
    assert ("finance", 3) in bench.asked
    assert bench.own.ledger.height == TOP


async def test_peers_that_do_not_answer_are_passed_over(bench: Bench) -> None:
    def broken(_: int) -> bytes:
        raise ConnectionResetError

    def silent(_: int) -> bytes:
        raise TimeoutError

    await bench.run(administration=broken, after_sales=silent, finance=bench.honest)
    assert bench.own.ledger.height == TOP


async def test_a_further_start_only_raises_the_aim(bench: Bench) -> None:
    bench.peers = {"finance": lambda height: response(bench.pair(height))}
    bench.catch_up.start(2, ("finance",))
    task = bench.catch_up._task
    bench.catch_up.start(TOP, ("finance",))
    bench.catch_up.start(1, ("finance",))
    assert bench.catch_up._task is task
    assert task is not None
    await task
    assert bench.own.ledger.height == TOP


async def test_who_is_still_behind_at_its_aim_asks_on_at_once(bench: Bench) -> None:
    """The others decide more while an answer is made and executed, too far ahead for the replica to keep it."""
    known = iter([2, 3, TOP])
    upto = [2, TOP]

    def growing(from_height: int) -> bytes:
        return answer_request(bench.others.blocks, upto.pop(0), encode_request(from_height))

    bench.catch_up._further = lambda: next(known, 0)
    await bench.run(to_height=1, finance=growing)
    assert bench.own.ledger.height == TOP
    assert bench.asked == [("finance", 1), ("finance", 3)]


async def test_blocks_that_the_replica_appended_meanwhile_are_not_looked_at(bench: Bench) -> None:
    appended = []

    async def append(block: Block, certificate: Certificate) -> None:
        appended.append(block.header.height)
        await bench.append(block, certificate)
        if block.header.height == 2:
            for height in (3, 4):
                await bench.append(*bench.pair(height))

    bench.catch_up._append = append
    await bench.run(finance=bench.honest)
    assert appended == [1, 2, 5, 6]


async def test_whoever_is_slow_is_asked_last_the_next_time(bench: Bench) -> None:
    """One that gives a block just before the time for an answer is over would keep a node behind for ever: it is asked
    first, by name, each time that the others have gone on."""
    now_s = [0.0]

    def slow(height: int) -> bytes:
        now_s[0] += 4.9
        return response(bench.pair(height))

    def silent(_: int) -> bytes:
        now_s[0] += 5.0
        raise TimeoutError

    def quick(height: int) -> bytes:
        now_s[0] += 0.5
        return answer_request(bench.others.blocks, min(TOP, height + 1), encode_request(height))

    bench.catch_up._clock_s = lambda: now_s[0]
    for aim in (3, 4, TOP):
        await bench.run(aim, administration=slow, after_sales=silent, finance=quick)
    assert bench.asked == [
        ("administration", 1), ("after_sales", 2), ("finance", 2), ("finance", 4), ("finance", 6),
    ]  # fmt: skip


async def test_nothing_is_started_without_need_or_without_peers(bench: Bench) -> None:
    bench.catch_up.start(0, ("finance",))
    bench.catch_up.start(TOP, ())
    assert not bench.catch_up.is_running
    await bench.catch_up.stop()


async def test_a_stop_ends_a_catch_up_that_waits(bench: Bench) -> None:
    async def never(*_: object) -> bytes:
        await asyncio.Event().wait()
        return b""

    catch_up = CatchUp(lambda: 0, never, bench.append)
    catch_up.start(TOP, ("finance",))
    assert catch_up.is_running
    await catch_up.stop()
    assert not catch_up.is_running


async def test_a_block_that_a_quorum_certified_and_this_node_cannot_follow_is_no_lie(bench: Bench) -> None:
    block, _ = wrong_root(bench, 1)
    bench.peers = {"finance": lambda _: response((block, certify(block)))}
    bench.catch_up.start(1, ("finance",))
    with pytest.raises(InvariantError):
        await bench.catch_up._task  # type: ignore[misc]


# The other side


def heights(raw: bytes) -> list[int]:
    return [Block.from_bytes(block).header.height for block, _ in decode_response(raw)]


@pytest.mark.parametrize(
    ("from_height", "count", "expected"),
    [
        (0, 1 << 32, list(range(1, TOP + 1))),
        (1, BLOCKS_MAX, list(range(1, TOP + 1))),
        (2, 3, [2, 3, 4]),
        (TOP, 9, [TOP]),
        (TOP + 1, 9, []),
        (1 << 63, 1 << 63, []),
        (1, 0, []),
    ],
)
def test_a_request_is_answered_in_order_and_within_the_chain(
    bench: Bench, from_height: int, count: int, expected: list[int]
) -> None:
    raw = answer_request(bench.others.blocks, TOP, codec.encode_flat([from_height, count]))
    assert heights(raw) == expected


def test_an_answer_is_capped_in_number_and_in_bytes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    size = max(len(bench.others.blocks.block_bytes(height)) for height in range(1, TOP + 1))
    monkeypatch.setattr("node.replica.catch_up.BLOCKS_MAX", 2)
    assert heights(bench.honest(1)) == [1, 2]
    monkeypatch.setattr("node.replica.catch_up.BLOCKS_MAX", 500)
    monkeypatch.setattr("node.replica.catch_up.RESPONSE_BYTES_MAX", 2 * size)
    assert heights(bench.honest(1))[:1] == [1]
    assert len(heights(bench.honest(1))) < TOP
    monkeypatch.setattr("node.replica.catch_up.RESPONSE_BYTES_MAX", 1)
    assert len(bench.honest(1)) > 1  # one block always goes out, or nobody would ever get on


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"\xff", codec.encode_flat([1]), codec.encode_flat(["1", 2]), codec.encode_flat([-1, 2]), bytes(100)],
)
def test_a_malformed_request_is_refused(bench: Bench, request_bytes: bytes) -> None:
    with pytest.raises(KehuError, match="codec"):
        answer_request(bench.others.blocks, TOP, request_bytes)


async def test_a_long_catch_up_holds_one_answer_at_a_time_b45(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of 8 MB of refused calls, which leave nothing in the state, by answers of about 128 KB."""
    long, blocks, answer_bytes = Call("access.login", {"purpose": "x" * 60_000}), 140, 128 << 10
    for _ in range(blocks):
        bench.others.append(batch_of(transact(long, expires=bench.others.ledger.height + 9)))
    top = bench.others.ledger.height
    monkeypatch.setattr("node.replica.catch_up.RESPONSE_BYTES_MAX", answer_bytes)
    request = lambda height: answer_request(bench.others.blocks, top, encode_request(height))  # noqa: E731
    tracemalloc.start()
    try:
        await bench.run(top, finance=request)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert bench.own.ledger.head.block_id == bench.others.ledger.head.block_id
    assert len(bench.asked) > blocks // 3
    assert peak < 16 * answer_bytes < blocks * 60_000 // 4


async def test_who_asks_all_the_time_has_one_answer_in_the_making_and_others_do_not_wait_for_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S08: requests without end must not take the threads that store blocks."""
    stuck = HeldUp()
    monkeypatch.setattr("node.replica.catch_up.answer_request", stuck)
    server = BlockServer(bench.others.blocks, lambda: TOP)
    greedy = [asyncio.create_task(server.serve("sales", codec.encode([0, 1 << 32]))) for _ in range(12)]
    try:
        await until(lambda: stuck.begun)
        async with asyncio.timeout(30):
            assert await server.serve("finance", encode_request(1)) == encode_request(1)
        assert sorted(stuck.begun) == [0, 1]
        greedy[0].cancel()
    finally:
        stuck.may_end.set()
    async with asyncio.timeout(30):
        ends = await asyncio.gather(*greedy, return_exceptions=True)
    assert [end for end in ends if isinstance(end, bytes)] == [codec.encode([0, 1 << 32])] * 11

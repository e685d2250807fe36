"""A node turns clients away before they would have to wait longer than it promises, and not earlier."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from chain.errors import KehuError
from node.intake.admission import Admission
from node.intake.mempool import MEMPOOL_SENDER_LIMIT, SENDER_MIN, Mempool
from node.intake.pressure import MEMPOOL_BUSY, WAITING_MIN, WINDOW_MS, Pressure
from tests.node.node_kit import admitted, transact

WAIT_MAX_MS = 4_000


class World:
    """A clock, what is in the mempool, and blocks of the given ids."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.mempool: dict[bytes, None] = {}
        self.made = 0
        self.pressure = Pressure(WAIT_MAX_MS, self.mempool.__contains__, lambda: self.now_ms)

    def come(self, count: int) -> None:
        ids = [number.to_bytes(32, "big") for number in range(self.made, self.made + count)]
        self.made += count
        request = self.pressure.begin(count)
        self.mempool.update(dict.fromkeys(ids))
        self.pressure.end(request, ids)

    def commit(self, count: int) -> None:
        ids = list(self.mempool)[:count]
        for id_ in ids:
            del self.mempool[id_]
        block: Any = SimpleNamespace(executed=[(id_, 0) for id_ in ids])
        self.pressure.block_appended(block)

    def is_busy(self) -> bool:
        try:
            self.pressure.require_room()
        except KehuError as error:
            return error.spec is MEMPOOL_BUSY
        return False


@pytest.fixture
def world() -> World:
    return World()


def test_a_burst_on_an_idle_node_is_let_in(world: World) -> None:
    world.come(10_000)
    assert not world.is_busy()


def test_a_handful_may_wait_on_a_network_that_stands_still_and_more_may_not(world: World) -> None:
    world.come(WAITING_MIN - 1)
    world.now_ms += 3_600_000
    assert not world.is_busy()
    world.come(1)
    assert world.is_busy()


def test_a_node_that_is_never_busy_remembers_no_more_blocks_than_the_rate_is_taken_from(world: World) -> None:
    for _ in range(1_000):
        world.now_ms += 100
        world.come(1)
        world.commit(1)
        assert not world.is_busy()
    assert len(world.pressure._committed) <= WINDOW_MS // 100 + 1


@pytest.mark.parametrize(("per_step", "is_busy"), [(30, False), (10, True)])
def test_whoever_would_wait_too_long_at_the_present_rate_is_told_to_come_later(
    world: World, per_step: int, is_busy: bool
) -> None:
    world.come(1_000)
    for _ in range(10):
        world.now_ms += 100
        world.commit(per_step)
    assert world.is_busy() is is_busy


def test_the_time_to_come_again_grows_with_what_waits_up_to_what_was_promised(world: World) -> None:
    retries = []
    world.come(1_000)
    for _ in range(10):
        world.now_ms += 100
        world.commit(18)
    for _ in range(3):
        with pytest.raises(KehuError) as caught:
            world.pressure.require_room()
        assert caught.value.details["expected_ms"] > WAIT_MAX_MS
        retries.append(caught.value.details["retry_after_ms"])
        world.come(500)
    assert retries == sorted(retries)
    assert retries[0] < retries[-1] == WAIT_MAX_MS


def test_at_three_times_the_rate_what_is_let_in_waits_no_longer_than_promised(world: World) -> None:
    """200 a second go, 600 come: in the steady state the queue stays at what goes in the promised time."""
    longest = accepted = 0
    came: list[int] = []
    for step in range(6_000):  # a minute
        world.now_ms += 10
        for _ in range(6):
            if not world.is_busy():
                world.come(1)
                came.append(world.now_ms)
                accepted += 1
        if step % 5 == 4:
            gone = min(10, len(came))
            world.commit(gone)
            longest = max([longest, *(world.now_ms - at for at in came[:gone])])
            del came[:gone]
    assert longest <= WAIT_MAX_MS * 1.1
    assert accepted >= 0.98 * 200 * 60


def test_what_expired_is_not_waited_for(world: World) -> None:
    world.come(WAITING_MIN)
    world.now_ms += 60_000
    assert world.is_busy()
    world.mempool.clear()
    world.commit(0)
    assert world.pressure.waiting == 0
    assert not world.is_busy()


async def test_a_request_counts_while_it_is_in_hand_and_what_is_refused_afterwards_not(world: World) -> None:
    seen: list[int] = []

    async def submit(envelopes: Sequence[bytes], _values: object) -> list[Admission]:
        seen.append(world.pressure.waiting)
        return [Admission(None, KehuError(MEMPOOL_SENDER_LIMIT)) for _ in envelopes]

    await world.pressure.guarded(submit)([b"", b""], ())
    assert (seen, world.pressure.waiting) == ([2], 0)


def test_under_pressure_nobody_has_more_waiting_than_the_mean() -> None:
    mempool = Mempool("sales", 10_000, 2_000)
    li = [transact(sender="li", expires=20) for _ in range(40)]
    admitted(mempool, *li[:30])
    for other in ("wang", "wu"):
        admitted(mempool, transact(sender=other, expires=20))
    mempool.is_pressed = lambda: True
    with pytest.raises(KehuError) as caught:
        mempool.reserve(li[30])
    assert caught.value.spec is MEMPOOL_SENDER_LIMIT
    assert caught.value.details["limit"] == 32 // 3
    admitted(mempool, *[transact(sender="wang", expires=20) for _ in range(SENDER_MIN - 1)])

"""Work in the background rests while blocks come, and does not where nobody waits for anything."""

from __future__ import annotations

from node.giving_way import BUSY_S, GivingWay


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_where_no_block_has_come_lately_nothing_rests() -> None:
    clock = Clock()
    giving_way = GivingWay(clock)
    assert giving_way.rest_s(clock.now_s - 7) == 0
    giving_way.block_came()
    clock.now_s += BUSY_S
    assert giving_way.rest_s(clock.now_s - 7) == 0


def test_while_blocks_come_work_rests_as_long_as_it_took() -> None:
    clock = Clock()
    giving_way = GivingWay(clock)
    begun_s = clock.now_s
    clock.now_s += 0.25
    giving_way.block_came()
    clock.now_s += 0.5
    assert giving_way.rest_s(begun_s) == 0.75

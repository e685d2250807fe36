"""Work that is passed over is noticed; work that waits in a queue that moves is not."""

from __future__ import annotations

from node.intake.custody import Custody


def run(custody: Custody[str], height: int, included: list[str], waiting: set[str], *came: str) -> int:
    custody.appended(height, included, waiting)
    for item in came:
        custody.take(item)
    return custody.overtaken


def test_work_that_later_work_overtakes_block_after_block_is_counted() -> None:
    custody: Custody[str] = Custody()
    custody.take("theirs")
    counts = [run(custody, height, [f"own {height - 1}"], {"theirs"}, f"own {height}") for height in range(1, 8)]
    assert counts == [0, 0, 1, 2, 3, 4, 5]
    assert run(custody, 8, ["theirs"], set()) == 0


def test_what_nobody_gossiped_counts_as_having_come_with_its_block() -> None:
    custody: Custody[str] = Custody()
    custody.take("theirs")
    assert [run(custody, height, ["hidden"], {"theirs"}) for height in range(1, 5)] == [0, 0, 1, 2]


def test_a_backlog_that_moves_in_order_overtakes_nothing_however_long() -> None:
    custody: Custody[int] = Custody()
    queue = list(range(400))
    for item in queue:
        custody.take(item)
    for height in range(1, 60):
        included, queue = queue[:5], [*queue[5:], *range(1_000 + 5 * height, 1_005 + 5 * height)]
        custody.appended(height, included, set(queue))
        for item in queue:
            custody.take(item)
        assert custody.overtaken == 0


def test_neighbours_in_another_order_overtake_nothing() -> None:
    custody: Custody[str] = Custody()
    for item in ("a", "b"):
        custody.take(item)
    assert run(custody, 1, ["b"], {"a"}, "c") == 0
    assert run(custody, 2, ["c"], {"a"}) == 0

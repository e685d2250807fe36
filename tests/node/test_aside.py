"""Where work that waits for the disk is done: by what it took before."""

from __future__ import annotations

import threading

import pytest

from node.aside import QUICK_S, RUNS_ASIDE, Aside


class Disk:
    """Work of which a test says how long it takes, by a clock that only it moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.threads: list[bool] = []
        """For each run whether it was in the event loop's own thread."""

    def work(self, seconds: float, *, is_failing: bool = False) -> float:
        self.threads.append(threading.current_thread() is threading.main_thread())
        self.now_s += seconds
        if is_failing:
            raise OSError("the disk")
        return seconds


async def test_what_is_quick_is_done_in_place() -> None:
    disk = Disk()
    blocking = Aside(lambda: disk.now_s)
    for _ in range(100):
        assert await blocking(disk.work, QUICK_S / 2) == QUICK_S / 2
    assert all(disk.threads)


async def test_what_is_slow_goes_to_threads_after_two_times_and_is_tried_in_place_now_and_then() -> None:
    disk = Disk()
    blocking = Aside(lambda: disk.now_s)
    for _ in range(1 + 3 * (RUNS_ASIDE + 1)):
        await blocking(disk.work, QUICK_S * 2)
    assert disk.threads == [True] + 3 * [True, *[False] * RUNS_ASIDE]


async def test_what_took_long_now_and_then_because_others_had_the_processor_stays_in_place() -> None:
    disk = Disk()
    blocking = Aside(lambda: disk.now_s)
    for _ in range(100):
        await blocking(disk.work, QUICK_S * 2)
        await blocking(disk.work, QUICK_S / 2)
    assert all(disk.threads)


async def test_a_disk_that_got_quick_again_is_used_in_place_again_at_once() -> None:
    disk = Disk()
    blocking = Aside(lambda: disk.now_s)
    for _ in range(3):
        await blocking(disk.work, QUICK_S * 2)
    for _ in range(10):
        await blocking(disk.work, QUICK_S / 2)
    assert disk.threads == [True, True, False, False, *[True] * 9]


async def test_what_fails_raises_its_own_error_wherever_it_was_done() -> None:
    disk = Disk()
    blocking = Aside(lambda: disk.now_s)
    for _ in range(2):
        await blocking(disk.work, QUICK_S * 2)
    with pytest.raises(OSError, match="the disk"):
        await blocking(disk.work, QUICK_S * 2, is_failing=True)
    await blocking(disk.work, QUICK_S / 2)
    with pytest.raises(OSError, match="the disk"):
        await blocking(disk.work, QUICK_S * 2, is_failing=True)
    assert disk.threads == [True, True, False, False, True]

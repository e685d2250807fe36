"""What several ask for together: whose part of the answer is whose, and what becomes of them when it fails or ends."""

from __future__ import annotations

import asyncio

import pytest

from node.gathering import Gathering


async def doubled(items: list[int]) -> list[int]:
    return [2 * item for item in items]


async def test_each_has_the_answers_to_what_he_asked_in_his_order() -> None:
    gathering: Gathering[int, int] = Gathering()
    first, nothing, second = gathering.ask([3, 1]), gathering.ask([]), gathering.ask([2])
    assert len(gathering) == 3
    await gathering.answer(doubled)
    assert (await first, await nothing, await second) == ([6, 2], [], [4])
    assert len(gathering) == 0


async def test_who_asks_while_there_is_an_answer_to_others_waits_for_the_next() -> None:
    gathering: Gathering[int, int] = Gathering()
    late: list[asyncio.Future[list[int]]] = []

    async def work(items: list[int]) -> list[int]:
        late.append(gathering.ask([9]))
        return await doubled(items)

    early = gathering.ask([1])
    await gathering.answer(work)
    assert await early == [2]
    assert not late[0].done()
    await gathering.answer(doubled)
    assert await late[0] == [18]


async def test_nothing_is_done_when_nobody_asks() -> None:
    async def never(_: list[int]) -> list[int]:
        raise AssertionError

    await Gathering[int, int]().answer(never)


async def test_a_failure_is_the_error_of_all_who_asked() -> None:
    failure = OSError("the disk")

    async def fail(_: list[int]) -> list[int]:
        raise failure

    gathering: Gathering[int, int] = Gathering()
    both = [gathering.ask([1]), gathering.ask([2])]
    await gathering.answer(fail)
    assert [one.exception() for one in both] == [failure, failure]


async def test_who_went_away_keeps_nobody_else_from_his_answer() -> None:
    gathering: Gathering[int, int] = Gathering()
    gone, other = gathering.ask([1]), gathering.ask([2])
    gone.cancel()
    await gathering.answer(doubled)
    assert await other == [4]


@pytest.mark.parametrize("has_begun", [True, False])
async def test_nobody_is_left_waiting_when_it_is_cancelled_or_closed(has_begun: bool) -> None:
    gathering: Gathering[int, int] = Gathering()
    waiting, is_at_work = gathering.ask([1]), asyncio.Event()

    async def hang(_: list[int]) -> list[int]:
        is_at_work.set()
        await asyncio.Event().wait()
        return []

    if has_begun:
        task = asyncio.create_task(gathering.answer(hang))
        await is_at_work.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    gathering.close()
    assert waiting.cancelled()

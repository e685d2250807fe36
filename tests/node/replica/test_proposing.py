"""When a primary proposes: at once if nothing waited, and otherwise not too soon."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from consensus.effects import BuildProposal, Decide
from consensus.events import Event, ProposalBuilt, Started, WorkAvailable, WorkDone
from node.replica import driver as driver_module
from node.replica.driver import Driver
from tests.node.replica.driver_kit import INTERVAL_MS, Votes, World, decide


async def test_proposals_keep_their_interval_and_an_idle_primary_builds_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, pauses = World(), []
    real_sleep = asyncio.sleep

    async def sleep(delay_s: float) -> None:
        pauses.append(round(delay_s * 1000))
        world.now_ms += round(delay_s * 1000)
        await real_sleep(0)

    monkeypatch.setattr(driver_module.asyncio, "sleep", sleep)
    driver = Driver(world, world, Votes([]), lambda: Votes([]), lambda: world.now_ms, INTERVAL_MS)  # type: ignore[arg-type]
    for later_ms in (0, 30, INTERVAL_MS):  # a first proposal, one 30 ms after it, one a whole interval after that
        world.now_ms += later_ms
        await driver._build(BuildProposal(1, 0, b"parent"))
    assert pauses == [INTERVAL_MS - 30]


@dataclass
class Agreeing(World):
    """To agree on a block takes so long."""

    agreed_ms: int = 0

    async def decide(self, effect: Decide) -> Event:
        self.now_ms += self.agreed_ms
        return await super().decide(effect)


@pytest.mark.parametrize(
    ("agreed_ms", "is_next", "rests"),
    [(10, True, [10]), (200, True, [driver_module.PAUSE_MAX_MS]), (10, False, []), (0, True, [])],
)
async def test_a_primary_rests_as_long_as_the_last_block_took_if_the_next_ones_work_waited_already(
    monkeypatch: pytest.MonkeyPatch, agreed_ms: int, is_next: bool, rests: list[int]
) -> None:
    paused: list[int] = []
    real_sleep = asyncio.sleep

    async def sleep(delay_s: float) -> None:
        if delay_s:
            paused.append(round(delay_s * 1000))
        await real_sleep(0)

    monkeypatch.setattr(driver_module.asyncio, "sleep", sleep)
    again = WorkDone if is_next else WorkAvailable
    world = Agreeing(
        {Started: [BuildProposal(1, 0, b"parent")], ProposalBuilt: [decide(1)], again: [BuildProposal(2, 0, b"block")]},
        agreed_ms=agreed_ms,
    )
    driver = Driver(world, world, Votes([]), lambda: Votes([]), lambda: world.now_ms, 0)  # type: ignore[arg-type]
    task = asyncio.create_task(driver.run())
    for event in (Started(), WorkAvailable()):
        driver.post(event)
        for _ in range(20):
            await real_sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [step for step in world.trace if "note" not in step] == ["build 1", "decide 1", "build 2"]
    assert paused == rests

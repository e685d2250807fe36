"""The driver performs effects in order, votes on the disk before anything leaves, one step at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from chain.errors import InvariantError, KehuError, define
from consensus.effects import (
    Accuse,
    BuildProposal,
    CancelTimer,
    Decide,
    Effect,
    FetchBlocks,
    ForgetVotes,
    ObserverChanged,
    Persist,
    SetTimer,
    ValidateProposal,
    ViewEntered,
)
from consensus.events import (
    Event,
    MessageReceived,
    PeerConnected,
    ProposalValidated,
    Started,
    TimerFired,
    WorkAvailable,
    WorkDone,
)
from node.replica import driver as driver_module
from node.replica.driver import MESSAGES_PER_PEER_MAX, UNREAD_BYTES_MAX, Driver
from node.storage.durable import STORAGE_IO, StorageFailure
from tests.node.cluster import eventually
from tests.node.replica.driver_kit import INTERVAL_MS, Votes, World, broadcast, decide, driving, send

BAD_BLOCK = define("test.bad_block", "a block for these tests is bad", "don't")


async def test_effects_are_performed_in_their_order() -> None:
    effects = [
        ViewEntered(1, 0, "finance", True),
        send(b"one"),
        broadcast(b"two"),
        FetchBlocks(1, 9, ("finance",)),
        Accuse("sales", "lie", ""),
        decide(),
        ObserverChanged(False, 0),
    ]
    world = World({Started: effects})
    async with driving(world, Votes([])) as (driver, _):
        driver.post(Started())
        await eventually(lambda: WorkDone() in world.events)
    assert world.trace == [
        "note ViewEntered", "send finance one", "broadcast two", "fetch 9", "accuse sales", "decide 1",
        "note ObserverChanged",
    ]  # fmt: skip


async def test_votes_are_on_the_disk_before_the_first_message_that_follows_them() -> None:
    effects = [send(b"before"), Persist(1, b"p"), Persist(1, b"c"), broadcast(b"after"), Persist(1, b"v"), send(b"end")]
    world = World({Started: effects, WorkAvailable: [Persist(2, b"d"), decide(2)], WorkDone: [Persist(3, b"last")]})
    async with driving(world, Votes(world.trace)) as (driver, _):
        driver.post(Started())
        driver.post(WorkAvailable())
        await eventually(lambda: world.trace[-1:] == ["sync"])
    assert world.trace == [
        "send finance before", "append p", "append c", "sync", "broadcast after", "append v", "sync",
        "send finance end", "append d", "sync", "decide 2", "append last", "sync",
    ]  # fmt: skip


async def test_nothing_leaves_and_the_driver_ends_when_the_vote_log_fails() -> None:
    world = World({Started: [Persist(1, b"p"), broadcast()]})
    async with driving(world, Votes(world.trace, is_failing=True)) as (driver, task):
        driver.post(Started())
        with pytest.raises(StorageFailure):
            await task
    assert world.trace == ["append p"]


async def test_a_missing_vote_log_is_made_at_the_first_vote_and_not_before() -> None:
    world = World({Started: [broadcast(), ForgetVotes(1)], WorkAvailable: [Persist(5, b"p"), broadcast()]})

    def create() -> Votes:
        world.trace.append("create")
        return Votes(world.trace)

    async with driving(world, None, create) as (driver, _):
        driver.post(Started())
        driver.post(PeerConnected("finance"))
        await eventually(lambda: len(world.events) == 2)
        assert world.trace == ["broadcast vote"]
        driver.post(WorkAvailable())
        await eventually(lambda: len(world.trace) == 5)
    assert world.trace[1:] == ["create", "append p", "sync", "broadcast vote"]


async def test_the_vote_log_is_rewritten_when_it_is_large_and_keeps_what_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver_module, "LOG_BYTES_MAX", 50)
    effects = [Persist(1, b"a" * 20), ForgetVotes(1), Persist(2, b"b" * 20), ForgetVotes(2), Persist(3, b"c" * 20)]
    world = World({Started: [*effects, ForgetVotes(2)], WorkAvailable: [ForgetVotes(3)]})
    votes = Votes(world.trace)
    async with driving(world, votes) as (driver, _):
        driver.keep_votes([(0, b"old")])
        driver.post(Started())
        await eventually(lambda: world.trace[-1:] == ["sync"])
        assert not any(line.startswith("rewrite") for line in world.trace)  # the newest vote is still needed
        driver.post(WorkAvailable())
        await eventually(lambda: any(line.startswith("rewrite") for line in world.trace))
    # The newest record stays though it is obsolete: it says how far the chain in this folder must reach.
    assert world.trace[-1] == "rewrite " + "c" * 20


async def test_answers_are_stepped_before_whatever_waits_in_the_queue() -> None:
    world = World({Started: [ValidateProposal(1, 0, b"id", b"body", False)]})
    async with driving(world, Votes([])) as (driver, _):
        driver.post(Started())
        driver.post(WorkAvailable())
        await eventually(lambda: len(world.events) == 3)
    assert [type(event) for event in world.events] == [Started, ProposalValidated, WorkAvailable]


async def test_several_answers_of_one_step_are_stepped_in_their_order() -> None:
    world = World({Started: [ValidateProposal(1, 0, b"id", b"body", False), decide()]})
    async with driving(world, Votes([])) as (driver, _):
        driver.post(Started())
        await eventually(lambda: len(world.events) == 3)
    assert [type(event) for event in world.events] == [Started, ProposalValidated, WorkDone]


class Kept(World):
    """A replica that has kept what decides sixteen heights in a row, and a host that waits for nothing."""

    decided = 0
    on_decide: Callable[[int], object] = bool

    def step(self, event: Event, now_ms: int) -> tuple[Effect, ...]:
        super().step(event, now_ms)
        self.decided += 1
        return () if self.decided > 16 else (decide(self.decided),)

    async def decide(self, effect: Decide) -> Event:
        self.on_decide(effect.height)
        return await super().decide(effect)


async def test_others_have_their_turn_while_heights_whose_messages_were_kept_are_decided_one_after_the_other() -> None:
    world, turns = Kept(), list[int]()

    async def others() -> None:
        while True:
            turns.append(world.decided)
            await asyncio.sleep(0)

    async with driving(world, Votes([])) as (driver, _):
        beside = asyncio.create_task(others())
        await asyncio.sleep(0)
        driver.post(Started())
        await eventually(lambda: len(world.trace) == 16)
        beside.cancel()
    assert set(range(2, 17)) <= set(turns)


async def test_a_stop_waits_for_the_block_in_hand_and_not_for_those_that_would_follow_at_once() -> None:
    world = Kept()
    async with driving(world, Votes([])) as (driver, task):
        world.on_decide = lambda height: height == 3 and driver.stop()
        driver.post(Started())
        await task
    assert world.trace == ["decide 1", "decide 2", "decide 3"]


async def test_a_job_runs_between_steps_and_its_event_is_stepped_at_once() -> None:
    world = World({Started: [ValidateProposal(1, 0, b"id", b"body", False)]})

    async def job() -> Event | None:
        assert not world.is_stepping
        world.is_stepping = True
        await asyncio.sleep(0)
        world.is_stepping = False
        return WorkDone()

    async with driving(world, Votes([])) as (driver, _):
        driver.post(Started())
        performed = asyncio.create_task(driver.perform(job))
        await asyncio.sleep(0)
        driver.post(WorkAvailable())
        await performed
        await eventually(lambda: len(world.events) == 4)
    assert [type(event) for event in world.events] == [Started, ProposalValidated, WorkDone, WorkAvailable]


async def test_a_job_with_bad_data_tells_its_caller_and_the_driver_goes_on() -> None:
    world = World()

    async def job() -> Event | None:
        raise KehuError(BAD_BLOCK)

    async with driving(world, Votes([])) as (driver, task):
        with pytest.raises(KehuError, match=r"test\.bad_block"):
            await driver.perform(job)
        driver.post(Started())
        await eventually(lambda: world.events == [Started()])
        assert not task.done()


@pytest.mark.parametrize("error", [StorageFailure(STORAGE_IO), InvariantError("no"), ZeroDivisionError()], ids=str)
async def test_a_job_that_the_node_must_not_survive_ends_the_driver_with_its_error(error: Exception) -> None:
    async def job() -> Event | None:
        raise error

    async with driving(World(), Votes([])) as (driver, task):
        caller = asyncio.create_task(driver.perform(job))
        await asyncio.wait([task, caller])
        assert task.exception() is error
        assert caller.cancelled()


@pytest.mark.parametrize("effect", [ValidateProposal(1, 0, b"id", b"body", False), BuildProposal(1, 0, b"parent")])
async def test_a_failing_host_ends_the_driver_with_its_error(effect: Effect) -> None:
    world = World({Started: [effect]}, fault=InvariantError("can't be"), now_ms=INTERVAL_MS)
    async with driving(world, Votes([])) as (driver, task):
        driver.post(Started())
        with pytest.raises(InvariantError, match="can't be"):
            async with asyncio.timeout(20):
                await task


async def test_a_caller_that_goes_away_does_not_disturb_its_job() -> None:
    world, ran = World(), asyncio.Event()

    async def job() -> Event | None:
        ran.set()
        return WorkDone()

    async with driving(world, Votes([])) as (driver, task):
        caller = asyncio.create_task(driver.perform(job))
        await asyncio.sleep(0)
        caller.cancel()
        await ran.wait()
        await eventually(lambda: world.events == [WorkDone()])
        assert not task.done()


async def test_timers_come_back_as_events_unless_cancelled_or_set_anew() -> None:
    timers = [SetTimer("view", 1, 0), SetTimer("view", 2, 1), SetTimer("gone", 3, 0), CancelTimer("gone")]
    world = World({Started: [*timers, CancelTimer("never set")], WorkDone: [SetTimer("late", 4, 0)]})
    async with driving(world, Votes([])) as (driver, _):
        driver.post(Started())
        await eventually(lambda: TimerFired("view", 2) in world.events)
        driver.post(WorkDone())
        await eventually(lambda: TimerFired("late", 4) in world.events)
    fired = [event for event in world.events if isinstance(event, TimerFired)]
    assert fired == [TimerFired("view", 2), TimerFired("late", 4)]


async def test_no_timer_fires_after_the_driver_has_ended() -> None:
    world = World({Started: [SetTimer("view", 1, 5)]})
    async with driving(world, Votes([])) as (driver, task):
        driver.post(Started())
        await eventually(lambda: world.events)
        (handle,) = driver._timers.values()
        driver.stop()
        await task
        assert handle.cancelled()


async def test_one_peer_gets_its_share_of_the_queue_and_takes_none_of_the_others() -> None:
    world = World()
    driver = Driver(world, world, Votes([]), lambda: Votes([]), lambda: 0, 0)  # type: ignore[arg-type]
    for _ in range(MESSAGES_PER_PEER_MAX + 7):
        driver.receive("sales", b"flood")
    driver.receive("finance", b"vote")
    assert driver.dropped == 7
    task = asyncio.create_task(driver.run())
    await eventually(lambda: MessageReceived("finance", b"vote") in world.events)
    driver.receive("sales", b"again")
    await eventually(lambda: MessageReceived("sales", b"again") in world.events)
    assert driver.dropped == 7
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_large_messages_of_one_peer_wait_up_to_a_size_while_the_disk_is_slow() -> None:
    """Two thousand were let in whatever their size, up to 12 MiB each."""
    world = World()
    driver = Driver(world, world, Votes([]), lambda: Votes([]), lambda: 0, 0)  # type: ignore[arg-type]
    large = bytes(12 << 20)
    for _ in range(100):
        driver.receive("sales", large)
    driver.receive("finance", b"vote")
    assert driver.dropped == 100 - UNREAD_BYTES_MAX // len(large)
    task = asyncio.create_task(driver.run())
    await eventually(lambda: MessageReceived("finance", b"vote") in world.events)
    driver.receive("sales", large)
    await eventually(lambda: world.events[-1:] == [MessageReceived("sales", large)])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_work_that_was_done_meanwhile_is_not_reported() -> None:
    world = World(has_mempool=False)
    async with driving(world, Votes([])) as (driver, _):
        driver.work_came()
        driver.post(Started())
        await eventually(lambda: world.events)
        assert world.events == [Started()]
        world.has_mempool = True
        for _ in range(100):
            driver.work_came()
        driver.post(WorkDone())
        await eventually(lambda: WorkDone() in world.events)
    assert world.events == [Started(), WorkAvailable(), WorkDone()]


async def test_stopping_finishes_what_is_in_hand_and_nothing_else() -> None:
    release = asyncio.Event()
    world = World()

    async def job() -> Event | None:
        await release.wait()
        return WorkDone()

    async with driving(world, Votes([])) as (driver, task):
        performed = asyncio.create_task(driver.perform(job))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        driver.post(Started())
        driver.stop()
        release.set()
        await task
        await performed
    assert world.events == [WorkDone()]

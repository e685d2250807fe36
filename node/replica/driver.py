"""Where the replica meets the world: feeds it events one at a time and performs its effects in order.

One task takes events from one queue, so a step, its effects and the appending of a block never overlap. Votes
are written and flushed before the first message that follows them leaves. Building a proposal may wait for the
block interval, or rest under traffic; it happens beside the queue and comes back as an event like everything else.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Protocol, TypeAlias

from chain.errors import KehuError
from consensus.effects import (
    Accuse,
    Broadcast,
    BuildProposal,
    CancelTimer,
    Decide,
    Effect,
    FetchBlocks,
    ForgetVotes,
    ObserverChanged,
    Persist,
    Send,
    SetTimer,
    ValidateProposal,
    ViewEntered,
)
from consensus.events import Event, MessageReceived, NothingToPropose, ProposalBuilt, TimerFired, WorkAvailable
from consensus.votes import still_needed
from node.aside import Blocking
from node.members.protocol import Outdated
from node.storage.durable import StorageFailure
from node.storage.wal import VoteLog

MESSAGES_PER_PEER_MAX = 2_000
"""Unread consensus messages of one peer; more are dropped (the replica repeats what matters)."""
UNREAD_BYTES_MAX = 48 << 20
"""Of these, as many bytes as a correct peer has waiting for this node (node/peers/outbox.py): a message may have
megabytes, and while a disk is slow nothing is read."""
ITEMS_PER_TURN = 32
PAUSE_MAX_MS = 25
"""Under traffic a primary rests for as long as the block before took to be agreed on, and no longer than this: a block
costs every node milliseconds whatever it holds, and at half load they were as many as the processors could do."""
LOG_BYTES_MAX = 16 << 20
"""A vote log larger than this is rewritten once most of it is obsolete. Its records hold whole blocks."""
BODIES_KEPT = 8
"""Of how many blocks that were prepared at one height the vote log keeps the body, as the replica does in memory."""

Job: TypeAlias = Callable[[], Awaitable[Event | None]]
"""Something that must not overlap with a step, such as appending a block that catch-up brought."""


class Steps(Protocol):
    """What the driver needs of a replica."""

    def step(self, event: Event, now_ms: int) -> tuple[Effect, ...]: ...


class Host(Protocol):
    """What the driver needs of its node. Each method does what the effect of that name asks for."""

    def send(self, department: str, message: bytes) -> None: ...
    def broadcast(self, message: bytes) -> None: ...
    async def build(self, effect: BuildProposal) -> ProposalBuilt | NothingToPropose: ...
    async def validate(self, effect: ValidateProposal) -> Event: ...
    async def decide(self, effect: Decide) -> Event: ...
    def has_work(self) -> bool: ...
    def fetch_blocks(self, effect: FetchBlocks) -> None: ...
    def accuse(self, effect: Accuse) -> None: ...
    def note(self, effect: ViewEntered | ObserverChanged) -> None: ...


class Driver:
    """`clock_ms` is monotone; `interval_ms` the least pause between two proposals of this node. `blocking`
    flushes the vote log.

    `votes` None: there is no vote log. The replica then observes; `create_votes` makes one for its first vote after
    that. A log made earlier would, after a crash, look as if nothing had ever been signed.
    """

    def __init__(
        self,
        replica: Steps,
        host: Host,
        votes: VoteLog | None,
        create_votes: Callable[[], VoteLog],
        clock_ms: Callable[[], int],
        interval_ms: int,
        blocking: Blocking = asyncio.to_thread,
    ) -> None:
        self._replica = replica
        self._host = host
        self._votes = votes
        self._create_votes = create_votes
        self._clock_ms = clock_ms
        self._interval_ms = interval_ms
        self._blocking = blocking
        self._queue: asyncio.Queue[Event | Job] = asyncio.Queue()
        self._follow_ups: deque[Event] = deque()
        self._unread: Counter[str] = Counter()
        self._unread_bytes: Counter[str] = Counter()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._builds: set[asyncio.Task[None]] = set()
        self._proposed_ms = -interval_ms
        self._decided_ms = 0
        self._kept_votes: list[tuple[int, bytes]] = []
        self._needed_bytes = 0
        """Of the records kept when it was last looked which of them are still needed."""
        self._unsynced = False
        self._is_work_queued = False
        self._is_stopping = False
        self._decided = 0
        """Blocks since the item in hand was taken."""
        self.heard_ms: dict[str, int] = {}
        """When each peer last said something (by `clock_ms`)."""
        self.dropped = 0

    def keep_votes(self, records: list[tuple[int, bytes]]) -> None:
        """The (height, record) pairs that the vote log holds at start, for when it is rewritten."""
        self._kept_votes = list(records)

    @property
    def voted_height(self) -> int | None:
        """The highest that the vote log knows of; None without a log."""
        return None if self._votes is None else max((height for height, _ in self._kept_votes), default=0)

    def post(self, event: Event) -> None:
        self._queue.put_nowait(event)

    def receive(self, sender: str, data: bytes) -> None:
        """Bytes of a peer; beyond its share of the queue they are dropped and counted."""
        self.heard_ms[sender] = self._clock_ms()
        is_over = self._unread_bytes[sender] + len(data) > UNREAD_BYTES_MAX
        if self._unread[sender] >= MESSAGES_PER_PEER_MAX or (is_over and self._unread[sender]):
            self.dropped += 1
            return
        self._unread[sender] += 1
        self._unread_bytes[sender] += len(data)
        self._queue.put_nowait(MessageReceived(sender, data))

    def timers(self) -> list[tuple[str, int]]:
        """The running timers and when each fires (by `clock_ms`), by name."""
        loop_ms, now_ms = asyncio.get_running_loop().time() * 1000, self._clock_ms()
        running = [(name, handle) for name, handle in sorted(self._timers.items()) if handle.when() * 1000 >= loop_ms]
        return [(name, now_ms + round(handle.when() * 1000 - loop_ms)) for name, handle in running]

    def work_came(self) -> None:
        """The mempool got something. Whether it is still there is looked at when its turn has come: a replica that is
        told of work which was executed meanwhile would wait for a block that nobody can make."""
        if not self._is_work_queued:
            self._is_work_queued = True
            self._queue.put_nowait(self._look_for_work)

    async def _look_for_work(self) -> Event | None:
        self._is_work_queued = False
        return WorkAvailable() if self._host.has_work() else None

    async def perform(self, job: Job) -> None:
        """Runs `job` between two steps and returns when it is done; its event, if any, is stepped at once.

        Bad data (a KehuError) is the caller's to deal with. Anything else ends `run`, and the caller is cancelled.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def run() -> Event | None:
            try:
                event = await job()
            except BaseException as error:
                if isinstance(error, KehuError) and not isinstance(error, (StorageFailure, Outdated)):
                    if not done.done():
                        done.set_exception(error)
                    return None
                done.cancel()
                raise
            if not done.done():
                done.set_result(None)
            return event

        self._queue.put_nowait(run)
        await done

    async def run(self) -> None:
        """Until stopped, or until something happens that the node must not survive."""
        try:
            handled = 0
            while not self._is_stopping:
                await self._handle(await self._queue.get())
                handled += 1
                if handled % ITEMS_PER_TURN == 0:
                    await asyncio.sleep(0)  # where nothing has to be waited for, the others still get their turn
        finally:
            for handle in self._timers.values():
                handle.cancel()
            for task in self._builds:
                task.cancel()

    def stop(self) -> None:
        """`run` returns after what it has in hand, so that a block is appended wholly or not at all."""
        self._is_stopping = True
        self._queue.put_nowait(_nothing)

    async def _handle(self, item: Event | Job) -> None:
        if callable(item):
            event = await item()
            if event is None:
                return
        else:
            event = item
            if isinstance(event, MessageReceived):
                self._unread[event.sender] -= 1
                self._unread_bytes[event.sender] -= len(event.data)
        self._decided = 0
        self._follow_ups.append(event)
        while self._follow_ups and not (self._is_stopping and self._decided):
            for effect in self._replica.step(self._follow_ups.popleft(), self._clock_ms()):
                await self._perform(effect)
            await self._flush()

    async def _perform(self, effect: Effect) -> None:  # noqa: C901 (one line per effect)
        match effect:
            case Persist(height, record):
                self._log().append([record])
                self._kept_votes.append((height, record))
                self._unsynced = True
            case Send(department, message):
                await self._flush()
                self._host.send(department, message.to_bytes())
            case Broadcast(message):
                await self._flush()
                self._host.broadcast(message.to_bytes())
            case SetTimer(timer, token, delay_ms):
                self._set_timer(timer, token, delay_ms)
            case CancelTimer(timer):
                self._cancel_timer(timer)
            case BuildProposal():
                self._start_build(effect)
            case ValidateProposal():
                self._follow_ups.append(await self._host.validate(effect))
            case Decide():
                await self._decide(effect)
            case ForgetVotes(height):
                await self._forget_votes(height)
            case FetchBlocks():
                self._host.fetch_blocks(effect)
            case Accuse():
                self._host.accuse(effect)
            case ViewEntered() | ObserverChanged():
                self._host.note(effect)

    async def _decide(self, effect: Decide) -> None:
        await self._flush()
        self._follow_ups.append(await self._host.decide(effect))
        self._decided, self._decided_ms = self._decided + 1, self._clock_ms()
        if self._decided > 1:
            await asyncio.sleep(0)  # heights whose messages were kept follow at once: the others get their turn

    def _log(self) -> VoteLog:
        if self._votes is None:
            self._votes = self._create_votes()
        return self._votes

    async def _flush(self) -> None:
        if self._unsynced:
            await self._blocking(self._log().sync)
            self._unsynced = False
            if _size(self._kept_votes) > LOG_BYTES_MAX + 2 * self._needed_bytes:
                await self._forget_views()

    async def _forget_views(self) -> None:
        """A height that is not decided has a record or two for each view, and views go on as long as it does."""
        self._kept_votes = [
            (height, record)
            for height, kept in groupby(self._kept_votes, key=lambda kept: kept[0])
            for record in still_needed([record for _, record in kept], BODIES_KEPT)
        ]
        self._needed_bytes = _size(self._kept_votes)
        await self._rewrite_if_large(self._needed_bytes)

    async def _forget_votes(self, height: int) -> None:
        """Obsolete records leave memory at once and the log when it has grown.

        The newest record stays: a chain that does not reach up to it is not the one this node voted on.
        """
        needed = [kept for kept in self._kept_votes if kept[0] > height]
        self._kept_votes = needed or self._kept_votes[-1:]
        self._needed_bytes = 0
        await self._rewrite_if_large(_size(needed))

    async def _rewrite_if_large(self, needed_bytes: int) -> None:
        if self._votes is not None and self._votes.size_bytes > LOG_BYTES_MAX + 2 * needed_bytes:
            await self._flush()
            await asyncio.to_thread(self._votes.rewrite, [record for _, record in self._kept_votes])

    def _set_timer(self, timer: str, token: int, delay_ms: int) -> None:
        self._cancel_timer(timer)
        loop = asyncio.get_running_loop()
        self._timers[timer] = loop.call_later(delay_ms / 1000, self.post, TimerFired(timer, token))

    def _cancel_timer(self, timer: str) -> None:
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.cancel()

    def _start_build(self, effect: BuildProposal) -> None:
        task = asyncio.get_running_loop().create_task(self._build(effect, is_next=self._decided > 0))
        self._builds.add(task)
        task.add_done_callback(self._built)

    async def _build(self, effect: BuildProposal, *, is_next: bool = False) -> None:
        """`is_next`: work waited already when the block before was decided."""
        may_ms = self._proposed_ms + self._interval_ms
        if is_next:
            may_ms = max(may_ms, self._decided_ms + min(self._decided_ms - self._proposed_ms, PAUSE_MAX_MS))
        wait_ms = may_ms - self._clock_ms()
        if wait_ms > 0:
            await asyncio.sleep(wait_ms / 1000)
        event = await self._host.build(effect)
        if isinstance(event, ProposalBuilt):
            self._proposed_ms = self._clock_ms()
        self.post(event)

    def _built(self, task: asyncio.Task[None]) -> None:
        self._builds.discard(task)
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()

            async def fail() -> Event | None:
                raise error  # type: ignore[misc]

            self._queue.put_nowait(fail)


async def _nothing() -> Event | None:
    return None


def _size(kept: list[tuple[int, bytes]]) -> int:
    return sum(len(record) for _, record in kept)

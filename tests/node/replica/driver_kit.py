"""A driver among stand-ins: a replica that does what it is told, a host that writes all down, a vote log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from consensus.effects import (
    Accuse,
    Broadcast,
    BuildProposal,
    Decide,
    Effect,
    FetchBlocks,
    ObserverChanged,
    Send,
    ValidateProposal,
    ViewEntered,
)
from consensus.events import Event, NothingToPropose, ProposalBuilt, ProposalValidated, WorkDone
from node.replica.driver import Driver
from node.storage.durable import STORAGE_IO, StorageFailure

INTERVAL_MS = 100


class Message:
    """Stands for a protocol message: the driver only asks for its bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def to_bytes(self) -> bytes:
        return self._data


def send(data: bytes = b"vote") -> Any:
    return Send("finance", Message(data))


def broadcast(data: bytes = b"vote") -> Any:
    return Broadcast(Message(data))


@dataclass
class Votes:
    """A vote log that writes down in `trace` what is asked of it."""

    trace: list[str]
    size_bytes: int = 0
    is_failing: bool = False

    def append(self, records: Iterable[bytes]) -> None:
        for record in records:
            self.size_bytes += len(record)
            self.trace.append(f"append {record.decode()}")

    def sync(self) -> None:
        if self.is_failing:
            raise StorageFailure(STORAGE_IO, path="votes.log")
        self.trace.append("sync")

    def rewrite(self, records: list[bytes]) -> None:
        self.size_bytes = sum(map(len, records))
        self.trace.append("rewrite " + " ".join(record.decode() for record in records))


@dataclass
class World:
    """A replica that does what it is told (`answers`: event type -> effects) and a host that writes all down."""

    answers: dict[type, list[Effect]] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    now_ms: int = 0
    has_mempool: bool = True
    is_stepping: bool = False
    fault: Exception | None = None

    def step(self, event: Event, now_ms: int) -> tuple[Effect, ...]:
        assert not self.is_stepping
        self.events.append(event)
        return tuple(self.answers.pop(type(event), ()))

    def send(self, department: str, message: bytes) -> None:
        self.trace.append(f"send {department} {message.decode()}")

    def broadcast(self, message: bytes) -> None:
        self.trace.append(f"broadcast {message.decode()}")

    async def build(self, effect: BuildProposal) -> ProposalBuilt | NothingToPropose:
        if self.fault is not None:
            raise self.fault
        self.trace.append(f"build {effect.height}")
        return ProposalBuilt(effect.height, effect.view, b"id", b"body")

    async def validate(self, effect: ValidateProposal) -> Event:
        if self.fault is not None:
            raise self.fault
        self.is_stepping = True
        await asyncio.sleep(0)
        self.is_stepping = False
        self.trace.append(f"validate {effect.height}")
        return ProposalValidated(effect.height, effect.view, effect.block_id, True)

    async def decide(self, effect: Decide) -> Event:
        self.trace.append(f"decide {effect.height}")
        return WorkDone()

    def has_work(self) -> bool:
        return self.has_mempool

    def fetch_blocks(self, effect: FetchBlocks) -> None:
        self.trace.append(f"fetch {effect.to_height}")

    def accuse(self, effect: Accuse) -> None:
        self.trace.append(f"accuse {effect.department}")

    def note(self, effect: ViewEntered | ObserverChanged) -> None:
        self.trace.append(f"note {type(effect).__name__}")


@asynccontextmanager
async def driving(
    world: World, votes: Votes | None = None, create: Callable[[], Votes] | None = None
) -> AsyncIterator[tuple[Driver, asyncio.Task[None]]]:
    maker: Any = create or (lambda: Votes(world.trace))
    driver = Driver(world, world, votes, maker, lambda: world.now_ms, INTERVAL_MS)  # type: ignore[arg-type]
    task = asyncio.create_task(driver.run())
    try:
        yield driver, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def decide(height: int = 1) -> Any:
    return Decide(height, b"id", b"body", None)  # type: ignore[arg-type]

"""A simulated node: a real replica, a disk that survives, a mempool, and a driver that can die at any effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chain.crypto import Signer
from consensus.config import ReplicaConfig
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
from consensus.events import (
    Appended,
    Event,
    NothingToPropose,
    ProposalBuilt,
    ProposalValidated,
    Started,
    TimerFired,
    WorkAvailable,
    WorkDone,
)
from consensus.replica import Replica
from consensus.replica_state import Head
from tests.simulation.blocks import Disk, block_id_of

if TYPE_CHECKING:
    from tests.simulation.world import World

BLOCK_TRANSACTIONS_MAX = 5


class SimNode:
    """`name` is the department; `twin` tells the two nodes of an equivocating department apart."""

    def __init__(self, world: World, name: str, signer: Signer, twin: int = 0) -> None:
        self.world, self.name, self.signer, self.twin = world, name, signer, twin
        self.disk = Disk()
        self.mempool: set[int] = set()
        self.replica: Replica | None = None
        self.life = 0
        self.timers: dict[str, int] = {}
        self.is_fetching = False
        self.crash_after_effects: int | None = None
        self.clock_rate = 1.0

    @property
    def is_up(self) -> bool:
        return self.replica is not None

    def start(self) -> None:
        """Boots from the disk. The first life of a node has an empty vote log; a lost one is None."""
        world, disk = self.world, self.disk
        certificate = disk.blocks[-1][2] if disk.blocks else None
        config = ReplicaConfig(self.name, world.chain_id, **world.limits)
        head = Head(disk.height, disk.head_id, certificate, world.validators)
        records = None if disk.is_log_lost else [record for _, record in disk.votes]
        self.life += 1
        self.timers, self.is_fetching = {}, False
        self.replica = Replica(config, self.signer, head, records, world.check)
        self.handle(Started())
        if self.waiting():
            self.handle(WorkAvailable())

    def crash(self) -> None:
        """Power off: of what was written and not yet synced, a beginning survives."""
        survivors = self.world.rng.randint(0, len(self.disk.unsynced))
        for height, record in self.disk.unsynced[:survivors]:
            self.disk.votes.append((height, record))
            self.world.checker.on_durable(self.checked_name, record)
        self.disk.unsynced = []
        self.replica = None
        self.crash_after_effects = None
        self.world.schedule_restart(self)

    @property
    def checked_name(self) -> str:
        """Twins are one faulty department; the checker does not know them."""
        return self.name

    def waiting(self) -> list[int]:
        return sorted(self.mempool - self.disk.executed.keys())

    def learn(self, transactions: list[int]) -> None:
        """Gossip brought these."""
        is_idle = not self.waiting()
        self.mempool.update(transactions)
        if self.replica is not None and is_idle and self.waiting():
            self.handle(WorkAvailable())

    def expire(self) -> None:
        if self.replica is not None and not self.waiting():
            self.handle(WorkDone())

    def handle(self, event: Event) -> None:
        if self.replica is None:
            return
        effects = self.replica.step(event, self.world.now_ms)
        self.world.trace(self, event, effects)
        for effect in effects:
            if self.crash_after_effects is not None:
                self.crash_after_effects -= 1
                if self.crash_after_effects < 0:
                    self.world.count("crash")
                    self.crash()
                    return
            self.perform(effect)
        self.sync()

    def sync(self) -> None:
        for _, record in self.disk.unsynced:
            self.world.checker.on_durable(self.checked_name, record)
        self.disk.sync()

    def later(self, event: Event, delay_ms: int) -> None:
        self.world.at(delay_ms, self.deliver, self.life, event)

    def deliver(self, life: int, event: Event) -> None:
        if self.is_up and life == self.life:
            self.handle(event)

    def perform(self, effect: Effect) -> None:
        rng = self.world.rng
        match effect:
            case Persist(height, record):
                self.disk.unsynced.append((height, record))
            case Send(department, message):
                self.sync()
                self.world.send(self, (department,), message)
            case Broadcast(message):
                self.sync()
                self.world.send(self, self.world.others(self.name), message)
            case SetTimer(timer, token, delay_ms):
                self.timers[timer] = token
                self.world.at(int(delay_ms * self.clock_rate), self.fire, self.life, timer, token)
            case CancelTimer(timer):
                self.timers.pop(timer, None)
            case BuildProposal(height, view, _):
                self.world.at(rng.randint(0, 4), self.build, self.life, height, view)
            case ValidateProposal(height, view, block_id, body, _):
                problem = self.disk.problem_of(block_id, body) if height == self.disk.height + 1 else "block.height"
                self.later(ProposalValidated(height, view, block_id, not problem, problem), rng.randint(0, 4))
            case Decide():
                self.world.checker.on_decide(self.name, self.life, effect.height)
                self.world.at(rng.randint(0, 4), self.append_decided, self.life, effect)
            case FetchBlocks(_, _, departments):
                if not self.is_fetching:
                    self.is_fetching = True
                    self.world.count("fetch")
                    self.world.at(rng.randint(2, 60), self.fetch, self.life, departments)
            case ForgetVotes(height):
                self.disk.votes = [entry for entry in self.disk.votes if entry[0] > height]
            case Accuse():
                self.world.on_accuse(self, effect)
            case ObserverChanged():
                if not effect.is_observer:
                    self.disk.is_log_lost = False
                self.world.on_info(self, effect)
            case ViewEntered():
                self.world.on_info(self, effect)

    def fire(self, life: int, timer: str, token: int) -> None:
        if self.is_up and life == self.life and self.timers.get(timer) == token:
            del self.timers[timer]
            self.handle(TimerFired(timer, token))

    def build(self, life: int, height: int, view: int) -> None:
        if not self.is_up or life != self.life:
            return
        waiting = self.waiting()[:: 1 if self.twin == 0 else -1][:BLOCK_TRANSACTIONS_MAX]
        if height != self.disk.height + 1 or not waiting:
            self.handle(NothingToPropose(height, view))
            return
        body = self.disk.build(sorted(waiting))
        self.handle(ProposalBuilt(height, view, block_id_of(body), body))

    def append_decided(self, life: int, effect: Decide) -> None:
        if not self.is_up or life != self.life or effect.height <= self.disk.height:
            return
        self.append(effect.block_id, effect.body, effect.certificate)

    def append(self, block_id: bytes, body: bytes, certificate: object) -> None:
        disk, world = self.disk, self.world
        problem = disk.problem_of(block_id, body)
        world.checker.on_append(self.name, disk.height + 1, block_id, certificate)  # type: ignore[arg-type]
        if problem:
            raise AssertionError(f"{self.name} was to append height {disk.height + 1}: {problem}")
        disk.append(block_id, body, certificate)  # type: ignore[arg-type]
        world.progress_ms = world.now_ms
        self.handle(Appended(disk.height, block_id, certificate, world.validators, bool(self.waiting())))  # type: ignore[arg-type]

    def fetch(self, life: int, departments: tuple[str, ...]) -> None:
        """Catch-up: a few blocks from somebody who is ahead and reachable."""
        if not self.is_up or life != self.life:
            return
        self.is_fetching = False
        ahead = [node for node in self.world.reachable(self) if node.disk.height > self.disk.height]
        preferred = [node for node in ahead if node.name in departments] or ahead
        if not preferred:
            return
        source = self.world.rng.choice(preferred)
        for entry in source.disk.blocks[self.disk.height : self.disk.height + 8]:
            if not self.is_up or life != self.life or self.disk.height >= source.disk.height:
                return
            self.append(*entry)

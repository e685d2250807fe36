"""A simulated node: a real replica, a disk that survives, a mempool, and a driver that can die at any effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chain.certificate import Certificate
from chain.crypto import Signer
from chain.errors import KehuError
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
    MessageReceived,
    NothingToPropose,
    ProposalBuilt,
    ProposalValidated,
    Started,
    TimerFired,
    WorkAvailable,
)
from consensus.replica import Replica
from consensus.replica_state import Head
from node.intake.custody import Custody
from tests.simulation.actors.base import Actor
from tests.simulation.disk import Block, Disk, block_id_of

if TYPE_CHECKING:
    from tests.simulation.world import World

BLOCK_TRANSACTIONS_MAX = 5
FETCH_BLOCKS_MAX = 8
SHORT_LOG_BODIES = 2
"""Of how many blocks a vote log that is shortened keeps the bodies; fewer than the driver does."""
FOOTPRINT_EVERY = 64
"""After so many steps of a replica its memory is looked at."""


class SimNode:
    """`name` is the department; `twin` tells the two nodes of an equivocating department apart."""

    def __init__(self, world: World, name: str, signer: Signer, actor: Actor | None, twin: int = 0) -> None:
        self.world, self.name, self.signer, self.actor, self.twin = world, name, signer, actor, twin
        self.disk = Disk(sets=[(0, world.validators)])
        self.pending: set[int] = set()
        self.custody: Custody[int] = Custody()
        self.replica: Replica | None = None
        self.life = 0
        self.steps = 0
        self.timers: dict[str, int] = {}
        self.is_fetching = False
        self.crash_after_effects: int | None = None
        self.paused_until_ms = 0
        self.clock_rate = 1.0
        self.clock_offset_ms = 0

    @property
    def is_up(self) -> bool:
        return self.replica is not None

    @property
    def is_member(self) -> bool:
        """By its own chain."""
        return self.disk.validators.key_of(self.name) is not None

    def take_key(self) -> bool:
        """Takes the key by which the next height knows the member; whether it is another one than before."""
        signer = self.world.signers.get(self.disk.validators.key_of(self.name) or b"")
        if signer is None or signer is self.signer:
            return False
        self.signer = signer
        return True

    # Life and death

    def start(self) -> None:
        """Boots from the disk. The first life of a node has an empty vote log; a lost one is None."""
        world, disk = self.world, self.disk
        self.take_key()
        certificate = disk.blocks[-1][2] if disk.blocks else None
        config = ReplicaConfig(self.name, world.chain_id, **world.limits)
        head = Head(disk.height, disk.head_id, certificate, disk.validators)
        self.life += 1
        self.timers, self.is_fetching, self.paused_until_ms = {}, False, 0
        self.replica = Replica(config, self.signer, head, disk.open_log(), world.check)
        self.handle(Started())
        if self.replica is not None:
            world.checker.on_footprint(self.name, self.replica)
        if self.pending:
            self.handle(WorkAvailable())

    def crash(self) -> None:
        """Power off."""
        outcome, survivors = self.disk.power_cut(self.world.rng)
        if outcome:
            self.world.count(outcome)
        for _, record in survivors:
            self.world.checker.on_durable(self.name, record)
        self.replica = None
        self.crash_after_effects = None
        self.world.on_crash(self)

    def later(self, delay_ms: int, action: Callable[..., None], *arguments: object) -> None:
        """In this life only; a pause puts it off."""
        self.world.at(delay_ms, self._run, self.life, action, arguments)

    def _run(self, life: int, action: Callable[..., None], arguments: tuple[object, ...]) -> None:
        if self.replica is None or life != self.life:
            return
        if self.paused_until_ms > self.world.now_ms:
            self.world.at(self.paused_until_ms - self.world.now_ms, self._run, life, action, arguments)
            return
        action(*arguments)

    # Events

    def learn(self, transactions: set[int]) -> None:
        """Gossip brought these."""
        was_idle = not self.pending
        self.pending |= transactions - self.disk.executed.keys()
        for transaction in sorted(self.pending):
            self.custody.take(transaction)
        if was_idle and self.pending:
            self.handle(WorkAvailable())

    def receive(self, sender: str, data: bytes) -> None:
        if self.paused_until_ms > self.world.now_ms:
            self.world.at(self.paused_until_ms - self.world.now_ms, self.receive, sender, data)
            return
        if self.actor is not None:
            self.actor.hear(sender, data)
        self.handle(MessageReceived(sender, data))

    def handle(self, event: Event) -> None:
        if self.replica is None:
            return
        world = self.world
        effects = self.replica.step(event, self.clock_offset_ms + int(world.now_ms / self.clock_rate))
        self.steps += 1
        if self.steps % FOOTPRINT_EVERY == 0:
            world.checker.on_footprint(self.name, self.replica)
        world.trace(self, event)
        for effect in effects:
            if self.crash_after_effects is not None:
                self.crash_after_effects -= 1
                if self.crash_after_effects < 0:
                    world.count("crash")
                    world.count(f"crash at {type(effect).__name__}")
                    self.crash()
                    return
            self.perform(effect)
        if self.disk.unsynced:
            self.sync()

    def sync(self) -> None:
        for _, record in self.disk.sync():
            self.world.checker.on_durable(self.name, record)
        if self.world.plan.has_short_logs:
            self.shorten()

    def shorten(self) -> None:
        if self.disk.shorten(SHORT_LOG_BODIES):
            self.world.count("short_log")
            self.world.faults.crash_perhaps(self)

    def perform(self, effect: Effect) -> None:
        world, rng = self.world, self.world.rng
        match effect:
            case Broadcast(message):
                self.sync()
                world.send(self, world.others_of(self), message)
                return
            case Send(department, message):
                self.sync()
                world.send(self, (department,), message)
                return
            case SetTimer(timer, token, delay_ms):
                self.timers[timer] = token
                self.later(int(delay_ms * self.clock_rate), self.fire, timer, token)
            case CancelTimer(timer):
                self.timers.pop(timer, None)
            case Persist(height, record):
                self.disk.unsynced.append((height, record))
            case BuildProposal(height, view, _):
                self.later(rng.randint(0, 4), self.build, height, view)
            case ValidateProposal(height, view, block_id, body, _):
                problem = self.disk.problem_of(block_id, body) if height == self.disk.height + 1 else "block.height"
                answer = ProposalValidated(height, view, block_id, not problem, problem)
                self.later(rng.randint(0, 4), self.handle, answer)
            case Decide(height, block_id, body, certificate):
                world.checker.on_decide(self.name, self.life, height)
                self.later(rng.randint(0, 4), self.append_decided, height, block_id, body, certificate)
            case FetchBlocks(_, _, departments):
                if not self.is_fetching:
                    self.is_fetching = True
                    world.count("fetch")
                    self.later(rng.randint(2, 60), self.fetch, departments)
            case ForgetVotes(height):
                self.disk.forget_votes(height)
            case Accuse():
                world.on_accuse(self, effect)
            case ObserverChanged():
                if not effect.is_observer:
                    self.disk.is_log_lost = False
            case ViewEntered():
                world.on_view(self, effect)
        world.note(effect)

    def fire(self, timer: str, token: int) -> None:
        if self.timers.get(timer) == token:
            del self.timers[timer]
            self.handle(TimerFired(timer, token))

    def build(self, height: int, view: int) -> None:
        waiting = sorted(self.pending, reverse=self.twin == 1)[:BLOCK_TRANSACTIONS_MAX]
        if height != self.disk.height + 1 or not waiting:
            self.handle(NothingToPropose(height, view))
            return
        body = self.actor.propose(sorted(waiting)) if self.actor else None
        if body is None:
            body = self.disk.build(sorted(waiting), view)
        self.handle(ProposalBuilt(height, view, block_id_of(body), body))

    # Blocks

    def append_decided(self, height: int, block_id: bytes, body: bytes, certificate: Certificate) -> None:
        if height > self.disk.height:
            self.append(block_id, body, certificate)

    def append(self, block_id: bytes, body: bytes, certificate: Certificate) -> None:
        disk, world = self.disk, self.world
        problem = disk.problem_of(block_id, body)
        world.checker.on_append(self.name, disk.height + 1, block_id, certificate, disk.validators)
        if problem:
            raise AssertionError(f"{self.name} was to append height {disk.height + 1}: {problem}")
        included = disk.append(block_id, body, certificate)
        self.pending -= set(included)
        self.custody.appended(disk.height, included, self.pending)
        world.has_progress = True
        if not self.is_member:
            world.give_back(self)
        if self.take_key():
            self.start()  # as a real node does: it goes on with the new key from its disk
        else:
            has_work, overtaken = bool(self.pending), self.custody.overtaken
            self.handle(Appended(disk.height, block_id, certificate, disk.validators, has_work, overtaken))

    def fetch(self, departments: tuple[str, ...]) -> None:
        """Catch-up: a few blocks from somebody who is ahead and reachable, each checked before it is appended."""
        self.is_fetching = False
        ahead = [node for node in self.world.reachable(self) if node.disk.height > self.disk.height]
        preferred = [node for node in ahead if node.name in departments] or ahead
        if not preferred:
            return
        source, life = self.world.rng.choice(preferred), self.life
        served = source.disk.blocks[self.disk.height : self.disk.height + FETCH_BLOCKS_MAX]
        for block in source.actor.serve(served) if source.actor else served:
            if not self.is_up or life != self.life or not self.is_certified(block):
                return
            self.append(*block)

    def is_certified(self, block: Block) -> bool:
        """As the node's catch-up does it: nothing of what a peer sends is believed."""
        block_id, body, certificate = block
        try:
            certificate.require("commit", self.disk.height + 1, block_id)
            certificate.verify(self.disk.validators, self.world.chain_id, self.world.check)
        except KehuError:
            return False
        return block_id_of(body) == block_id

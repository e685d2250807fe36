"""A department in the simulated network: the real replica, driven as node/replica/driver.py does, on a simulated host.

A request's way: admitted and verified here, its values durable at the holders, its batch gossiped and verified by all;
the primary's replica asks for a block, executes, proposes; the others execute and vote; everybody appends.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chain.codec import decode, encode
from chain.crypto import Signer, digest
from consensus.config import ReplicaConfig
from consensus.effects import (
    Broadcast,
    BuildProposal,
    CancelTimer,
    Decide,
    Effect,
    Persist,
    Send,
    SetTimer,
    ValidateProposal,
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
from consensus.messages import Message, PrePrepare, ProposalReply
from consensus.replica import Replica
from consensus.replica_state import Head
from node.replica.driver import PAUSE_MAX_MS
from tools.scale.costs import Costs
from tools.scale.host import Host

if TYPE_CHECKING:
    from tools.scale.network import Network

BLOCK_TRANSACTIONS_MAX = 5_000


def numbers_in(body: bytes) -> list[int]:
    """The requests whose transactions are in a block."""
    return decode(body, 1 << 20)[2]  # type: ignore[index,return-value]


@dataclass
class Request:
    """`transactions` that a client sent together and waits for."""

    number: int
    author: str
    transactions: int
    sent: float
    done: float | None = None


@dataclass
class Department:
    network: Network
    name: str
    signer: Signer
    costs: Costs
    replica: Replica = field(init=False)
    host: Host = field(init=False)

    def __post_init__(self) -> None:
        network = self.network
        self.host = Host(self.costs)
        config = ReplicaConfig(self.name, network.chain_id, view_timeout_ms=5_000, retransmit_ms=2_000,
                               block_interval_ms=int(self.costs.interval_ms))  # fmt: skip
        self.replica = Replica(
            config, self.signer, Head(0, network.genesis_id, None, network.validators), (), network.check
        )
        self.height = 0
        self.waiting: dict[int, Request] = {}
        self.timers: dict[str, int] = {}
        self._events: deque[Event] = deque()
        self._free = 0.0
        self._is_draining = False
        self._proposed = -1e9
        self._has_decided = False
        """In what is being handled."""

    # A request comes in

    def admit(self, request: Request) -> None:
        """The author's part; `network.gossip` follows once enough departments hold the values."""
        count, costs, network = request.transactions, self.costs, self.network
        admitted = self.host.verify(self.host.compute(network.now, count * costs.ingest_us), count)
        durable = [self.host.sync(admitted)]
        for holder in network.holders(self, costs.holders - 1):
            sent = self.host.send(self.host.compute(admitted, costs.send_us), count * costs.values_bytes)
            arrived = sent + network.delay_us
            kept = holder.host.sync(holder.host.compute(arrived, costs.send_us))
            durable.append(kept + network.delay_us)
        network.agenda.at(max(durable), network.gossip, self, request)

    def learn(self, request: Request) -> None:
        """A batch of another department: ingested and verified, then it waits for a block."""
        count = request.transactions
        ingested = self.host.compute(self.network.now, count * self.costs.ingest_us)
        self.network.agenda.at(self.host.verify(ingested, count), self.keep, request)

    def keep(self, request: Request) -> None:
        if request.number not in self.network.ordered:
            self.waiting[request.number] = request
        self.post(WorkAvailable())

    # The driver: one event at a time, its effects in order

    def start(self) -> None:
        self.post(Started())

    def receive(self, sender: str, data: bytes) -> None:
        self.post(MessageReceived(sender, data))

    def post(self, event: Event) -> None:
        self._events.append(event)
        if not self._is_draining:
            self._is_draining = True
            self.network.agenda.at(self._free, self._drain)

    def _drain(self) -> None:
        self._free = self._handle(self._events.popleft())
        if self._events:
            self.network.agenda.at(self._free, self._drain)
        else:
            self._is_draining = False

    def _handle(self, event: Event) -> float:
        """When everything that the event asks for is done."""
        at, follow_ups, self._has_decided = self.network.now, deque([event]), False
        while follow_ups:
            event = follow_ups.popleft()
            at = self.host.compute(at, self.costs.message_us if isinstance(event, MessageReceived) else 20.0)
            is_unsynced = False
            for effect in self.replica.step(event, int(at / 1_000)):
                is_unsynced |= isinstance(effect, Persist)
                if is_unsynced and isinstance(effect, Send | Broadcast | Decide):
                    at, is_unsynced = self.host.sync(at), False
                at = self._perform(effect, at, follow_ups)
            if is_unsynced:
                at = self.host.sync(at)
        return at

    def _perform(self, effect: Effect, at: float, follow_ups: deque[Event]) -> float:
        network = self.network
        match effect:
            case Broadcast(message):
                return self._send(message, [name for name in network.departments if name != self.name], at)
            case Send(department, message):
                return self._send(message, [department], at)
            case SetTimer(timer, token, delay_ms):
                self.timers[timer] = token
                network.agenda.at(at + delay_ms * 1_000, self._fire, timer, token)
            case CancelTimer(timer):
                self.timers.pop(timer, None)
            case BuildProposal(height, view, _):
                due = max(at, self._proposed + self.costs.interval_ms * 1_000)
                if self._has_decided:  # work waited already
                    due = max(due, at + min(at - self._proposed, PAUSE_MAX_MS * 1_000))
                network.agenda.at(due, self._build, height, view)
            case ValidateProposal(height, view, block_id, body, _):
                missing = [number for number in numbers_in(body) if number not in self.waiting]
                count = network.size_of(body)
                if missing:  # its gossip is still on the way: verified with the proposal instead
                    at = self.host.verify(at, network.transactions_of(missing))
                at = self.host.compute(at, count * self.costs.execute_us)
                follow_ups.append(ProposalValidated(height, view, block_id, is_valid=True))
            case Decide(height, block_id, body, certificate):
                count = network.size_of(body)
                at = self.host.compute(self.host.sync(at), count * self.costs.append_us)
                self.height, self._has_decided = height, True
                self._settle(numbers_in(body), at)
                follow_ups.append(Appended(height, block_id, certificate, network.validators, bool(self.waiting)))
        return at

    def _settle(self, numbers: list[int], at: float) -> None:
        for number in numbers:
            self.waiting.pop(number, None)
            self.network.appended(self, number, at)

    def _send(self, message: Message, receivers: list[str], at: float) -> float:
        data = message.to_bytes()
        size = len(data)
        if isinstance(message, PrePrepare | ProposalReply):
            size += self.network.size_of(message.body) * self.costs.transaction_bytes
        for name in receivers:
            at = self.host.compute(at, self.costs.send_us)
            arrives = self.host.send(at, size) + self.network.delay_us
            self.network.agenda.at(arrives, self.network.departments[name].receive, self.name, data)
        return at

    def _fire(self, timer: str, token: int) -> None:
        if self.timers.get(timer) == token:
            del self.timers[timer]
            self.post(TimerFired(timer, token))

    def _build(self, height: int, view: int) -> None:
        chosen, count = [], 0
        for number in sorted(self.waiting):
            count += self.waiting[number].transactions
            if chosen and count > BLOCK_TRANSACTIONS_MAX:
                break
            chosen.append(number)
        if height != self.height + 1 or not chosen:
            self.post(NothingToPropose(height, view))
            return
        self.network.ordered.update(chosen)
        body = encode([height, view, chosen])
        self._proposed = self.host.compute(self.network.now, self.network.size_of(body) * self.costs.execute_us)
        self.network.agenda.at(self._proposed, self.post, ProposalBuilt(height, view, digest("block", body), body))

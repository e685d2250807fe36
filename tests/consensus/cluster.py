"""A handful of replicas moved by hand: messages wait in a queue until a test delivers or drops them.

Blocks are built, validated and appended at once. Time stands still unless a test moves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chain.certificate import Certificate, Vote, sign_vote
from chain.crypto import ZERO_DIGEST, digest
from chain.validators import ValidatorSet
from consensus.config import ReplicaConfig
from consensus.effects import (
    Accuse,
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
    ProposalBuilt,
    ProposalValidated,
    Started,
    TimerFired,
    WorkAvailable,
)
from consensus.messages import Message, PrePrepare, VoteMessage
from consensus.replica import Replica
from consensus.replica_state import Head
from tests.simulation.cheap_crypto import CheapSigner, CheapVerifier, keys_of, validators_of

CHAIN_ID = digest("genesis", b"by hand")
Keep = Callable[[str, str, Message], bool]


def block_id_of(body: bytes) -> bytes:
    return digest("block", body)


class Bench:
    """One replica on the bench, with its vote log, its chain, and all it ever wanted done."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self.signer = CheapSigner(keys_of(10)[name])
        self.records: list[bytes] = []
        self.blocks: list[tuple[bytes, bytes, Certificate]] = []
        self.effects: list[Effect] = []
        self.timers: dict[str, tuple[int, int]] = {}
        self.has_work = False
        self.overtaken = 0
        self.is_up = False
        self.holds_appends = False
        self.answers: list[Event] = []
        self.is_stepping = False

    def boot(self, *, has_log: bool = True) -> None:
        """(Re)starts from the disk."""
        certificate = self.blocks[-1][2] if self.blocks else None
        head_id = self.blocks[-1][0] if self.blocks else ZERO_DIGEST
        head = Head(len(self.blocks), head_id, certificate, self.cluster.validators)
        config = ReplicaConfig(self.name, CHAIN_ID, **self.cluster.limits)
        self.timers, self.is_up = {}, True
        records = list(self.records) if has_log else None
        self.replica = Replica(config, self.signer, head, records, self.cluster.check)
        self.step(Started())
        if self.has_work:
            self.step(WorkAvailable())

    def step(self, event: Event) -> tuple[Effect, ...]:
        """The effects of `event` and of the answers that this bench gives to them."""
        self.answers.append(event)
        if self.is_stepping:
            return ()
        self.is_stepping, all_effects = True, []
        while self.answers:
            effects = self.replica.step(self.answers.pop(0), self.cluster.now_ms)
            all_effects += effects
            self.effects += effects
            for effect in effects:
                self.perform(effect)
        self.is_stepping = False
        return tuple(all_effects)

    def perform(self, effect: Effect) -> None:
        cluster = self.cluster
        match effect:
            case Persist(_, record):
                self.records.append(record)
            case Send(department, message):
                cluster.queue.append((self.name, department, message))
            case Broadcast(message):
                cluster.queue += [(self.name, other, message) for other in cluster.names if other != self.name]
            case SetTimer(timer, token, delay_ms):
                self.timers[timer] = (token, delay_ms)
            case CancelTimer(timer):
                del self.timers[timer]
            case BuildProposal(height, view, _):
                body = f"{self.name} {height} {view}".encode()
                self.step(ProposalBuilt(height, view, block_id_of(body), body))
            case ValidateProposal(height, view, block_id, body, _):
                is_valid = block_id_of(body) == block_id and body not in cluster.invalid_bodies
                self.step(ProposalValidated(height, view, block_id, is_valid, "" if is_valid else "block.invalid"))
            case Decide() if not self.holds_appends:
                self.append(effect)
            case _:
                pass

    def append(self, decided: Decide) -> None:
        if decided.height != len(self.blocks) + 1:
            raise AssertionError(f"{self.name} decided height {decided.height} after {len(self.blocks)}")
        self.blocks.append((decided.block_id, decided.body, decided.certificate))
        self.has_work = False
        self.report()

    def report(self) -> None:
        block_id, _, certificate = self.blocks[-1]
        self.step(
            Appended(len(self.blocks), block_id, certificate, self.cluster.validators, self.has_work, self.overtaken)
        )

    def sync_from(self, other: Bench) -> None:
        """Catch-up by the node's own path."""
        for entry in other.blocks[len(self.blocks) :]:
            self.blocks.append(entry)
            self.report()

    def work(self) -> None:
        self.has_work = True
        self.step(WorkAvailable())

    def fire(self, timer: str) -> tuple[Effect, ...]:
        token, _ = self.timers.pop(timer)
        return self.step(TimerFired(timer, token))

    def receive(self, sender: str, message: Message) -> tuple[Effect, ...]:
        return self.step(MessageReceived(sender, message.to_bytes()))

    def offences(self) -> list[tuple[str, str]]:
        return [(effect.department, effect.offence) for effect in self.effects if isinstance(effect, Accuse)]

    def said(self, kind: type[Message]) -> list[Message]:
        sent = [effect.message for effect in self.effects if isinstance(effect, Send | Broadcast)]
        return [message for message in sent if isinstance(message, kind)]

    def votes_said(self, phase: str) -> list[Vote]:
        votes = [message.vote for message in self.said(VoteMessage) if isinstance(message, VoteMessage)]
        return [vote for vote in votes if vote.phase == phase]


class Cluster:
    """`cluster["sales"]` or `cluster[0]` (in order of department, so the primary of view v is cluster[v]). `limits` are
    the settings of all their configurations that are not the defaults."""

    def __init__(self, n: int = 4, **limits: int) -> None:
        self.limits = limits
        self.validators: ValidatorSet = validators_of(n)
        self.names = self.validators.departments
        self.check = CheapVerifier(keys_of(10).values())
        self.now_ms = 0
        self.queue: list[tuple[str, str, Message]] = []
        self.invalid_bodies: set[bytes] = set()
        self.benches = {name: Bench(self, name) for name in self.names}
        for bench in self.benches.values():
            bench.boot()
        self.queue.clear()

    def __getitem__(self, which: str | int) -> Bench:
        return self.benches[which if isinstance(which, str) else self.names[which]]

    def __iter__(self) -> Iterable[Bench]:
        return iter(self.benches.values())

    def work(self) -> None:
        for bench in self:
            if bench.is_up:
                bench.work()

    def deliver(self, keep: Keep = lambda *_: True) -> None:
        """Delivers until nothing is under way; what `keep` does not want is lost."""
        for _ in range(100_000):
            if not self.queue:
                return
            sender, receiver, message = self.queue.pop(0)
            if self[sender].is_up and self[receiver].is_up and keep(sender, receiver, message):
                self[receiver].receive(sender, message)
        raise AssertionError("the replicas talk without end")

    def fire(self, timer: str, *benches: Bench) -> None:
        for bench in benches or tuple(self):
            if bench.is_up and timer in bench.timers:
                bench.fire(timer)

    def settle(self, rounds: int = 20, keep: Keep = lambda *_: True) -> None:
        """Lets timers run out, retransmissions first, until nobody wants anything any more."""
        for turn in range(rounds):
            self.deliver(keep)
            self.fire("retransmit")
            self.deliver(keep)
            if turn % 3 == 2:
                self.fire("view")

    def heights(self) -> list[int]:
        return [len(bench.blocks) for bench in self]

    def vote(self, phase: str, who: int, height: int, view: int, block_id: bytes) -> VoteMessage:
        """A well-signed vote that the replica itself need not have cast."""
        bench = self[who]
        return VoteMessage(sign_vote(bench.signer, CHAIN_ID, phase, 0, height, view, block_id, bench.name))  # type: ignore[arg-type]

    def certificate(self, phase: str, height: int, view: int, block_id: bytes, signers: Iterable[int]) -> Certificate:
        return Certificate.of(self.vote(phase, who, height, view, block_id).vote for who in signers)

    def pre_prepare(self, who: int, height: int, view: int, body: bytes) -> PrePrepare:
        bench = self[who]
        return PrePrepare.signed(bench.signer, CHAIN_ID, 0, height, view, block_id_of(body), bench.name, body, None)


def only(*kinds: type[Message]) -> Keep:
    return lambda _s, _r, message: isinstance(message, kinds)


def without_phase(phase: str) -> Keep:
    """Loses all votes of that phase."""
    return lambda _s, _r, message: not (isinstance(message, VoteMessage) and message.vote.phase == phase)

"""A whole network in one thread, all from one seed: virtual time, lost and late messages, crashes, lies."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable
from random import Random

from chain.crypto import Signer, Verifier, digest, verify
from consensus.effects import Accuse, Broadcast, Effect, ObserverChanged, Send, ViewEntered
from consensus.events import Event, MessageReceived, PeerConnected
from consensus.messages import Message
from tests.simulation.cheap_crypto import CheapSigner, CheapVerifier, keys_of, validators_of
from tests.simulation.checkers import Checker, ViolationError
from tests.simulation.faults import Plan
from tests.simulation.liar import Liar
from tests.simulation.node import SimNode

CONVERGENCE_MS = 20_000
"""After the network has healed, every correct replica holds every transaction within this time."""
SILENCE_MS = 15_000
"""After that, a network without Byzantine members falls silent within this time."""
GOSSIP_MS = 200
STORM_SHARE = 0.05
"""The part of the seeds in which replicas crash all the time and votes are lost at every turn."""
EVENTS_MAX = 400_000


class World:
    def __init__(
        self, seed: int, plan: Plan | None = None, *, n: int | None = None, has_real_crypto: bool = False
    ) -> None:
        self.seed, self.rng = seed, Random(seed)
        self.plan = plan or Plan.drawn(self.rng, n)
        self.is_storm = plan is None and Random(f"storm {seed}").random() < STORM_SHARE
        if self.is_storm:
            self.plan = self.plan.as_storm()
        self.now_ms = 0
        self.progress_ms = 0
        self.sequence = 0
        self.queue: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = []
        self.counts: Counter[str] = Counter()
        self.hash = hashlib.sha256()
        self.chain_id = digest("genesis", b"simulation")
        self.validators = validators_of(self.plan.n)
        self.limits: dict[str, int] = {"view_timeout_ms": 1_000, "retransmit_ms": 400}
        keys = keys_of(self.plan.n)
        self.check: Verifier = verify if has_real_crypto else CheapVerifier(keys)
        self.is_healed = False
        self.groups: dict[str, int] = {}
        self.info: list[tuple[int, str, Effect]] = []
        self.accusations: list[tuple[int, str, Accuse]] = []
        self.counts["storm"] += self.is_storm
        names = list(self.validators.departments)
        self.rng.shuffle(names)
        self.byzantine = dict(zip(names, self.plan.byzantine, strict=False))
        self.forgetful = names[len(self.plan.byzantine) :][: self.plan.log_losses]
        self.liars: dict[str, Liar] = {}
        self.nodes: list[SimNode] = []
        for name in self.validators.departments:
            signer: Signer = keys[name] if has_real_crypto else CheapSigner(keys[name])
            kind = self.byzantine.get(name)
            self.nodes += [SimNode(self, name, signer, twin) for twin in range(2 if kind == "twins" else 1)]
            if kind == "liar":
                self.liars[name] = Liar(self.rng, signer, name, self.chain_id)
            if kind:
                self.count(kind)
        self.correct = [node for node in self.nodes if node.name not in self.byzantine]
        # A replica that lost its log may have said anything once; what it says later is checked by agreement only.
        checked = tuple(node.name for node in self.correct if node.name not in self.forgetful)
        self.checker = Checker(self.validators, self.chain_id, self.check, checked)
        self.submitted: set[int] = set()

    # Time

    def at(self, delay_ms: int, action: Callable[..., None], *arguments: object) -> None:
        self.sequence += 1
        heapq.heappush(self.queue, (self.now_ms + delay_ms, self.sequence, action, arguments))

    def run_until(self, is_done: Callable[[], bool], deadline_ms: int) -> bool:
        while self.queue:
            if is_done():
                return True
            if self.queue[0][0] > deadline_ms:
                return False
            self.counts["events"] += 1
            if self.counts["events"] > EVENTS_MAX:
                raise ViolationError(f"more than {EVENTS_MAX} events: the network talks without end")
            self.now_ms, _, action, arguments = heapq.heappop(self.queue)
            action(*arguments)
        return is_done()

    def count(self, kind: str) -> None:
        self.counts[kind] += 1

    # Network

    def others(self, name: str) -> tuple[str, ...]:
        return tuple(other for other in self.validators.departments if other != name)

    def is_cut(self, one: str, other: str) -> bool:
        return self.groups.get(one, 0) != self.groups.get(other, 0)

    def reachable(self, node: SimNode) -> list[SimNode]:
        return [
            peer
            for peer in self.nodes
            if peer.is_up and peer.name != node.name and not self.is_cut(node.name, peer.name)
        ]

    def send(self, sender: SimNode, departments: tuple[str, ...], message: Message) -> None:
        self.checker.on_send(sender.name, message)
        self.count("sent")
        if self.byzantine.get(sender.name) == "silent":
            return
        data = message.to_bytes()
        liar = self.liars.get(sender.name)
        for receiver in self.nodes:
            if receiver.name not in departments or self.is_cut(sender.name, receiver.name):
                continue
            if self.byzantine.get(sender.name) == "twins" and self.rng.random() < 0.5:
                continue
            for told in liar.tell(message) if liar else [data]:
                self.carry(sender, receiver, told)

    def carry(self, sender: SimNode, receiver: SimNode, data: bytes) -> None:
        plan, rng, is_wild = self.plan, self.rng, not self.is_healed
        if is_wild and rng.random() < plan.loss:
            self.count("loss")
            return
        copies = 1
        if is_wild and rng.random() < plan.duplicate:
            self.count("duplicate")
            copies = 2
        for _ in range(copies):
            delay_ms = rng.randint(1, 15)
            if is_wild and rng.random() < plan.slow:
                self.count("delay")
                delay_ms = rng.randint(15, 1_500)
            self.at(delay_ms, self.arrive, sender.name, receiver, data)

    def arrive(self, sender: str, receiver: SimNode, data: bytes) -> None:
        if self.is_cut(sender, receiver.name):
            return
        receiver.handle(MessageReceived(sender, data))

    # Faults

    def connect(self, one: SimNode, other: SimNode) -> None:
        if one.is_up and other.is_up and one.name != other.name and not self.is_cut(one.name, other.name):
            one.handle(PeerConnected(other.name))
            other.handle(PeerConnected(one.name))

    def schedule_restart(self, node: SimNode) -> None:
        if node.name in self.forgetful and not node.disk.is_log_lost and self.counts["log_lost"] < self.plan.log_losses:
            self.count("log_lost")
            node.disk.is_log_lost = True
            node.disk.votes = []
        delay_ms = self.rng.choice((20, 40, 300) if self.is_storm else (20, 300, 4_000))
        self.at(0 if self.is_healed else delay_ms, self.restart, node)

    def restart(self, node: SimNode) -> None:
        if not node.is_up:
            node.start()
            for peer in self.nodes:
                self.connect(node, peer)

    def crash_soon(self, node: SimNode) -> None:
        if node.is_up and not self.is_healed:
            node.crash_after_effects = self.rng.randint(0, 12)

    def split(self) -> None:
        if not self.is_healed:
            self.count("partition")
            self.groups = {name: self.rng.randint(0, 1) for name in self.validators.departments}
            self.at(self.rng.choice((300, 2_000, 8_000)), self.unite)

    def unite(self) -> None:
        before, self.groups = self.groups, {}
        for one in self.nodes:
            for other in self.nodes:
                if one.name < other.name and before.get(one.name, 0) != before.get(other.name, 0):
                    self.connect(one, other)

    def heal(self) -> None:
        """From here on only Byzantine members misbehave."""
        self.is_healed = True
        for node in self.nodes:
            node.crash_after_effects = None
        self.unite()
        for node in self.nodes:
            self.restart(node)

    # Work

    def submit(self, transaction: int) -> None:
        up = [node for node in self.correct if node.is_up]
        if not up:
            self.at(100, self.submit, transaction)
            return
        self.submitted.add(transaction)
        self.rng.choice(up).learn([transaction])

    def gossip(self) -> None:
        """Who is connected has the same mempool before long; it is another layer's work and not tested here."""
        for node in self.nodes:
            for peer in self.reachable(node) if node.is_up else ():
                missing = [transaction for transaction in node.waiting() if transaction not in peer.mempool]
                if missing:
                    peer.learn(missing)
        self.at(GOSSIP_MS, self.gossip)

    # Watching

    def trace(self, node: SimNode, event: Event, effects: tuple[Effect, ...]) -> None:
        parts = [repr(effect) for effect in effects if not isinstance(effect, Send | Broadcast)]
        sent = [effect.message.to_bytes() for effect in effects if isinstance(effect, Send | Broadcast)]
        line = f"{self.now_ms} {node.name} {node.twin} {type(event).__name__} {parts}".encode()
        self.hash.update(line + b"".join(sent))

    def on_accuse(self, node: SimNode, effect: Accuse) -> None:
        self.accusations.append((self.now_ms, node.name, effect))
        if node.name not in self.byzantine and effect.department not in self.byzantine:
            raise ViolationError(f"{node.name} accused correct {effect.department}: {effect.offence} {effect.detail}")

    def on_info(self, node: SimNode, effect: ViewEntered | ObserverChanged) -> None:
        self.info.append((self.now_ms, node.name, effect))
        if isinstance(effect, ViewEntered) and not effect.is_active:
            self.count("view_change")

    # The whole run

    def is_converged(self) -> bool:
        return all(node.is_up and node.disk.executed.keys() >= self.submitted for node in self.correct) and (
            len({node.disk.height for node in self.correct}) == 1
        )

    def run(self) -> None:
        """Chaos first, then convergence, then silence. Raises if any of it fails."""
        plan, rng = self.plan, self.rng
        for node in self.nodes:
            node.clock_rate = rng.uniform(0.9, 1.1)
            self.at(rng.randint(0, 50), self.restart, node)
        for transaction in range(plan.transactions):
            self.at(rng.randint(0, plan.chaos_ms), self.submit, transaction)
        for _ in range(plan.partitions):
            self.at(rng.randint(0, plan.chaos_ms), self.split)
        for _ in range(plan.crashes):
            self.at(rng.randint(0, plan.chaos_ms), self.crash_soon, rng.choice(self.correct))
        for name in self.forgetful:
            node = next(node for node in self.correct if node.name == name)
            self.at(rng.randint(0, plan.chaos_ms), self.crash_soon, node)
        self.at(GOSSIP_MS, self.gossip)
        self.run_until(lambda: False, plan.chaos_ms)
        self.now_ms = plan.chaos_ms
        self.heal()
        self.submit(plan.transactions)
        self.require_convergence()
        self.require_silence()

    def require_convergence(self) -> None:
        healed_ms = self.now_ms
        everything = set(range(self.plan.transactions + 1))
        is_done = lambda: self.submitted == everything and self.is_converged()  # noqa: E731
        if not self.run_until(is_done, healed_ms + CONVERGENCE_MS):
            heights = {f"{node.name}/{node.twin}": node.disk.height for node in self.nodes}
            raise ViolationError(f"not converged {CONVERGENCE_MS} ms after healing: {heights}")
        self.counts["convergence_ms"] = self.now_ms - healed_ms

    def require_silence(self) -> None:
        if self.byzantine or self.forgetful:
            return
        self.run_until(lambda: False, self.now_ms + SILENCE_MS)
        before = self.counts["sent"]
        self.run_until(lambda: False, self.now_ms + SILENCE_MS)
        if self.counts["sent"] != before:
            raise ViolationError(f"an idle network sent {self.counts['sent'] - before} messages")

    def digest(self) -> str:
        """Everything every replica did, in order."""
        return self.hash.hexdigest()

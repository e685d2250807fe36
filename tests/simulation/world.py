"""A whole network in one thread, all from one seed: virtual time, lost and late messages, crashes, lies."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

from chain.crypto import Signer, SigningKey, Verifier, digest, verify
from chain.evidence import Evidence
from consensus.effects import Accuse, Effect, Persist, ViewEntered
from consensus.events import Event, PeerConnected
from consensus.messages import Message
from tests.simulation.actors.base import Actor
from tests.simulation.actors.cast import CAST
from tests.simulation.changes import Changes
from tests.simulation.cheap_crypto import CheapSigner, CheapVerifier, keys_of, validators_of
from tests.simulation.checkers import Checker, ViolationError
from tests.simulation.faults import Faults
from tests.simulation.node import SimNode
from tests.simulation.plan import LOG_LOST, Plan

VIEW_TIMEOUT_MS = 1_000
CONVERGENCE_MS = 20_000
"""After the network has healed, every correct replica holds every transaction within this time ..."""
CONVERGENCE_PER_FAULTY_MS = 10_000
"""... and a capped view timeout for each Byzantine member beyond the first, who may all be primary in turn."""
SILENCE_MS = 15_000
"""After that, a network without Byzantine members falls silent within this time."""
GOSSIP_MS = 200
SPEAK_MS = 250
OBSERVE_MS = 500
EVENTS_MAX = 400_000


class World:
    def __init__(
        self, seed: int, plan: Plan | None = None, *, n: int | None = None, has_real_crypto: bool = False
    ) -> None:
        self.seed, self.rng = seed, Random(seed)
        self.plan = plan or Plan.drawn(self.rng, n)
        self.now_ms = self.sequence = self.events = 0
        self.queue: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = []
        self.counts: Counter[str] = Counter()
        self.hash = hashlib.sha256()
        self.chain_id = digest("genesis", b"simulation")
        self.validators = validators_of(self.plan.n)
        self.limits: dict[str, int] = {"view_timeout_ms": VIEW_TIMEOUT_MS, "retransmit_ms": 400}
        keys = keys_of(self.plan.n)
        self.has_real_crypto = has_real_crypto
        self.has_progress = False
        self.is_healed = False
        self.cuts: Counter[tuple[str, str]] = Counter()
        self.due_ms: dict[tuple[str, str], int] = {}
        self.accusations: list[tuple[str, Accuse]] = []
        names = list(self.validators.departments)
        self.rng.shuffle(names)
        self.byzantine = dict(zip(names, self.plan.byzantine, strict=False))
        self.actors: dict[str, Actor] = {}
        self.nodes_of: dict[str, list[SimNode]] = {}
        self.signers: dict[bytes, Signer] = {}
        for name in self.validators.departments:
            self.add_department(name, keys[name])
        self.nodes = [node for nodes in self.nodes_of.values() for node in nodes]
        self.correct = [node for node in self.nodes if node.name not in self.byzantine]
        self.faults = Faults(self)
        self.faults.schedule(self.correct)
        # A replica that lost its log may have said anything once; it counts among the faulty ones.
        self.excused = {*self.byzantine, *self.faults.to_damage}
        self.prepare_changes()
        self.names = tuple(self.nodes_of)
        every_key = [key for _, key in self.changes.keys]
        self.check: Verifier = verify if has_real_crypto else CheapVerifier(every_key)
        # One whose log is gone must not contradict what it said once (R7), so that is held against it too.
        wiped = {name for name, kind in self.faults.to_damage.items() if kind in LOG_LOST}
        checked = tuple(node.name for node in self.correct if node.name not in self.excused - wiped)
        correct = tuple(node.name for node in self.correct)
        self.checker = Checker(self.chain_id, self.check, correct, checked)
        self.counts["storm"] += self.plan.is_storm
        self.submitted: set[int] = set()

    def add_department(self, name: str, key: SigningKey) -> None:
        kind = self.byzantine.get(name)
        actor = CAST[kind](self, name, self.add_key(key)) if kind else None
        if actor is not None:
            self.actors[name] = actor
        copies = actor.nodes if actor else 1
        self.nodes_of[name] = [SimNode(self, name, self.add_key(key), actor, twin) for twin in range(copies)]

    def add_key(self, key: SigningKey) -> Signer:
        return self.signers.setdefault(key.public, key if self.has_real_crypto else CheapSigner(key))

    def prepare_changes(self) -> None:
        """Draws the sets to come; their newcomers begin at genesis and are no members yet."""
        plan = self.plan
        self.changes = Changes(plan.changes, self.seed, self.validators, self.excused, set(self.byzantine))
        for name, key in self.changes.keys:
            if name not in self.nodes_of:
                self.add_department(name, key)
                self.nodes.append(self.nodes_of[name][0])
                self.correct.append(self.nodes_of[name][0])
            self.add_key(key)
        for node in self.nodes:
            node.disk.coming, node.disk.distance = tuple(self.changes.sets), plan.distance

    # Time

    def at(self, delay_ms: int, action: Callable[..., None], *arguments: object) -> None:
        self.sequence += 1
        heapq.heappush(self.queue, (self.now_ms + delay_ms, self.sequence, action, arguments))

    def run_until(self, deadline_ms: int, is_done: Callable[[], bool] | None = None) -> bool:
        """`is_done` is asked whenever a block was appended somewhere or a node came up."""
        queue, self.has_progress = self.queue, True
        while queue and queue[0][0] <= deadline_ms:
            if is_done is not None and self.has_progress:
                if is_done():
                    return True
                self.has_progress = False
            self.events += 1
            if self.events > EVENTS_MAX:
                raise ViolationError(f"more than {EVENTS_MAX} events: the network talks without end")
            self.now_ms, _, action, arguments = heapq.heappop(queue)
            action(*arguments)
        self.now_ms = max(self.now_ms, deadline_ms)
        return is_done is not None and is_done()

    def count(self, kind: str) -> None:
        self.counts[kind] += 1

    # Network

    def is_cut(self, sender: str, receiver: str) -> bool:
        return self.cuts[sender, receiver] > 0 if self.cuts else False

    def is_connected(self, one: SimNode, other: SimNode) -> bool:
        is_link = one.is_up and other.is_up and one.name in other.disk.peers and other.name in one.disk.peers
        is_link = is_link and one.name != other.name
        return is_link and not self.is_cut(one.name, other.name) and not self.is_cut(other.name, one.name)

    def reachable(self, node: SimNode) -> list[SimNode]:
        return [peer for peer in self.nodes if self.is_connected(node, peer)]

    def others_of(self, node: SimNode) -> tuple[str, ...]:
        """Whom a node is linked with, if they agree."""
        return tuple(sorted(node.disk.peers - {node.name}))

    def send(self, sender: SimNode, departments: Iterable[str], message: Message) -> None:
        self.checker.on_send(sender.name, message, sender.disk.validators, sender.signer.public)
        self.counts["sent"] += 1
        data = message.to_bytes()
        self.hash.update(data)
        for department in departments:
            if self.cuts and self.is_cut(sender.name, department):
                continue
            if sender.actor is None:
                self.carry(sender.name, department, data, 0)
                continue
            for delay_ms, told in sender.actor.tell(department, message, data):
                self.carry(sender.name, department, told, delay_ms)

    def transit_ms(self) -> int:
        return 1 + int(self.rng.random() * 15)  # in a fifth of the time that `randint` takes

    def carry(self, sender: str, department: str, data: bytes, delay_ms: int) -> None:
        """To every node of the department, each with its own luck."""
        for receiver in self.nodes_of[department]:
            if self.is_healed:
                self.at(delay_ms + self.transit_ms(), self.arrive, sender, receiver, data)
            else:
                self.carry_badly(sender, receiver, data, delay_ms)

    def carry_badly(self, sender: str, receiver: SimNode, data: bytes, delay_ms: int) -> None:
        plan, rng = self.plan, self.rng
        if plan.loss and rng.random() < plan.loss:
            self.counts["loss"] += 1
            return
        copies = 1
        if plan.duplicate and rng.random() < plan.duplicate:
            self.counts["duplicate"] += 1
            copies = 2
        for _ in range(copies):
            due_ms = self.now_ms + delay_ms + self.transit_ms()
            if plan.slow and rng.random() < plan.slow:
                self.counts["delay"] += 1
                due_ms += rng.randint(15, 1_500)
            link = (sender, receiver.name)
            if due_ms < self.due_ms.get(link, 0):
                self.counts["reorder"] += 1
            self.due_ms[link] = due_ms
            self.at(due_ms - self.now_ms, self.arrive, sender, receiver, data)

    def arrive(self, sender: str, receiver: SimNode, data: bytes) -> None:
        if sender in receiver.disk.peers and not (self.cuts and self.is_cut(sender, receiver.name)):
            receiver.receive(sender, data)

    def connect(self, one: SimNode, other: SimNode) -> None:
        if self.is_connected(one, other):
            one.handle(PeerConnected(other.name))
            other.handle(PeerConnected(one.name))

    def uncut(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self.cuts.subtract(pairs)
        self.cuts += Counter()
        links = {(min(pair), max(pair)) for pair in pairs}
        for one, other in sorted(links):
            for node in self.nodes_of[one]:
                for peer in self.nodes_of[other]:
                    self.connect(node, peer)

    # Nodes

    def on_crash(self, node: SimNode) -> None:
        self.faults.on_crash(node)

    def restart(self, node: SimNode) -> None:
        if not node.is_up:
            node.start()
            self.has_progress = True
            for peer in self.nodes:
                self.connect(node, peer)

    def heal(self) -> None:
        """From here on only Byzantine members misbehave."""
        self.is_healed = True
        self.faults.end()
        self.uncut(tuple(self.cuts.elements()))
        for node in self.nodes:
            self.restart(node)

    # Work

    def submit(self, transaction: int) -> None:
        up = [node for node in self.correct if node.is_up and node.is_member]
        if not up:
            self.at(100, self.submit, transaction)
            return
        self.submitted.add(transaction)
        self.rng.choice(up).learn({transaction})

    def give_back(self, node: SimNode) -> None:
        """A department that was removed admits nothing any more: its clients go to another one."""
        pending, node.pending = node.pending, set()
        for transaction in sorted(pending):
            self.at(0, self.submit, transaction)

    def let_observers_follow(self) -> None:
        """As a real node that is no member asks its peers for blocks. One removed while it was away finds nobody
        to tell it; its clients hear nothing and go elsewhere."""
        foremost = max((node.disk for node in self.correct), key=lambda disk: disk.height)
        for node in self.nodes:
            if node.is_up and not node.is_member:
                node.fetch(())
            if node.pending and node.name not in foremost.peers:
                self.give_back(node)
        if self.changes.sets:
            self.at(OBSERVE_MS, self.let_observers_follow)

    def gossip(self) -> None:
        """Who is connected has the same mempool before long; it is another layer's work and not tested here."""
        for node in self.nodes:
            for peer in self.nodes if node.pending and node.is_up else ():
                missing = node.pending - peer.pending - peer.disk.executed.keys()
                if missing and self.is_connected(node, peer):
                    peer.learn(missing)
        self.at(GOSSIP_MS, self.gossip)

    def let_actors_speak(self) -> None:
        for name, actor in self.actors.items():
            for receiver, data in actor.speak() if actor.node.is_up else ():
                if not self.is_cut(name, receiver):
                    self.carry(name, receiver, data, 0)
        if self.actors:
            self.at(SPEAK_MS, self.let_actors_speak)

    # Watching

    def trace(self, node: SimNode, event: Event) -> None:
        self.hash.update(f"{self.now_ms} {node.name} {node.twin} {type(event).__name__}".encode())

    def note(self, effect: Effect) -> None:
        self.hash.update(effect.record if isinstance(effect, Persist) else repr(effect).encode())

    def on_accuse(self, node: SimNode, effect: Accuse) -> None:
        self.accusations.append((node.name, effect))
        if node.name not in self.byzantine and effect.department not in self.excused:
            raise ViolationError(f"{node.name} accused correct {effect.department}: {effect.offence} {effect.detail}")
        if effect.evidence is not None:
            self.on_evidence(node, effect.evidence)

    def on_evidence(self, node: SimNode, evidence: Evidence) -> None:
        """It names who equivocated (a liar, or one whose vote log was put back), and checks without the finder."""
        self.count("evidence")
        validators = node.disk.set_at(evidence.height)
        Evidence.from_file(evidence.to_file()).verify(validators, self.chain_id, self.check)
        if evidence.department not in self.excused:
            raise ViolationError(f"{node.name} has evidence against correct {evidence.name}")

    def on_view(self, node: SimNode, effect: ViewEntered) -> None:
        if not effect.is_active:
            self.count("view_change")

    # The whole run

    def is_converged(self) -> bool:
        """Whether the correct members of the last active set are level and have executed everything."""
        last = max((node.disk for node in self.correct), key=lambda disk: disk.height).validators
        members = [node for node in self.correct if last.key_of(node.name) is not None]
        is_level = len({node.disk.height for node in members}) == 1 and all(node.is_up for node in members)
        return is_level and all(node.disk.executed.keys() >= self.submitted for node in members)

    def run(self) -> None:
        """Chaos first, then convergence, then silence. Raises if any of it fails."""
        plan, rng = self.plan, self.rng
        for node in self.nodes:
            self.at(rng.randint(0, 50), self.restart, node)
        for transaction in range(plan.transactions):
            self.at(rng.randint(0, plan.chaos_ms), self.submit, transaction)
        self.at(GOSSIP_MS, self.gossip)
        self.at(SPEAK_MS, self.let_actors_speak)
        if self.changes.sets:
            self.at(OBSERVE_MS, self.let_observers_follow)
            self.at(rng.randint(0, GOSSIP_MS), self.changes.ask, self)
        self.run_until(plan.chaos_ms)
        self.heal()
        self.submit(plan.transactions)
        self.require_convergence()
        self.require_silence()

    def bound_ms(self) -> int:
        return CONVERGENCE_MS + CONVERGENCE_PER_FAULTY_MS * max(0, len(self.byzantine) - 1)

    def require_convergence(self) -> None:
        healed_ms, everything = self.now_ms, set(range(self.plan.transactions + 1))
        deadline_ms = healed_ms + self.bound_ms()
        if not self.run_until(deadline_ms, lambda: self.submitted >= everything and self.is_converged()):
            heights = {f"{node.name}/{node.twin}": node.disk.height for node in self.nodes}
            raise ViolationError(f"not converged {self.bound_ms()} ms after healing: {heights}")
        self.counts["convergence_ms"] = self.now_ms - healed_ms

    def require_silence(self) -> None:
        if self.byzantine or self.plan.damaged or self.changes.sets:
            return  # a department that was removed while it was away asks on, and nobody listens
        self.run_until(self.now_ms + SILENCE_MS)
        before = self.counts["sent"]
        self.run_until(self.now_ms + SILENCE_MS)
        if self.counts["sent"] != before:
            raise ViolationError(f"an idle network sent {self.counts['sent'] - before} messages")

    def digest(self) -> str:
        """Everything every replica did, in order."""
        return self.hash.hexdigest()

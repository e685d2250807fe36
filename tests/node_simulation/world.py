"""A whole network of real nodes in one thread, all from one seed: virtual time, broken links, power cuts, old disks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

from chain.genesis import Genesis
from chain.protocol import NEWEST
from chain.validators import faults_tolerated
from contracts.deciding.policy import default_policy
from tests.node.cluster import PEOPLE, key_of
from tests.node_simulation.checkers import Checker, ViolationError
from tests.node_simulation.disk import PowerCutError
from tests.node_simulation.faults import Faults
from tests.node_simulation.loop import Life, SimLoop
from tests.node_simulation.machine import Machine
from tests.node_simulation.people import People
from tests.node_simulation.plan import Plan
from tests.node_simulation.wires import Wires

EPOCH_MS = 1_767_225_600_000
"""Virtual time begins on 2026-01-01, UTC."""
CONVERGENCE_S = 120.0
"""After healing, within this time every operation is decided, all nodes are level, and every vault is as it must be."""
LOOK_S = 0.25


class World:
    def __init__(self, seed: int, folder: Path, plan: Plan | None = None) -> None:
        self.seed, self.rng = seed, Random(f"world {seed}")
        self.plan = plan or Plan.drawn(self.rng)
        self.counts: Counter[str] = Counter()
        self.failures: list[tuple[str, BaseException | None]] = []
        self.convergence_s = 0.0
        self.loop = SimLoop()
        self.loop.set_exception_handler(self._on_unhandled)
        self.loop.disk_delay_s = self._disk_delay_s
        self.genesis = Genesis.from_value(genesis_value(self.plan))
        self.checker = Checker()
        self.wires = Wires(self.loop, self.plan, self.rng, self.counts)
        self.machines = {name: Machine(self, name, folder) for name in self.plan.departments}
        self.wires.is_up = lambda name: self.machines[name].is_up
        self.people = People(self)
        self.faults = Faults(self)
        self.tasks: list[asyncio.Task[None]] = []

    # Time

    def wall_ms(self) -> int:
        return EPOCH_MS + int(self.loop.time() * 1000)

    def later(self, delay_s: float, action: Callable[..., None], *arguments: Any) -> None:
        """Done by the world, whoever asks for it."""
        self.loop.call_later(delay_s, action, *arguments, context=self.wires.context)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(self.loop.create_task(work, context=self.wires.context))

    def _disk_delay_s(self, life: Life | None) -> float:
        most_ms = 1 if life is None else self.machines[life.name].disk_delay_ms
        return self.rng.randint(100, 1_000 * most_ms) / 1e6

    # Watching

    def count(self, kind: str) -> None:
        self.counts[kind] += 1

    def note(self, what: str) -> None:
        self.wires.note(what)

    def fail(self, what: str, error: BaseException | None = None) -> None:
        self.failures.append((what, error))

    def _on_unhandled(self, _loop: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, PowerCutError):
            self.fail(f"unhandled: {context.get('message')}: {error!r}", error)

    def _look(self) -> None:
        for machine in self.machines.values():
            self.checker.look(machine)
        for task in self.tasks:
            if task.done() and (error := task.exception()) is not None:
                raise error
        if self.failures:
            what, error = self.failures[0]
            raise ViolationError(what) from error

    # The whole run

    async def _run(self) -> None:
        for machine in self.machines.values():
            self.later(self.rng.uniform(0.0, 0.2), machine.start)
        self.faults.schedule()
        self.people.begin()
        while self.loop.time() < self.plan.chaos_s:
            await asyncio.sleep(LOOK_S)
            self._look()
        self.faults.heal()
        healed_s = self.loop.time()
        while (open_ := self.unsettled()) is not None:
            if self.loop.time() - healed_s > CONVERGENCE_S:
                raise ViolationError(f"not settled {CONVERGENCE_S:.0f} s after healing: {open_}")
            await asyncio.sleep(LOOK_S)
            self._look()
        self.convergence_s = self.loop.time() - healed_s
        self.checker.check_all(self)
        await self._stop()

    def unsettled(self) -> str | None:
        """What is still to come; None once everything is as it must be."""
        if not self.people.is_done:
            return f"{self.people.running} operations"
        heads = set()
        for name, machine in self.machines.items():
            node = machine.node
            if node is None:
                return f"{name} is down"
            heads.add((node.height, node.ledger.head.block_id))
            if not node.is_ready:
                return f"{name} is not ready: {node.status()}"
            vault = node.status()["vault"]
            work = [key for key in ("missing", "surplus", "is_walking", "erasures_unconfirmed") if vault[key]]
            if work or node._mempool.transactions or node._appended.qsize():
                return f"{name} has {work or 'transactions'} left: {vault}"
        return None if len(heads) == 1 else f"heads {sorted(height for height, _ in heads)}"

    async def _stop(self) -> None:
        """Every node stops in good order, and nothing of it is left running."""
        lives = [machine.life for machine in self.machines.values()]
        for machine in self.machines.values():
            machine.stop()
        began_s = self.loop.time()
        while any(life is not None and not life.is_over for life in lives):
            await asyncio.sleep(LOOK_S / 10)
            self._look()
            if self.loop.time() - began_s > 10:
                raise ViolationError("a node does not stop")

    def run(self) -> None:
        task = self.loop.create_task(self._run(), context=self.wires.context)
        self.loop.run_until_complete(task)

    def digest(self) -> str:
        return self.wires.trace.hexdigest()


def genesis_value(plan: Plan) -> dict[str, Any]:
    names = plan.departments
    return {
        "version": 1,
        "protocol": NEWEST,
        "network": "模拟网络",
        "time_ms": EPOCH_MS - 60_000,
        "departments": [
            {"id": name, "name": name, "key": key_of(f"node {name}").public.hex(), "address": f"127.0.0.1:{port}"}
            for port, name in enumerate(names, 7001)
        ],
        "people": [
            {"id": name, "department": department, "role": role, "key": key_of(name).public.hex()}
            for name, (department, role) in PEOPLE.items()
            if department in names
        ],
        "gateways": [],
        "policy": {**default_policy(list(names)), "vault_holders_min": faults_tolerated(plan.n) + 1},
        "limits": {},
    }

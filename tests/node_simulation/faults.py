"""Injects what a plan says. Every fault is counted when it really happens, not when it was planned."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from tests.node_simulation.disk import VOTES

if TYPE_CHECKING:
    from tests.node_simulation.machine import Machine
    from tests.node_simulation.world import World

HOUR_MS = 3_600_000


class Faults:
    """The faults of one world; `heal` ends all of them."""

    def __init__(self, world: World) -> None:
        self.world, self.plan, self.rng = world, world.plan, world.rng
        self.is_over = False
        self.cut_pairs: list[tuple[tuple[str, str], ...]] = []

    def schedule(self) -> None:
        plan, rng, world = self.plan, self.rng, self.world
        for machine in world.machines.values():
            machine.skew_ms = rng.randint(-plan.skew_ms, plan.skew_ms)
            world.counts["clock_skew"] += bool(machine.skew_ms)
            machine.skew_ms += plan.ahead_ms
        moments = (
            [self.partition] * plan.partitions
            + [self.cut_one_way] * plan.one_way_cuts
            + [self.pause] * plan.pauses
            + [self.kill] * plan.kills
            + [self.cut_power] * plan.power_cuts
            + [self.restart] * plan.restarts
            + [self.slow_down] * plan.slow_nodes
            + [self.slow_disk] * plan.slow_disks
            + [self.fill_disk] * plan.full_disks
        )
        if plan.ahead_ms:
            world.later(plan.chaos_s / 2, self._inject, self.set_back)
        for fault in moments:
            world.later(rng.uniform(0.0, plan.chaos_s), self._inject, fault)
        victims = list(world.machines.values())
        rng.shuffle(victims)
        for machine, kind in zip(victims, plan.damaged, strict=False):
            machine.is_damaged = True
            getattr(self, f"plan_{kind}")(machine)

    def _inject(self, fault: object) -> None:
        if not self.is_over:
            fault()  # type: ignore[operator]

    def heal(self) -> None:
        world = self.world
        self.is_over = world.wires.is_healed = True
        world.wires.slow.clear()
        for pairs in self.cut_pairs:
            world.wires.uncut(pairs)
        self.cut_pairs.clear()
        for machine in world.machines.values():
            machine.disk_delay_ms, machine.disk.cut_at, machine.disk.full_at = 1, None, None
            machine.skew_ms = 0
            if machine.life is not None:
                world.loop.go_on(machine.life)
            machine.start()

    def _victim(self) -> Machine:
        return self.rng.choice(list(self.world.machines.values()))

    def _up(self) -> Machine | None:
        up = [machine for machine in self.world.machines.values() if machine.is_up]
        return self.rng.choice(up) if up else None

    # Network

    def _cut(self, kind: str, pairs: tuple[tuple[str, str], ...], duration_s: float) -> None:
        if pairs:
            self.world.count(kind)
            self.world.wires.cuts.update(pairs)
            self.cut_pairs.append(pairs)
            self.world.later(duration_s, self._uncut, pairs)

    def _uncut(self, pairs: tuple[tuple[str, str], ...]) -> None:
        if pairs in self.cut_pairs:
            self.cut_pairs.remove(pairs)
            self.world.wires.uncut(pairs)

    def partition(self) -> None:
        names = self.world.plan.departments
        group = {name: self.rng.randint(0, 1) for name in names}
        pairs = tuple(pair for pair in permutations(names, 2) if group[pair[0]] != group[pair[1]])
        self._cut("partition", pairs, self.rng.choice((0.5, 3.0, 12.0)))

    def cut_one_way(self) -> None:
        names = list(self.world.plan.departments)
        self.rng.shuffle(names)
        others = names[1:] if self.rng.random() < 0.5 else names[1:2]
        is_deaf = self.rng.random() < 0.5
        pairs = tuple((other, names[0]) if is_deaf else (names[0], other) for other in others)
        self._cut("one_way_cut", pairs, self.rng.choice((1.0, 9.0)))

    def slow_down(self) -> None:
        self.world.count("slow_node")
        self.world.wires.slow[self._victim().name] = self.rng.choice((0.05, 0.4))

    # Machines

    def slow_disk(self) -> None:
        self.world.count("slow_disk")
        self._victim().disk_delay_ms = self.rng.choice((20, 100))

    def pause(self) -> None:
        machine = self._up()
        if machine is not None and machine.life is not None and not machine.life.is_paused:
            self.world.count("pause")
            machine.life.is_paused = True
            self.world.later(self.rng.choice((0.3, 2.0, 10.0)), self.world.loop.go_on, machine.life)

    def set_back(self) -> None:
        self.world.count("clocks_set_back")
        for machine in self.world.machines.values():
            machine.skew_ms -= self.plan.ahead_ms

    def kill(self) -> None:
        machine = self._up()
        if machine is not None:
            self.world.count("kill")
            machine.end(is_silent=self.rng.random() < 0.3)
            self.world.later(self.rng.choice((0.05, 1.0, 5.0)), machine.start)

    def cut_power(self) -> None:
        machine = self._victim()
        machine.disk.cut_at = machine.disk.writes + self.rng.randint(1, 25)

    def restart(self) -> None:
        machine = self._up()
        if machine is not None and machine.is_serving:
            self.world.count("restart")
            machine.stop()

    def fill_disk(self) -> None:
        machine = self._victim()
        machine.disk.full_at = machine.disk.writes + self.rng.randint(1, 10)
        self.world.later(self.rng.choice((2.0, 6.0)), self._free, machine)

    def _free(self, machine: Machine) -> None:
        machine.disk.full_at = None

    # Members that count among the f faulty ones

    def plan_clock(self, machine: Machine) -> None:
        self.world.later(self.rng.uniform(0.0, self.plan.chaos_s), self._inject, lambda: self._step(machine))

    def _step(self, machine: Machine) -> None:
        self.world.count("clock_step")
        machine.skew_ms += self.rng.choice((-HOUR_MS, -10_000, 10_000, HOUR_MS))

    def plan_wiped(self, machine: Machine) -> None:
        self.world.later(self.rng.uniform(0.0, self.plan.chaos_s), self._inject, lambda: self._wipe(machine))

    def plan_grabber(self, machine: Machine) -> None:
        machine.is_grabber = True

    def _wipe(self, machine: Machine) -> None:
        self.world.count("wiped")
        machine.end(is_silent=True)
        machine.disk.set_aside([*machine.disk.databases, VOTES])
        self.world.later(self.rng.choice((0.5, 4.0)), machine.start)

    def plan_rolled_back(self, machine: Machine) -> None:
        moment_s = self.rng.uniform(0.0, self.plan.chaos_s)
        self.world.later(moment_s / 2, self._back_up, machine, moment_s / 2)

    def _back_up(self, machine: Machine, wait_s: float) -> None:
        content = machine.disk.copy_content()
        self.world.later(wait_s, self._inject, lambda: self._roll_back(machine, content))

    def _roll_back(self, machine: Machine, content: object) -> None:
        self.world.count("rolled_back")
        machine.end(is_silent=True)
        machine.disk.put_back(content)  # type: ignore[arg-type]
        self.world.later(self.rng.choice((0.5, 4.0)), machine.start)

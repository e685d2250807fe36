"""Injects what a plan says. Every fault is counted when it really happens, not when it was planned."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.world import World

HOUR_MS = 3_600_000
Cut = tuple[tuple[str, str], ...]
"""(sender, receiver) pairs between which nothing passes."""


class Faults:
    """The faults of one world; `end` stops all of them."""

    def __init__(self, world: World) -> None:
        self.world, self.plan, self.rng = world, world.plan, world.rng
        self.is_over = False
        self.to_damage: dict[str, str] = {}
        self.backups: dict[str, object] = {}

    def schedule(self, correct: list[SimNode]) -> None:
        plan, rng, world = self.plan, self.rng, self.world
        for node in world.nodes:
            node.clock_rate = rng.uniform(1 - plan.skew, 1 + plan.skew)
            node.clock_offset_ms = rng.randint(0, HOUR_MS) if plan.skew else 0
            world.counts["clock_skew"] += bool(plan.skew)
        moments = (
            [self.partition] * plan.partitions
            + [self.cut_one_way] * plan.one_way_cuts
            + [self.step_a_clock] * plan.clock_steps
            + [self.pause] * plan.pauses
            + [self.crash] * plan.crashes
        )
        for fault in moments:
            world.at(rng.randint(0, plan.chaos_ms), self.inject, fault)
        victims = [node.name for node in correct]
        rng.shuffle(victims)
        self.to_damage = dict(zip(victims, plan.damaged, strict=False))
        for name in self.to_damage:
            node = world.nodes_of[name][0]
            moment_ms = rng.randint(0, plan.chaos_ms)
            world.at(moment_ms // 2, self.back_up, node)
            world.at(moment_ms, self.crash_soon, node)

    def inject(self, fault: object) -> None:
        if not self.is_over:
            fault()  # type: ignore[operator]

    def end(self) -> None:
        self.is_over = True
        for node in self.world.nodes:
            node.crash_after_effects = None
            node.paused_until_ms = 0

    # Network

    def cut(self, pairs: Cut, duration_ms: int) -> None:
        self.world.cuts.update(pairs)
        self.world.at(duration_ms, self.world.uncut, pairs)

    def partition(self) -> None:
        names = self.world.names
        group = {name: self.rng.randint(0, 1) for name in names}
        pairs = tuple(pair for pair in permutations(names, 2) if group[pair[0]] != group[pair[1]])
        if pairs:
            self.world.count("partition")
            self.cut(pairs, self.rng.choice((300, 2_000, 8_000)))

    def cut_one_way(self) -> None:
        """One member, or a link, hears nothing or is not heard."""
        names = list(self.world.names)
        self.rng.shuffle(names)
        others = names[1:] if self.rng.random() < 0.5 else names[1:2]
        is_deaf = self.rng.random() < 0.5
        self.world.count("one_way_cut")
        pairs = tuple((other, names[0]) if is_deaf else (names[0], other) for other in others)
        self.cut(pairs, self.rng.choice((500, 3_000)))

    # Nodes

    def victim(self) -> SimNode:
        return self.rng.choice(self.world.correct)

    def step_a_clock(self) -> None:
        self.world.count("clock_step")
        self.victim().clock_offset_ms += self.rng.choice((-HOUR_MS, -500, 500, HOUR_MS))

    def pause(self) -> None:
        node = self.victim()
        if node.is_up:
            self.world.count("pause")
            node.paused_until_ms = self.world.now_ms + self.rng.choice((100, 1_500, 5_000))

    def crash(self) -> None:
        self.crash_soon(self.victim())

    def crash_soon(self, node: SimNode) -> None:
        if node.is_up and not self.is_over:
            node.crash_after_effects = self.rng.randint(0, 12)

    def crash_perhaps(self, node: SimNode) -> None:
        """One time in seven, with one of its next effects."""
        if not self.is_over and self.rng.random() < 1 / 7:
            self.crash_soon(node)

    def on_crash(self, node: SimNode) -> None:
        """Damages the disk if that is planned, and switches the node on again before long."""
        kind = None if self.is_over else self.to_damage.pop(node.name, None)
        if kind == "wiped":
            node.disk.lose_log()
        elif kind == "emptied":
            node.disk = self.backups.get(node.name, node.disk).copy()  # type: ignore[attr-defined]
            node.disk.lose_log()
        elif kind == "rolled_back":
            node.disk.roll_back(self.rng.randint(0, len(node.disk.votes)))
        elif kind == "restored":
            node.disk = self.backups.get(node.name, node.disk).copy()  # type: ignore[attr-defined]
        if kind:
            self.world.count(kind)
        delay_ms = self.rng.choice((20, 40, 300) if self.plan.is_storm else (20, 300, 4_000))
        self.world.at(0 if self.is_over else delay_ms, self.world.restart, node)

    def back_up(self, node: SimNode) -> None:
        """An old copy of the whole disk, of the kind that must never be put back and sometimes is."""
        self.backups[node.name] = node.disk.copy()

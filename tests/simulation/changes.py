"""Changes of membership in one simulated network: which sets follow each other, and when each change is asked for."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from chain.crypto import SigningKey
from chain.validators import DEPARTMENTS_MIN, Validator, ValidatorSet, faults_tolerated
from tests.simulation.cheap_crypto import key_of
from tests.simulation.disk import CHANGE_FIRST, TICK_FIRST

if TYPE_CHECKING:
    from tests.simulation.world import World

ASK_MS = 300


class Changes:
    """`sets`: the sets after each change. `keys`: (member, key) of everybody there ever is."""

    def __init__(self, kinds: tuple[str, ...], seed: int, first: ValidatorSet, faulty: set[str], byzantine: set[str]):
        self._rng = Random(f"{seed} changes")
        self._faulty, self._byzantine = faulty, byzantine
        self._generations = dict.fromkeys(first.departments, 0)
        self.kinds: list[str] = []
        self.sets: list[ValidatorSet] = []
        present = first
        for kind in kinds:
            after = self._after(kind, present)
            if after is not None:
                self.kinds.append(kind)
                self.sets.append(after)
                present = after
        self.ticks = 0
        self._seen = 0

    @property
    def keys(self) -> list[tuple[str, SigningKey]]:
        return [(name, key_of(name, number)) for name, last in self._generations.items() for number in range(last + 1)]

    def _after(self, kind: str, present: ValidatorSet) -> ValidatorSet | None:
        members = {member.department: member.key for member in present.members}
        if kind in ("member_removed", "member_replaced"):
            goers = [name for name in members if self._may_go(kind, name, tuple(members))]
            if not goers:
                return None
            del members[self._rng.choice(goers)]
        if kind in ("member_added", "member_replaced"):
            name = f"y{len(self._generations)}"
            self._generations[name] = 0
            members[name] = key_of(name).public
        if kind == "key_rotated":
            name = self._rng.choice([name for name in members if name not in self._byzantine])
            self._generations[name] += 1
            members[name] = key_of(name, self._generations[name]).public
        return ValidatorSet(present.epoch + 1, tuple(Validator(name, members[name]) for name in sorted(members)))

    def _may_go(self, kind: str, name: str, members: tuple[str, ...]) -> bool:
        """At least four stay, and of them at most f are faulty."""
        n = len(members) - (kind == "member_removed")
        faulty = len(self._faulty & set(members) - {name})
        return n >= DEPARTMENTS_MIN and faulty <= faults_tolerated(n)

    def ask(self, world: World) -> None:
        """Asks for the next change once the one before is active, and makes blocks while one waits for its height."""
        up = [node for node in world.correct if node.is_up and node.is_member]
        if up:
            foremost = max(up, key=lambda node: node.disk.height)
            number = foremost.disk.sets[-1][1].epoch
            self._count(world, foremost.disk.validators.epoch)
            if foremost.disk.is_change_waiting:
                if not foremost.pending:
                    world.submit(TICK_FIRST + self.ticks)
                    self.ticks += 1
            elif number < len(self.sets) and CHANGE_FIRST + number not in world.submitted:
                world.submit(CHANGE_FIRST + number)
        if not world.is_healed:
            world.at(self._rng.randint(1, 2 * ASK_MS), self.ask, world)

    def _count(self, world: World, epoch: int) -> None:
        for kind in self.kinds[self._seen : epoch]:
            world.count(kind)
        self._seen = max(self._seen, epoch)

"""What is still to be done about single values, and when to try again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from node.vault.seal import Wanted

MANY: Final = 5_000
"""Of more, each is tried the less often, so that what never succeeds costs no more than so many would."""


@dataclass(slots=True)
class _Task:
    due_s: float
    attempts: int = 0


class Backlog:
    """Values with a time at which each is due. Failures put it off, doubling up to a cap."""

    def __init__(self, clock_s: Callable[[], float], first_s: float, max_s: float) -> None:
        self._clock_s, self._first_s, self._max_s = clock_s, first_s, max_s
        self._tasks: dict[Wanted, _Task] = {}
        self._in_vain: set[Wanted] = set()

    @property
    def hopeful(self) -> int:
        """How many may be done soon: those that were not tried in vain."""
        return len(self._tasks) - len(self._in_vain)

    def __len__(self) -> int:
        return len(self._tasks)

    def items(self) -> list[Wanted]:
        """All that is in it, due or not."""
        return list(self._tasks)

    def __contains__(self, wanted: object) -> bool:
        return wanted in self._tasks

    def add(self, wanted: Iterable[Wanted], delay_s: float) -> None:
        """What is in it already keeps its time."""
        for one in wanted:
            self._tasks.setdefault(one, _Task(self._clock_s() + delay_s))

    def urge(self, wanted: Iterable[Wanted]) -> None:
        """Somebody waits for these: due now, whether they were in it or not."""
        for one in wanted:
            self._tasks.setdefault(one, _Task(0.0)).due_s = self._clock_s()

    def due(self, count_max: int) -> list[tuple[Wanted, int]]:
        """(value, how often it failed) of those that are due, oldest entry first. They stay until `done`."""
        now_s = self._clock_s()
        found = [(wanted, task.attempts) for wanted, task in self._tasks.items() if task.due_s <= now_s]
        return found[:count_max]

    def done(self, wanted: Iterable[Wanted]) -> None:
        for one in wanted:
            self._tasks.pop(one, None)
            self._in_vain.discard(one)

    def put_off(self, wanted: Iterable[Wanted], *, in_vain: bool = False) -> None:
        """`in_vain`: whoever was asked has answered, and it did not help."""
        max_s = self._max_s * max(1.0, len(self._tasks) / MANY)
        for one in wanted:
            task = self._tasks.get(one)
            if task is not None:
                task.due_s = self._clock_s() + min(max_s, self._first_s * 2.0 ** min(task.attempts, 32))
                task.attempts += 1
                if in_vain:
                    self._in_vain.add(one)

    def hurry(self) -> None:
        """Everything is due now and starts afresh: somebody who may have it has come back."""
        self._in_vain.clear()
        for task in self._tasks.values():
            task.due_s, task.attempts = self._clock_s(), 0

    def wait_s(self) -> float | None:
        """Seconds until the next is due; None if there is nothing."""
        if not self._tasks:
            return None
        return max(0.0, min(task.due_s for task in self._tasks.values()) - self._clock_s())

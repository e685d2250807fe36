"""What is still to be done about single values, and when to try again."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from node.vault.seal import Wanted

MANY: Final = 5_000
"""Of more, each is tried the less often, so that what never succeeds costs no more than so many would."""
_OUTDATED_MIN: Final = 64


@dataclass(slots=True)
class _Task:
    due_s: float
    place: int
    """The number of the entry in the order that counts for it; others are outdated."""
    attempts: int = 0


class Backlog:
    """Values with a time at which each is due. Failures put it off, doubling up to a cap. To ask for some of those that
    are due costs no more where there are hundreds of thousands."""

    def __init__(self, clock_s: Callable[[], float], first_s: float, max_s: float) -> None:
        self._clock_s, self._first_s, self._max_s = clock_s, first_s, max_s
        self._tasks: dict[Wanted, _Task] = {}
        self._order: list[tuple[float, int, Wanted]] = []
        """A heap of (due, number of the entry, value)."""
        self._entered = 0
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
            if one not in self._tasks:
                self._enter(one, self._clock_s() + delay_s)

    def urge(self, wanted: Iterable[Wanted]) -> None:
        """Somebody waits for these: due now, whether they were in it or not."""
        for one in wanted:
            self._enter(one, self._clock_s())

    def due(self, count_max: int) -> list[tuple[Wanted, int]]:
        """(value, how often it failed) of those that are due, which was due first in front. They stay until `done`."""
        now_s = self._clock_s()
        found: list[tuple[float, int, Wanted]] = []
        while len(found) < count_max and (first := self._first()) is not None and first[0] <= now_s:
            found.append(heapq.heappop(self._order))
        for entry in found:
            heapq.heappush(self._order, entry)
        return [(wanted, self._tasks[wanted].attempts) for _, _, wanted in found]

    def done(self, wanted: Iterable[Wanted]) -> None:
        for one in wanted:
            self._tasks.pop(one, None)
            self._in_vain.discard(one)
        self._tidy()

    def put_off(self, wanted: Iterable[Wanted], *, in_vain: bool = False) -> None:
        """`in_vain`: whoever was asked has answered, and it did not help."""
        max_s = self._max_s * max(1.0, len(self._tasks) / MANY)
        for one in wanted:
            task = self._tasks.get(one)
            if task is not None:
                self._enter(one, self._clock_s() + min(max_s, self._first_s * 2.0 ** min(task.attempts, 32)))
                task.attempts += 1
                if in_vain:
                    self._in_vain.add(one)

    def hurry(self) -> None:
        """Everything is due now and starts afresh: somebody who may have it has come back."""
        self._in_vain.clear()
        now_s = self._clock_s()
        for place, task in enumerate(self._tasks.values()):
            task.due_s, task.place, task.attempts = now_s, place, 0
        self._order = [(now_s, place, wanted) for place, wanted in enumerate(self._tasks)]  # in order: a heap

    def wait_s(self) -> float | None:
        """Seconds until the next is due; None if there is nothing."""
        first = self._first()
        return None if first is None else max(0.0, first[0] - self._clock_s())

    def _enter(self, wanted: Wanted, due_s: float) -> None:
        """Sets when a value is due; an earlier entry of it is outdated."""
        task = self._tasks.get(wanted)
        if task is None:
            self._tasks[wanted] = _Task(due_s, self._entered)
        else:
            task.due_s, task.place = due_s, self._entered
        heapq.heappush(self._order, (due_s, self._entered, wanted))
        self._entered += 1
        self._tidy()

    def _first(self) -> tuple[float, int, Wanted] | None:
        """The entry that is due next."""
        while self._order:
            _, place, wanted = self._order[0]
            task = self._tasks.get(wanted)
            if task is not None and task.place == place:
                return self._order[0]
            heapq.heappop(self._order)
        return None

    def _tidy(self) -> None:
        """Outdated entries would lie there until their time: made anew where they are the most."""
        if len(self._order) > 2 * len(self._tasks) + _OUTDATED_MIN:
            self._order = [(task.due_s, task.place, wanted) for wanted, task in self._tasks.items()]
            heapq.heapify(self._order)

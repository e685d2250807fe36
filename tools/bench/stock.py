"""Customers that are registered and belong to nobody's load yet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tools.bench.grown import Story


class Stock:
    """The customers of a grown network, by the department whose operator registered them."""

    def __init__(self, story: Story, transactions: int | None = None) -> None:
        """`transactions`: how many of the story there were; without it, its registrations."""
        made = story.records if transactions is None else transactions
        self._left = {name: _of(story, name, made) for name in story.departments}

    def take(self, department: str, count: int) -> dict[str, int]:
        """Customers and their versions. Errors: LookupError, if there are not so many."""
        taken = dict(islice(self._left[department], count))
        if len(taken) < count:
            raise LookupError(f"{department} has only {len(taken)} of {count} customers left")
        return taken


def _of(story: Story, department: str, transactions: int) -> Iterator[tuple[str, int]]:
    for number in range(min(story.records, transactions)):
        if story.department(number) == department:
            yield story.customer(number), story.version(number, transactions)

"""What a mutant is: a known bug, put into the running code, and the test that must fail then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from consensus import replica
from tests.exploration.reduced import ReducedSearch
from tests.exploration.search import Search
from tests.simulation.runs import run_seed

Patch = Callable[[], AbstractContextManager[object]]
Finder = Callable[[], object]
SEEDS = 60


@dataclass(frozen=True, slots=True)
class Mutant:
    """`patch()` puts the bug in; `finder` is a test of this suite, or some seeds of the simulator."""

    name: str
    patch: Patch
    finder: Finder

    def verdict(self) -> str:
        """How the finder failed; empty if the mutant survives. A finder that breaks in another way finds nothing."""
        with self.patch():
            try:
                self.finder()
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                return f"{type(error).__name__}: {error}".splitlines()[0][:150]
        return ""


def some_seeds() -> None:
    for seed in range(SEEDS):
        run_seed(seed)


def some_dives() -> None:
    Search().dive(200)


def reduced_search(byzantine: int | None = None) -> Finder:
    """Views 0 and 1, to the end."""

    def search() -> None:
        ReducedSearch(byzantine, views=2).run(1_000_000)

    return search


def attribute(target: Any, name: str, value: object) -> Patch:
    return lambda: patch.object(target, name, value)


def wrapped(target: Any, name: str, wrapper: Callable[[Callable[..., Any]], object]) -> Patch:
    """Replaces a function by `wrapper(the genuine one)`."""
    return lambda: patch.object(target, name, wrapper(getattr(target, name)))


def rule(genuine: Callable[..., bool], changed: Callable[..., bool] | None) -> Patch:
    """Replaces a rule of the replica, or leaves it out."""
    rules = tuple(changed if each is genuine else each for each in replica.RULES if changed or each is not genuine)
    return lambda: patch.object(replica, "RULES", rules)


def together(*patches: Patch) -> Patch:
    @contextmanager
    def all_of_them() -> Iterator[None]:
        with ExitStack() as stack:
            for each in patches:
                stack.enter_context(each())
            yield

    return all_of_them

"""What is fuzzed: where inputs come from, what takes them, and what counts as right.

A `Target` draws inputs and opens a taker: a function that takes one input and says what became of it. It answers
"accepted", or the code it was refused with; a `KehuError` is a refusal. Any other exception is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

ACCEPTED = "accepted"
Take: TypeAlias = Callable[[bytes], str | None]
"""None counts as accepted."""
Draw: TypeAlias = Callable[[Random], bytes]


class Finding(Exception):  # noqa: N818 (what is found, not what went wrong)
    """A property that does not hold, though nothing raised."""


def _as_it_is(data: bytes) -> bytes:
    return data


@dataclass(frozen=True)
class Target:
    """`weight`: its part of all executions. `open` makes a taker with a state of its own, for a run of inputs."""

    name: str
    draw: Draw
    open: Callable[[], AbstractContextManager[Take]]
    weight: int = 1
    carry: tuple[Callable[[bytes], bytes], ...] = (_as_it_is,)
    """How large inputs are handed to it: each is an input of its own."""
    cpu_s_max: float = 0.05
    """Processor time for a mebibyte; more for files of the own operator, where nobody else waits."""


def reader(read: Callable[[bytes], Any], write: Callable[[Any], bytes] | None = None) -> Callable[[], Any]:
    """A taker that reads; with `write`, what was accepted must be written as the same bytes again."""

    def take(data: bytes) -> str:
        value = read(data)
        if write is not None and write(value) != data:
            raise Finding("what was accepted is written as other bytes")
        return ACCEPTED

    @contextmanager
    def open_() -> Iterator[Take]:
        yield take

    return open_

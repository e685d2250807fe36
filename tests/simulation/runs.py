"""One seed, and many: the same code for the command, the tests and the mutants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from unittest.mock import patch

from consensus import replica
from tests.simulation.world import World

DECODED_MAX = 4_096


@contextmanager
def decoding_once() -> Iterator[None]:
    """A broadcast is decoded once, not once per receiver: messages are immutable, and so is what bytes mean."""
    with patch.object(replica, "decode_message", lru_cache(DECODED_MAX)(replica.decode_message)):
        yield


def run_seed(seed: int, n: int | None = None, *, has_real_crypto: bool = False) -> World:
    """The finished world of a seed; raises what went wrong."""
    world = World(seed, n=n, has_real_crypto=has_real_crypto)
    with decoding_once():
        world.run()
    return world


def replay_command(seed: int, n: int | None = None, *, has_real_crypto: bool = False) -> str:
    extra = (f" --n {n}" if n else "") + (" --real" if has_real_crypto else "")
    return f"python -m tests.simulation --seed {seed}{extra}"

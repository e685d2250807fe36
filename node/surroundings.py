"""What a node takes from the machine it runs on: clocks, randomness, the way to other nodes, the room on its disks.

In one place, so that a whole network can run in one thread over others (tests/node_simulation). A node's own code
reads no clock and draws no number but through here; timers are the event loop's.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from node.aside import Aside, Blocking
from node.peers.listener import Listener
from node.peers.transport import Dial, dial
from node.why.collector import Free, free_bytes


def wall_ms() -> int:
    """Unix time in ms."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`draw(n)` gives n random bytes, `jitter()` a number in [0, 1). `make_listener` takes what `Listener` takes;
    `make_blocking()` gives how one kind of work that waits for the disk is done."""

    wall_ms: Callable[[], int] = wall_ms
    monotonic_ms: Callable[[], int] = monotonic_ms
    draw: Callable[[int], bytes] = secrets.token_bytes
    jitter: Callable[[], float] = random.random
    free_bytes: Free = free_bytes
    dial: Dial = dial
    make_listener: Callable[..., Any] = Listener
    make_blocking: Callable[[], Blocking] = Aside

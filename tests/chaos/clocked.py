"""`python -m tests.chaos.clocked CLOCK HOME`: the node, whose wall clock is ahead by the seconds in CLOCK.

The file may change while the node runs; the monotonic clock goes on as it is. Everything in the process that asks
Python for the time is told so: the node itself, its logs, its libraries. (A library that is put before the C library
would reach OpenSSL too, but libfaketime 0.9.10 breaks the timed waits that CPython 3.11 hands its lock around with: a
node stood still for seconds, and two threads in a loop for ever.)
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOOK_EVERY_S: Final = 0.1


class WallClock:
    """The system's clock plus the offset in `file`; a file that is not there or not yet written changes nothing."""

    def __init__(self, file: Path, now_ns: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._file, self._now_ns, self._monotonic = file, now_ns, monotonic
        self._offset_ns = 0
        self._looked_s = float("-inf")

    def time_ns(self) -> int:
        return self._now_ns() + self._offset()

    def time(self) -> float:
        return self.time_ns() / 1e9

    def _offset(self) -> int:
        if self._monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = self._monotonic()
            with contextlib.suppress(OSError, ValueError):
                self._offset_ns = round(float(self._file.read_text(encoding="ascii")) * 1e9)
        return self._offset_ns


def main() -> int:
    clock = WallClock(Path(sys.argv[1]), time.time_ns, time.monotonic)
    time.time, time.time_ns = clock.time, clock.time_ns
    # Only now: what is imported before could keep the real functions.
    from node.process import run_node

    return run_node(Path(sys.argv[2]))


if __name__ == "__main__":
    sys.exit(main())

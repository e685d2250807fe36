"""LevelDB's own thread, which gives way to the node's.

LevelDB writes and merges its tables in one thread per process. It makes it when there is first something to do, and a
thread begins with the priority of the one that made it. Departments with the same state merge the same tables at the
same time, for seconds; whoever waits for a commit meanwhile should not wait for that. Where LevelDB falls behind, it
holds up those who write, and so gets the processor: what it has to do is done later, not never.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from node.storage.purging import FIRST

NICENESS: Final = 10
"""A tenth of the processor where others want all of it (docs/performance.md)."""

_starting = threading.Lock()
_is_started = threading.Event()


def open_database(open_: Callable[[], Any]) -> Any:
    """The database that `open_` opens. The first one of the process brings up LevelDB's thread."""
    with _starting:
        if not _is_started.is_set():
            with ThreadPoolExecutor(1, initializer=_lower_priority) as lowered:
                database = lowered.submit(open_).result()
                lowered.submit(database.compact_range, start=FIRST, stop=FIRST).result()
            _is_started.set()
            return database
    return open_()


def _lower_priority() -> None:
    """Of this thread alone, which is so on Linux only: setpriority(2), "C library/kernel differences"."""
    if sys.platform == "linux":
        with suppress(OSError):  # where it is forbidden, the node does without
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)

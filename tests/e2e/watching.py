"""What other users of the machine can see while the story is told: the arguments of its processes."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

PAUSE_S: Final = 0.03


class ArgumentsWatch:
    """Collects the command lines that mention `mark`, while the context is open. Linux only."""

    def __init__(self, mark: str) -> None:
        self.seen: set[bytes] = set()
        self._mark = mark.encode()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(PAUSE_S):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes()
                except OSError:
                    continue
                if self._mark in line:
                    self.seen.add(line)

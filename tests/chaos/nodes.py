"""A department's node as a process of its namespace, on its disk, with a clock that can be set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.disks import Disk
from tests.chaos.netns import inside

ROOT: Final = Path(__file__).parent.parent.parent
EXIT_STORAGE: Final = 3
END_S: Final = 15.0
STOP_S: Final = 5.0
"""How long an orderly stop may take (scenario 42)."""


@dataclass
class Ending:
    """How a process of the node ended: `code` is negative for a signal."""

    code: int
    at_s: float


@dataclass
class NodeProcess:
    """`log` and `clock` lie outside the department's disk: they are the test's, not the node's."""

    department: str
    home: Path
    disk: Disk
    log: Path
    clock: Path
    endings: list[Ending] = field(default_factory=list)
    is_wanted: bool = False
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        self.set_clock(0)
        words = inside(
            self.department, sys.executable, "-P", "-m", "tests.chaos.clocked", str(self.clock), str(self.home)
        )
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=self._environment(),
            )  # fmt: skip
        self.is_wanted, self.starts = True, self.starts + 1

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KEHU_")}
        return {**kept, "PYTHONPATH": str(ROOT)}

    def set_clock(self, offset_s: float) -> None:
        """What the wall clock of the node is ahead by; the monotonic one goes on."""
        beside = self.clock.with_suffix(".new")
        beside.write_text(f"{offset_s:+.3f}\n", encoding="ascii")
        beside.replace(self.clock)

    def send(self, number: signal.Signals) -> None:
        if (pid := self.pid) is not None:
            os.kill(pid, number)

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        self.is_wanted = False
        self.send(signal.SIGKILL)
        self.wait_end(END_S)

    def stop(self) -> float | None:
        """SIGTERM; seconds until it ended in order. None: it did not in time, and was killed."""
        self.is_wanted, begun = False, time.monotonic()
        self.send(signal.SIGTERM)
        ending = self.wait_end(2 * END_S)
        if ending is None:
            self.kill()
            return None
        return ending.at_s - begun

    def wait_end(self, timeout_s: float) -> Ending | None:
        """Waits until the process is gone; None if it is still there."""
        if self._process is None:
            return None
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        ending = Ending(code, time.monotonic())
        self.endings.append(ending)
        self._process = None
        return ending

    def resident_bytes(self) -> int | None:
        """Memory of the process; None while there is none."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)

"""The storage workload in processes of which one system call is made to fail, by strace.

A server forks them with everything imported; each waits until strace has hold of it, so that the calls that are counted
are those of the work and no others.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

ROOT: Final = Path(__file__).parents[2]
EVERY: Final = os.environ.get("KEHU_EVERY_WRITE") == "1"
_HIT = re.compile(rb"<([^>]*)>[^\n]*\(INJECTED\)")
"""A line of strace -y: the path of the file whose call was made to fail."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The `index`th of these calls of each thread fails."""

    call: str
    error: str
    index: int


@dataclass(frozen=True, slots=True)
class Ended:
    """`hit`: the names of the files of which a call was made to fail."""

    exit: int
    out: bytes
    hit: tuple[str, ...] = ()

    @property
    def acknowledged(self) -> int:
        return max((int(line[4:]) for line in self.out.splitlines() if line.startswith(b"ack ")), default=0)


def tracer() -> str:
    """Where strace is; without it the test is not run, or fails where every write was asked for."""
    found = shutil.which("strace")
    if found is None:
        _give_up("strace is not here, so no system call can be made to fail")
    elif subprocess.run([found, "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        _give_up("strace may not trace here")
    return found or ""


def _give_up(reason: str) -> None:
    (pytest.fail if EVERY else pytest.skip)(f"NOT RUN: {reason}")


class Forks:
    """`python -m tests.node.storage_workload serve`, one order after the other."""

    def __init__(self, scratch: Path) -> None:
        scratch.mkdir()
        self._out, self._trace = scratch / "out", scratch / "trace"

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.node.storage_workload", "serve"]
        self._server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.communicate()

    def run(self, *arguments: str, fault: Fault | None = None) -> Ended:
        number = self._order([list(arguments), str(self._out), fault is not None])
        if fault is None:
            return Ended(self._told(), self._out.read_bytes())
        inject = f"inject={fault.call}:error={fault.error}:when={fault.index}"
        command = [tracer(), "-f", "-y", "-o", str(self._trace), "-e", f"trace={fault.call}", "-e", inject]
        with subprocess.Popen([*command, "-p", str(number)], stderr=subprocess.PIPE) as strace:
            assert strace.stderr is not None
            said = strace.stderr.readline()
            assert b" attached" in said, said
            self._say(b".")
            code = self._told()
        hit = tuple(Path(path.decode()).name for path in _HIT.findall(self._trace.read_bytes()))
        return Ended(code, self._out.read_bytes(), hit)

    def _order(self, order: list[object]) -> int:
        self._say(json.dumps(order).encode() + b"\n")
        return self._told()

    def _say(self, data: bytes) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(data)
        self._server.stdin.flush()

    def _told(self) -> int:
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())

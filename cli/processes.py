"""The nodes and the carrier simulator as detached processes of this machine, known by files in run/.

A process holds an exclusive lock on its pid file for as long as it lives (it inherits the open file), so a number
that the system gave to somebody else is never taken for ours, and nothing else is ever signalled.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import cli
from chain.errors import KehuError, define
from cli.output import Advance, stand_still
from cli.profile import Profile

CARRIER: Final = "carrier"
LOOK_PAUSE_S: Final = 0.1
READY_SILENCE_MAX_S: Final = 5.0

PROCESS_FAILED = define(
    "network.process_failed",
    "a process ended before it was ready",
    "read the end of its log file",
)
PROCESS_SLOW = define(
    "network.not_ready",
    "a process is running and not ready in time",
    "read its log file, or give it longer with --timeout",
)
PROCESS_STAYS = define(
    "network.still_running",
    "a process did not end in time after SIGTERM",
    "give it longer with --timeout, or end it with --kill; nodes survive that",
)
PROCESS_UNKNOWN = define(
    "usage.process",
    "no node of this name has its folder here",
    "name departments under nodes/, or carrier",
)


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the network: how to start it, where its log is, where it says that it is ready."""

    name: str
    arguments: tuple[str, ...]
    pid_file: Path
    log_file: Path
    ready_url: str

    def pid(self) -> int | None:
        """Its process id while it lives."""
        try:
            descriptor = os.open(self.pid_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = self.pid_file.read_text(encoding="ascii").strip()
            return int(text) if text.isdecimal() else None
        finally:
            os.close(descriptor)
        return None

    def start(self) -> bool:
        """Starts it unless it lives; True if it was started."""
        self.pid_file.parent.mkdir(mode=0o700, exist_ok=True)
        self.log_file.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self.pid_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        try:
            with self.log_file.open("ab") as log:
                pid = launch(self.arguments, log, descriptor)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{pid}\n".encode())
        finally:
            os.close(descriptor)
        return True

    def signal(self, number: signal.Signals) -> bool:
        """Sends a signal if it lives."""
        pid = self.pid()
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True


def launch(arguments: Sequence[str], log: BinaryIO, kept: int) -> int:
    """Starts `python -m` with `arguments`, detached, with the open file `kept`; its process id."""
    child = subprocess.Popen(  # noqa: S603 - our own module, no shell
        [sys.executable, "-P", "-m", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        pass_fds=(kept,),
        env=environment(),
    )
    child.returncode = 0  # it outlives this command on purpose; keeps subprocess from warning about that
    return child.pid


def environment() -> dict[str, str]:
    """This command's own, with the place its packages came from first: the same release runs."""
    root = str(Path(cli.__file__).parent.parent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEHU_")}
    paths = [root, *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


def processes(profile: Profile, names: Iterable[str] = (), *, has_carrier: bool = True) -> list[Process]:
    """Those of `names`, or all that have a folder here. Errors: usage.process."""
    found = {
        department: _node(profile, department)
        for department in sorted(profile.nodes)
        if (profile.node_home(department) / "node.toml").is_file()
    }
    if profile.carrier_url is not None and profile.carrier_home.is_dir() and (has_carrier or CARRIER in names):
        found[CARRIER] = _carrier(profile, profile.carrier_url)
    for name in names:
        if name not in found:
            raise KehuError(PROCESS_UNKNOWN, name=name, known=",".join(found))
    return [process for name, process in found.items() if not names or name in names]


def _node(profile: Profile, department: str) -> Process:
    home = profile.node_home(department)
    url = profile.node_url(department) + "/readyz"
    run = profile.folder / "run"
    return Process(department, ("node", str(home)), run / f"{department}.pid", home / "log" / "node.log", url)


def _carrier(profile: Profile, url: str) -> Process:
    home = profile.carrier_home
    listen = url.removeprefix("http://")
    arguments = ("node.carrier.simulator", "--listen", listen, "--data", str(home / "numbers.json"))
    return Process(
        CARRIER, arguments, profile.folder / "run" / "carrier.pid", home / "log" / "carrier.log", url + "/healthz"
    )


async def wait_ready(wanted: list[Process], timeout_s: float, advance: Advance = stand_still) -> dict[str, KehuError]:
    """Until all are ready, ended or out of time; gives what is wrong with those that are not ready."""
    deadline = time.monotonic() + timeout_s

    async def wait(process: Process) -> KehuError | None:
        trouble = await _wait_one(process, deadline)
        advance(1)
        return trouble

    troubles = await asyncio.gather(*map(wait, wanted))
    return {process.name: trouble for process, trouble in zip(wanted, troubles, strict=True) if trouble is not None}


async def _wait_one(process: Process, deadline: float) -> KehuError | None:
    while not await is_ready(process.ready_url):
        if process.pid() is None:
            return KehuError(PROCESS_FAILED, process=process.name, log=str(process.log_file))
        if time.monotonic() > deadline:
            return KehuError(PROCESS_SLOW, process=process.name, log=str(process.log_file))
        await asyncio.sleep(LOOK_PAUSE_S)
    return None


async def is_ready(url: str) -> bool:
    from cli.http import HttpError, Session

    try:
        async with Session(READY_SILENCE_MAX_S) as session, session.ask("GET", url) as response:
            return response.status == 200
    except HttpError:
        return False


async def wait_ended(wanted: list[Process], timeout_s: float) -> list[Process]:
    """Until all have ended or the time is up; gives those that have not."""
    deadline = time.monotonic() + timeout_s
    left = wanted
    while left := [process for process in left if process.pid() is not None]:
        if time.monotonic() > deadline:
            return left
        await asyncio.sleep(LOOK_PAUSE_S)
    return []

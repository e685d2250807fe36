"""What this machine must offer for real faults, and the one way to run its tools."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "kehu-chaos"
_MEMORY: Final = Path("/dev/shm")
FOLDER: Final = (_MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())) / PREFIX
"""Everything a run makes lies here: one run at a time on a machine. In memory, so that the disks of the departments are
no slower than their file systems; what a power cut takes from these it takes there too."""
LOCK: Final = Path(tempfile.gettempdir()) / f"{PREFIX}.lock"

PACKAGES: Final = {
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "mount": "mount",
    "umount": "mount",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "strace": "strace",
}
"""Tool -> the Debian package it comes in."""
COMMAND_TIMEOUT_S: Final = 30.0


class ToolError(Exception):
    """A tool of the machine failed: the command, its exit code, what it said."""


def run(*words: str) -> str:
    """Standard output of a command that must succeed. Errors: ToolError."""
    done = subprocess.run(words, capture_output=True, encoding="utf-8", timeout=COMMAND_TIMEOUT_S, check=False)
    if done.returncode:
        raise ToolError(f"{' '.join(words)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def missing_tools() -> list[str]:
    """What has to be installed first."""
    return [f"{tool} (package {package})" for tool, package in PACKAGES.items() if shutil.which(tool) is None]


def why_not() -> str | None:
    """Why this machine can't run it; None if it can. Tries the real things: a namespace, a filter, a loop device."""
    if os.geteuid() != 0:
        return "network namespaces and loop devices need root"
    if missing := missing_tools():
        return f"not installed: {', '.join(missing)}"
    try:
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-probe-") as folder:
            _probe(Path(folder))
    except (ToolError, subprocess.TimeoutExpired) as error:
        return f"this machine does not allow it: {error}"
    return None


def _probe(folder: Path) -> None:
    name, image, place = f"{PREFIX}-probe", folder / "image", folder / "place"
    run("ip", "netns", "add", name)
    try:
        drop = ("-A", "INPUT", "-m", "statistic", "--mode", "random", "--probability", "0.5", "-j", "DROP")
        run("nsenter", f"--net=/run/netns/{name}", "iptables", "-w", *drop)
    finally:
        run("ip", "netns", "del", name)
    place.mkdir()
    image.touch()
    os.truncate(image, 16 << 20)
    run("mkfs.ext4", "-q", "-F", str(image))
    run("mount", "-o", "loop", str(image), str(place))
    run("umount", str(place))


@contextmanager
def only_run() -> Iterator[bool]:
    """Holds the machine's one place for a run; False if another run has it."""
    with LOCK.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True

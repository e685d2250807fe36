"""What the machine gives: disk, memory, open files, libraries; and who may look at the secrets."""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
import re
import resource
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node.fitness.findings import Finding, found
from node.folder.config import Config, Home
from node.why.facts import Disk

FILES_MIN: Final = 1024
MEMORY_MIN_BYTES: Final = 512 << 20
_MEMINFO: Final = Path("/proc/meminfo")


def is_running(home: Home) -> bool:
    """Whether a process has the folder's vote log open (or, without one, its chain)."""
    path, lock = (home.votes, fcntl.flock) if home.votes.exists() else (home.chain / "LOCK", fcntl.lockf)
    try:
        with path.open("rb+") as file:
            lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False  # not to be opened by this user: said by `disk.read_only`
    return False


def look_at_disk(home: Path) -> Iterator[Finding]:
    """Free space, and whether this user can write here."""
    numbers = os.statvfs(home)
    disk = Disk(str(home), numbers.f_bavail * numbers.f_frsize, numbers.f_blocks * numbers.f_frsize)
    if disk.state != "ok":
        about = f"{disk.free_bytes >> 20} MiB of {disk.total_bytes >> 20} MiB"
        yield found(f"disk.{disk.state}", about, free_bytes=disk.free_bytes, total_bytes=disk.total_bytes)
    if reason := write_refusal(home):
        yield found("disk.read_only", reason, path=str(home), reason=reason)


def write_refusal(home: Path) -> str | None:
    """Why a file can't be made here (an errno's name); None if it can. The probe's is one without a name."""
    try:
        with tempfile.TemporaryFile(dir=home, buffering=0) as file:
            file.write(b"?")
            os.fsync(file.fileno())
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return None


def look_at_secrets(home: Home, config: Config | None) -> Iterator[Finding]:
    """The folder, and secrets beyond those that reading the folder judges itself."""
    if mode_of(home.path) & 0o007:
        yield found("home.open", oct(mode_of(home.path)), path=str(home.path), mode=oct(mode_of(home.path)))
    secrets = [home.next_key]
    if config is not None:
        carrier = config.carrier
        for each in [] if carrier is None else [carrier, *carrier.ranges]:
            named = (getattr(each, name, None) for name in ("token_file", "client_id_file", "client_secret_file"))
            secrets += [home.path / name for name in named if name]
    for path in dict.fromkeys(secrets):
        if path.is_file() and mode_of(path) & 0o007:
            yield found("secret.open", f"{path} {oct(mode_of(path))}", path=str(path), mode=oct(mode_of(path)))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def look_at_limits(files_max: int | None = None, memory_bytes: int | None = None) -> Iterator[Finding]:
    """Open files and memory: of this process and machine, unless a test gives them."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if files_max is None else files_max
    if files != resource.RLIM_INFINITY and files < FILES_MIN:
        yield found("system.files", str(files), limit=files, wanted=FILES_MIN)
    free = memory_free_bytes() if memory_bytes is None else memory_bytes
    if free is not None and free < MEMORY_MIN_BYTES:
        yield found("system.memory", f"{free >> 20} MiB", free_bytes=free, wanted_bytes=MEMORY_MIN_BYTES)


def memory_free_bytes() -> int | None:
    """What Linux holds to be available to a new process (proc(5), MemAvailable); None elsewhere."""
    try:
        text = _MEMINFO.read_text(encoding="ascii")
    except OSError:
        return None
    line = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return None if line is None else int(line[1]) << 10


def look_at_libraries(module: str = "node.process") -> Iterator[Finding]:
    """Whether everything can be loaded that a node loads."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        yield found("system.library", str(error), library=error.name)

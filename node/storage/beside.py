"""Where a file or folder is filled before it gets its name: .NAME.HEX8.kehu-unfinished, beside its place.

Whoever fills one has it locked, and a lock ends with its process, however that ends and in whatever container it ran:
so what a kill left is told from what is still being filled, and goes when the next one is begun in the same folder, or
when the node whose folder it is starts. It may hold a passphrase, personal values, or keys that an erasure has to
destroy.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

SUFFIX: Final = ".kehu-unfinished"
_LEFTOVER: Final = re.compile(rf"\..*{re.escape(SUFFIX)}", re.DOTALL)
_NAME_BYTES_MAX: Final = 220
"""Of the name within the unfinished one: file systems take 255 bytes in all, and a Chinese character has three."""
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


def is_leftover(name: str) -> bool:
    return _LEFTOVER.fullmatch(name) is not None


def claim(target: Path, *, is_folder: bool = False, mode: int = 0o600) -> tuple[Path, int]:
    """Made and locked: its path and an open descriptor, for `release`. Between the two somebody may take it for a
    leftover: then another one is made."""
    while True:
        path = _place_of(target)
        if is_folder:
            path.mkdir(mode=0o700)
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        else:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with suppress(OSError):  # a file system without locks: nobody can take it for a leftover either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return path, descriptor
        os.close(descriptor)


def release(descriptor: int) -> None:
    """Unlocks first: a child process that was begun meanwhile may have the same file open for a moment longer."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def give_name(path: Path, target: Path) -> None:
    """The file at `path` is called `target`; raises `FileExistsError` rather than take a name from another file."""
    try:
        target.hardlink_to(path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))  # takes the name
        path.replace(target)
    else:
        path.unlink()


def remove_leftovers(folder: Path) -> None:
    """Takes away what nobody fills any more."""
    for path in folder.glob(f".*{SUFFIX}"):
        with suppress(OSError):  # somebody fills it, or it is not ours to take
            # not waiting: in a folder for everybody it may be a pipe that nobody ever fills
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(path)
            finally:
                os.close(descriptor)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _place_of(target: Path) -> Path:
    name = os.fsencode(target.name)[:_NAME_BYTES_MAX].decode(errors="ignore")
    return target.with_name(f".{name}.{secrets.token_hex(4)}{SUFFIX}")

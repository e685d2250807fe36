"""Files and folders that get their name when they are whole.

Until then they are called .NAME.HEX8.kehu-unfinished, beside their place. Whoever fills one has it locked, and a lock
ends with its process, however that ends and in whatever container it ran: so what a kill left is told from what is
still being filled, and goes when the next one is begun in the same folder. It may hold keys that an erasure has to
destroy.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.storage.durable import storage_failures, sync_folder, write_fully

SUFFIX: Final = ".kehu-unfinished"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """`path`: what it is called meanwhile. `descriptor`: of the file, or of the folder. Errors: storage.io."""

    path: Path
    target: Path
    descriptor: int

    def write(self, data: bytes | bytearray) -> None:
        with storage_failures(self.target, "write"):
            write_fully(self.descriptor, data)

    def sync(self) -> None:
        with storage_failures(self.target, "sync"):
            os.fsync(self.descriptor)

    def finish(self) -> None:
        """From here on it has its name; an empty folder of that name gives way."""
        with storage_failures(self.target, "rename"):
            if self.path.is_dir() and self.target.exists():
                self.target.rmdir()
            self.path.rename(self.target)
            sync_folder(self.target.parent)


@contextmanager
def unfinished(target: Path, *, is_folder: bool = False, mode: int = 0o600) -> Iterator[Unfinished]:
    """A new file or folder that is gone after the block unless it was finished. Errors: storage.io."""
    with storage_failures(target, "make"):
        remove_leftovers(target.parent)
        made = _claim(target, is_folder=is_folder, mode=mode)
    try:
        yield made
    finally:
        _remove(made.path)
        os.close(made.descriptor)


def remove_leftovers(folder: Path) -> None:
    """Takes away what nobody fills any more."""
    for path in folder.glob(f".*{SUFFIX}"):
        with suppress(OSError):  # somebody fills it, or it is not ours to take
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
            finally:
                os.close(descriptor)


def _claim(target: Path, *, is_folder: bool, mode: int) -> Unfinished:
    """Made and locked. Between the two somebody may take it for a leftover: then another one is made."""
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(4)}{SUFFIX}")
        if is_folder:
            path.mkdir(mode=0o700)
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        else:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with suppress(OSError):  # a file system without locks: nobody can take it for a leftover either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return Unfinished(path, target, descriptor)
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

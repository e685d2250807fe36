"""Files and folders that are filled bit by bit and get their name when they are whole (node/storage/beside.py)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chain.errors import KehuError, define
from node.storage.beside import claim, give_name, release, remove, remove_leftovers
from node.storage.durable import storage_failures, sync_folder, write_fully

STORAGE_NAME_TAKEN = define(
    "storage.name_taken",
    "while the file was being filled, another one has got its name; nothing is written over",
    "look who writes there, and give the command again with another name",
)


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

    def finish(self, *, replace: bool = False) -> None:
        """From here on it has its name; an empty folder of that name gives way, and with `replace` a file.
        Errors: storage.*"""
        with storage_failures(self.target, "rename"):
            if self.path.is_dir():
                if self.target.exists():
                    self.target.rmdir()
                self.path.rename(self.target)
            elif replace:
                self.path.replace(self.target)
            else:
                try:
                    give_name(self.path, self.target)
                except FileExistsError:
                    raise KehuError(STORAGE_NAME_TAKEN, path=str(self.target)) from None
            sync_folder(self.target.parent)


@contextmanager
def unfinished(target: Path, *, is_folder: bool = False, mode: int = 0o600) -> Iterator[Unfinished]:
    """A new file or folder that is gone after the block unless it was finished. Errors: storage.io."""
    with storage_failures(target, "make"):
        remove_leftovers(target.parent)
        path, descriptor = claim(target, is_folder=is_folder, mode=mode)
        made = Unfinished(path, target, descriptor)
    try:
        yield made
    finally:
        remove(made.path)
        release(made.descriptor)

"""Files that survive a power cut, and the error that ends the process when the disk fails.

After one failed write or fsync nobody can say what is on the disk, and trying again can report success for
data that is gone. `StorageFailure` is therefore final: whoever holds a store stops using it, and the service
ends the process with the code. A restart reads what is really there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chain.errors import KehuError, define
from node.storage.beside import claim, give_name, release, remove_leftovers

STORAGE_IO = define(
    "storage.io",
    "the disk refused an operation (full, read-only or failing); a node stops rather than guess what was kept",
    "free or replace the disk, then give the command again, or start the node again: it reads what is really there and "
    "catches up",
)


class StorageFailure(KehuError):  # noqa: N818 - a failure of the disk, not of a caller
    """The disk failed or lied. The service treats it as fatal: no retry, no vote, end of the process."""


@contextmanager
def storage_failures(path: Path, operation: str) -> Iterator[None]:
    """Turns every `OSError` of the block into a `StorageFailure`."""
    try:
        yield
    except OSError as error:
        reason = errno.errorcode.get(error.errno or 0, type(error).__name__)
        raise StorageFailure(STORAGE_IO, path=str(path), operation=operation, reason=reason) from error


def sync_folder(folder: Path) -> None:
    """Makes created, renamed and removed names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_fully(descriptor: int, data: bytes | bytearray) -> None:
    """All of `data`; a single `os.write` may take less than it was given."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_file(path: Path, data: bytes, *, replace: bool, mode: int = 0o600, like: Path | None = None) -> None:
    """`path` with exactly `data`, all or nothing, durable on return.

    With `replace=False` an existing file is left alone and `FileExistsError` raised, also when two writers race.
    It gets owner and rights of `like`, if that is there and this process may give them: root writes what the node's
    user has to read. What a kill leaves goes as node/storage/beside.py says.
    """
    remove_leftovers(path.parent)
    temporary, descriptor = claim(path, mode=mode)
    try:
        if like is not None and like.exists():
            _liken(descriptor, like)
        write_fully(descriptor, data)
        os.fsync(descriptor)
        if replace:
            temporary.replace(path)
        else:
            give_name(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        release(descriptor)


def _liken(descriptor: int, model: Path) -> None:
    wanted, made = model.stat(), os.fstat(descriptor)
    with suppress(PermissionError):
        if (wanted.st_uid, wanted.st_gid) != (made.st_uid, made.st_gid):
            os.fchown(descriptor, wanted.st_uid, wanted.st_gid)
        os.fchmod(descriptor, wanted.st_mode & 0o777)


SECTOR_BYTES = 512
_ZERO_RUN_MIN = 16


def has_unwritten_part(data: bytes, start: int) -> bool:
    """Whether `data[start:]`, the end of a log, shows space that was given to the file but never written.

    A power cut leaves such space as zeros that begin where the damage does or at a sector boundary, and reach to
    the next boundary or the end of the file. A flipped bit leaves no such run, so what has none is no torn write.
    """
    zeros = bytes(SECTOR_BYTES)
    begin = start
    while begin < len(data):
        end = min(begin - begin % SECTOR_BYTES + SECTOR_BYTES, len(data))
        if end - begin >= _ZERO_RUN_MIN and data[begin:end] == zeros[: end - begin]:
            return True
        begin = end
    return False

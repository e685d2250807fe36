"""A look at a stopped node's databases that changes none of their bytes.

Opening a LevelDB folder rewrites it: the log becomes a table, a torn end is cut off. So a check opens a copy: tables,
which LevelDB never writes twice, as hard links, everything else copied. The copy stands in the node's folder, since
links don't cross file systems, and goes when the check ends; what a killed check left goes at the next start, for it
holds record keys that an erasure has to destroy. Only of a folder that can't be written, a snapshot say, the copy is
whole and among the system's temporary files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from chain.errors import KehuError
from node.folder.config import Home
from node.storage.durable import storage_failures
from node.storage.leveldb import STORAGE_IN_USE

PREFIX: Final = ".check-"


@contextmanager
def stopped(home: Home) -> Iterator[None]:
    """Keeps a node from starting meanwhile. Errors: storage.in_use, if one runs."""
    with ExitStack() as closing:
        if home.votes.exists():
            log = closing.enter_context(home.votes.open("rb"))
            _take(home.votes, lambda: fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB))
        for folder in (home.chain, home.vault, home.vault_keys):
            if (folder / "LOCK").exists():
                lock, kind = closing.enter_context(_open_lock(folder / "LOCK"))
                _take(folder, lambda lock=lock, kind=kind: fcntl.lockf(lock, kind | fcntl.LOCK_NB))
        yield


@contextmanager
def _open_lock(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A file that can't be written can be locked against writers only, which is what a node is."""
    try:
        file: BinaryIO = path.open("rb+")
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        file = path.open("rb")
    with file:
        yield file, fcntl.LOCK_EX if file.writable() else fcntl.LOCK_SH


def _take(path: Path, lock: object) -> None:
    try:
        lock()  # type: ignore[operator]
    except OSError:
        raise KehuError(STORAGE_IN_USE, path=str(path)) from None


@contextmanager
def copied(home: Home) -> Iterator[Path]:
    """A folder with copies of the home's databases, for as long as the block lasts."""
    with storage_failures(home.path, "copy for a check"):
        copy = _make_folder(home.path)
    try:
        for folder in (home.chain, home.vault, home.vault_keys):
            if folder.is_dir():
                with storage_failures(folder, "copy for a check"):
                    _copy(folder, copy / folder.name)
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _make_folder(home: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return Path(tempfile.mkdtemp(prefix="kehu-check-"))


def remove_checks(home: Path) -> None:
    """What killed checks left. Errors: storage.io, where it is another user's: it may hold record keys."""
    for folder in home.glob(f"{PREFIX}*"):
        with storage_failures(folder, "remove what a check left"):
            shutil.rmtree(folder)


def _copy(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for path in sorted(source.iterdir()):
        if not path.is_file() or path.name == "LOCK":  # closing it would let go of the lock that `stopped` took
            continue
        try:
            if path.suffix != ".ldb":
                raise OSError
            os.link(path, target / path.name)
        except OSError:
            shutil.copyfile(path, target / path.name)

"""A disk that refuses is a failed disk: neither a folder in use, nor bad bytes, nor an end without a word."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chain.errors import KehuError
from node.snapshot.incoming import Incoming
from node.soundness.setting_aside import destroy_keys
from node.storage.durable import STORAGE_IO, StorageFailure
from node.storage.leveldb import STORAGE_CORRUPT, STORAGE_IN_USE, LevelStore


@contextmanager
def files_left(count: int) -> Iterator[None]:
    """This process may open so many files more; the next is refused."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = max(int(opened.name) for opened in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + count, limits[1]))
    held = []
    try:
        while True:
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        for _ in range(count):
            os.close(held.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for one in held:
            os.close(one)


def test_a_lock_file_that_cannot_be_opened_is_a_disk_that_fails(tmp_path: Path) -> None:
    LevelStore(tmp_path / "chain", create=True).close()
    with files_left(1), pytest.raises(StorageFailure) as caught:  # the one is LOG
        LevelStore(tmp_path / "chain")
    assert caught.value.spec is STORAGE_IO


def test_a_lock_that_is_held_is_a_folder_in_use(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "chain", create=True)
    with pytest.raises(KehuError) as caught:
        LevelStore(tmp_path / "chain")
    assert caught.value.spec is STORAGE_IN_USE
    store.close()


def test_a_lost_manifest_is_damage_whatever_the_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "BLOCKCHAIN" / "chain"
    LevelStore(folder, create=True).close()
    next(folder.glob("MANIFEST-*")).unlink()
    with pytest.raises(StorageFailure) as caught:
        LevelStore(folder)
    assert caught.value.spec is STORAGE_CORRUPT


@pytest.mark.parametrize("count", range(4))
def test_an_unfinished_snapshot_is_not_thrown_away_because_the_disk_refused(tmp_path: Path, count: int) -> None:
    folder = tmp_path / "chain.incoming"
    store = LevelStore(folder, create=True)
    store.write({b"meta/incoming": b"x", b"s/a": b"1"})
    store.close()
    kept = sorted(path.name for path in folder.glob("MANIFEST-*"))
    with files_left(count), pytest.raises(StorageFailure):
        Incoming.resume(folder)
    assert sorted(path.name for path in folder.glob("MANIFEST-*")) == kept


def test_keys_that_were_set_aside_and_cannot_be_taken_away_are_a_failing_disk(tmp_path: Path) -> None:
    folder = tmp_path / "damaged" / "20260101T000000.000Z"
    folder.mkdir(parents=True)
    (folder / "vault-keys").write_bytes(b"")  # ENOTDIR stands for EIO and EROFS, which root can't have at will
    with pytest.raises(StorageFailure):
        destroy_keys(tmp_path)

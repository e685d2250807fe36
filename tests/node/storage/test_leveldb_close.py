"""Closing a store under running reads and writes: LevelDB would free its memory under them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from node.storage.durable import StorageFailure
from node.storage.leveldb import STORAGE_REFUSED, LevelStore

ROUNDS = 5


def write(store: LevelStore) -> None:
    for number in range(10_000):
        store.write({b"k%d" % number: b"x" * 50_000})


def read(store: LevelStore) -> None:
    while True:
        store.get(b"k1")


def scan(store: LevelStore) -> None:
    while True:
        for _ in store.scan(b"k"):
            pass


@pytest.mark.parametrize("work", [write, read, scan])
def test_a_close_waits_for_other_threads_and_refuses_what_comes_later(
    tmp_path: Path, work: Callable[[LevelStore], None]
) -> None:
    for number in range(ROUNDS):
        store = LevelStore(tmp_path / str(number), create=True)
        store.write({b"k%d" % place: b"v" for place in range(200)})
        begun, errors = threading.Event(), []

        def run(store: LevelStore = store, begun: threading.Event = begun, errors: list[object] = errors) -> None:
            begun.set()
            try:
                work(store)
            except StorageFailure as error:
                errors.append(error.spec)

        thread = threading.Thread(target=run)
        thread.start()
        begun.wait()
        store.close()
        thread.join()
        assert errors == [STORAGE_REFUSED]
    again = LevelStore(tmp_path / "0")
    assert again.get(b"k0") is not None
    again.close()


def test_a_scan_that_was_begun_before_the_close_ends_with_an_error(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "store", create=True)
    store.write({b"k%03d" % place: b"v" for place in range(200)})
    pairs = store.scan(b"k")
    assert next(pairs) == (b"k000", b"v")
    store.close()
    with pytest.raises(StorageFailure):
        list(pairs)

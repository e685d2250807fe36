"""`LevelStore.purge`: what is purged is in no file, wherever LevelDB had put it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from node.storage.leveldb import LevelStore
from tests.node.vault_kit import files_with


def test_a_plain_delete_leaves_the_bytes_and_a_purge_does_not(tmp_path: Path) -> None:
    store = LevelStore(tmp_path, create=True)
    store.write({b"kept": b"keep this one", b"gone": b"canary in the log"})
    store.write({}, [b"gone"])
    assert files_with(tmp_path, b"canary in the log") != []
    store.purge([b"gone"])
    assert files_with(tmp_path, b"canary in the log") == []
    assert store.get(b"kept") == b"keep this one"
    store.close()


@pytest.mark.parametrize("seed", range(8))
def test_purged_values_are_gone_from_logs_and_tables_of_every_level(tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    store = LevelStore(tmp_path / "db", create=True)
    values: dict[bytes, bytes] = {}
    for _ in range(chosen.choice([2, 30, 120])):
        batch = {b"k/%06d" % chosen.randrange(10**6): chosen.randbytes(chosen.choice([40, 3_000])) for _ in range(100)}
        store.write(batch)
        values |= batch
        if chosen.random() < 0.1:  # opening writes the log out as a table
            store.close()
            store = LevelStore(tmp_path / "db")
        if chosen.random() < 0.1:
            store.purge([chosen.choice(sorted(values))])
            values = dict(store.scan(b"k/"))
    for _ in range(5):
        keys = chosen.sample(sorted(values), chosen.choice([1, 2, 20]))
        gone = [values.pop(key) for key in keys]
        store.purge(keys)
        for value in gone:
            assert files_with(tmp_path, value[:32]) == []
    assert dict(store.scan(b"k/")) == values
    store.purge([])
    store.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_rewrite_leaves_nothing_of_replaced_and_deleted_values_and_keeps_the_present_ones(
    tmp_path: Path, seed: int
) -> None:
    chosen = random.Random(seed)
    store = LevelStore(tmp_path / "db", create=True)
    values: dict[bytes, bytes] = {}
    replaced: dict[bytes, bytes] = {}
    for _ in range(chosen.choice([2, 60])):
        batch = {b"k/%03d" % chosen.randrange(10**3): chosen.randbytes(chosen.choice([40, 2_000])) for _ in range(100)}
        replaced |= {key: values[key] for key in batch if key in values}
        store.write(batch)
        values |= batch
        if chosen.random() < 0.1:
            store.close()
            store = LevelStore(tmp_path / "db")
    for key in chosen.sample(sorted(values), 10):
        replaced[key] = values.pop(key)
        store.write({}, [key])
    keys = chosen.sample(sorted(replaced), min(20, len(replaced)))
    store.rewrite(keys)
    for key in keys:
        assert files_with(tmp_path, replaced[key][:32]) == []
    assert dict(store.scan(b"k/")) == values
    store.rewrite([])
    store.close()

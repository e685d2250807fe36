"""What every `Store` promises, asked of the one in memory and the one on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.store import MemoryStore, Store
from node.storage.leveldb import LevelStore


@pytest.fixture(params=["memory", "level"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else LevelStore(tmp_path / "db", create=True)
    yield made
    made.close()


def test_a_key_that_was_never_written_is_none(store: Store) -> None:
    assert store.get(b"nothing") is None


def test_written_values_are_read_back_also_empty_ones(store: Store) -> None:
    store.write({b"a": b"1", b"b": b"", b"": b"the empty key"})
    assert (store.get(b"a"), store.get(b"b"), store.get(b"")) == (b"1", b"", b"the empty key")


def test_a_later_write_replaces_and_deletes(store: Store) -> None:
    store.write({b"a": b"1", b"b": b"2"})
    store.write({b"a": b"new"}, [b"b", b"never there"])
    assert (store.get(b"a"), store.get(b"b")) == (b"new", None)


def test_a_scan_gives_the_pairs_of_a_prefix_in_order_from_a_start(store: Store) -> None:
    store.write({key: key.upper() for key in [b"b/2", b"a/1", b"b/1", b"b/3", b"c", b"b", b"b/\xff\xff"]})
    assert [key for key, _ in store.scan(b"b/")] == [b"b/1", b"b/2", b"b/3", b"b/\xff\xff"]
    assert list(store.scan(b"b/", b"2")) == [(b"b/2", b"B/2"), (b"b/3", b"B/3"), (b"b/\xff\xff", b"B/\xff\xff")]
    assert list(store.scan(b"d")) == []


def test_a_prefix_of_all_ones_has_no_end_but_the_last_key(store: Store) -> None:
    store.write({b"\xff": b"1", b"\xff\xff": b"2", b"\xfe\xff": b"3"})
    assert [key for key, _ in store.scan(b"\xff")] == [b"\xff", b"\xff\xff"]
    assert [key for key, _ in store.scan(b"\xfe\xff")] == [b"\xfe\xff"]


def test_a_scan_begun_does_not_see_later_writes(store: Store) -> None:
    store.write({b"a": b"1", b"b": b"1"})
    scan = store.scan(b"")
    first = next(scan)
    store.write({b"b": b"2", b"c": b"2"})
    assert [first, *scan] == [(b"a", b"1"), (b"b", b"1")]


_KEYS = st.binary(max_size=3)
_STEPS = st.lists(st.tuples(st.dictionaries(_KEYS, st.binary(max_size=8), max_size=4), st.sets(_KEYS, max_size=3)))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS, prefix=st.binary(max_size=2), start=st.binary(max_size=1))
def test_any_history_reads_the_same_on_disk_as_in_memory(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[dict[bytes, bytes], set[bytes]]],
    prefix: bytes,
    start: bytes,
) -> None:
    folder = tmp_path_factory.mktemp("history")
    memory, disk = MemoryStore(), LevelStore(folder, create=True)
    for puts, deletes in steps:
        for one in (memory, disk):
            one.write(puts, sorted(deletes - set(puts)))
    disk.close()
    disk = LevelStore(folder)
    assert list(disk.scan(prefix, start)) == list(memory.scan(prefix, start))
    assert list(disk.scan(b"")) == list(memory.scan(b""))
    disk.close()

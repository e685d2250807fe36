"""`LevelStore.purge`: what is purged is in no file, wherever LevelDB had put it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import InvariantError
from node.storage.durable import StorageFailure
from node.storage.leveldb import LevelStore
from node.storage.purging import purge_replaced, purge_replaced_under
from node.storage.tables import Table, read_tables
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
def test_a_compaction_leaves_nothing_of_replaced_and_deleted_values_and_keeps_the_present_ones(
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
    purge_replaced(store, keys)
    for key in keys:
        assert files_with(tmp_path, replaced[key][:32]) == []
    assert dict(store.scan(b"k/")) == values
    purge_replaced_under(store, b"k/")
    for value in replaced.values():
        assert files_with(tmp_path, value[:32]) == []
    assert dict(store.scan(b"k/")) == values
    purge_replaced(store, [])
    store.close()


def test_a_compaction_leaves_nothing_of_what_was_replaced_before_it_though_others_write_at_the_same_time(
    tmp_path: Path,
) -> None:
    """LevelDB forgets that it is to write out the log if it finds several writes waiting at that moment."""
    store = LevelStore(tmp_path / "db", create=True)
    chosen = random.Random(0)
    present: dict[bytes, bytes] = {}
    replaced: list[bytes] = []

    def write_odd(name: str, is_over: threading.Event) -> None:
        writer = random.Random(name)
        while not is_over.is_set():
            store.write({b"k/%06d" % writer.randrange(1, 10**6, 2): writer.randbytes(100)})

    for number in range(10):
        again = chosen.sample(sorted(present), min(60, len(present)))
        keys = [*again, *(b"k/%06d" % chosen.randrange(0, 10**6, 2) for _ in range(100))]
        replaced += [present[key] for key in again]
        batch = {key: chosen.randbytes(1_000) for key in keys}
        store.write(batch)
        present |= batch
        is_over = threading.Event()
        writers = [threading.Thread(target=write_odd, args=[f"{number}.{one}", is_over]) for one in range(4)]
        for writer in writers:
            writer.start()
        try:
            purge_replaced(store, again)
        finally:
            is_over.set()
            for writer in writers:
                writer.join()
        assert [files_with(tmp_path, value[:32]) for value in replaced] == [[]] * len(replaced)
    assert {key: store.get(key) for key in present} == present
    store.close()


class FlushesNoted(LevelStore):
    def __init__(self, path: Path) -> None:
        self.flushed: list[str] = []
        """Which thread had the log written out, in order: each purge does so twice."""
        super().__init__(path, create=True)

    def _flush(self) -> None:
        self.flushed.append(threading.current_thread().name)
        super()._flush()


def test_purges_take_turns_so_that_none_merges_what_another_one_has_yet_to_reach(tmp_path: Path) -> None:
    store = FlushesNoted(tmp_path / "db")
    store.write({b"k/%03d" % number: b"value" * 100 for number in range(400)})

    def purge(first: int) -> None:
        for number in range(first, first + 10):
            store.purge([b"k/%03d" % number])

    purging = [threading.Thread(target=purge, args=[100 * one], name=str(one)) for one in range(4)]
    for one in purging:
        one.start()
    for one in purging:
        one.join()
    assert len(store.flushed) == 80
    assert store.flushed[::2] == store.flushed[1::2]
    assert len(set(store.flushed)) == 4
    store.close()


def test_a_scan_that_is_open_keeps_what_was_purged_only_until_it_has_to_let_go_and_goes_on_behind_it(
    tmp_path: Path,
) -> None:
    store = LevelStore(tmp_path / "db", create=True)
    values = {b"k/%04d" % number: random.Random(number).randbytes(200) for number in range(1_000)}
    store.write(values)
    store.close()
    store = LevelStore(tmp_path / "db")
    scan = store.scan(b"k/")
    read = [next(scan) for _ in range(100)]
    keys = [b"k/0003", b"k/0500", b"k/0997"]
    store.purge(keys)
    assert all(files_with(tmp_path, values[key][:32]) for key in keys)  # that is what LevelDB does
    store.let_go()
    assert [files_with(tmp_path, values[key][:32]) for key in keys] == [[], [], []]
    assert [key for key, _ in [*read, *scan]] == sorted(values.keys() - {b"k/0500", b"k/0997"})
    store.close()


def test_a_purge_is_over_only_when_those_who_read_at_the_same_time_hold_nothing_of_it(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db", create=True)
    values = {b"k/%04d" % number: random.Random(number).randbytes(200) for number in range(2_000)}
    store.write(values)
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            store.read_through(b"", 1 << 16)
            list(islice(store.scan(b"k/"), 700))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for key in sorted(values)[::100]:
            store.purge([key])
            store.let_go()
            assert files_with(tmp_path, values[key][:32]) == []
    finally:
        is_over.set()
        for reader in readers:
            reader.join()
    store.close()


class ReadOn(LevelStore):
    """Just before it looks for tables that are held, a reader goes on, and a merge takes away what it reads."""

    reader: Iterator[object] | None = None

    def _held_tables(self) -> set[str]:
        reader, self.reader = self.reader, None
        on_disk = {path.name for path in self._path.glob("*.ldb")}
        if reader is not None:
            list(islice(reader, 200))
            self.compact(b"k/", b"k0")
        return on_disk & super()._held_tables()


def test_a_reader_that_goes_on_while_others_let_go_is_made_to_let_go_again(tmp_path: Path) -> None:
    LevelStore(tmp_path / "db", create=True).close()
    store = ReadOn(tmp_path / "db")
    store.write({b"k/%04d" % number: random.Random(number).randbytes(200) for number in range(1_000)})
    store.compact(b"k/", b"k0")
    store.reader = store.scan(b"k/")
    reader = store.reader
    read = list(islice(reader, 100))
    store.purge([b"k/0003"])
    store.let_go()
    assert store._held_tables() == set()
    assert len([*read, *reader]) == 1_000 - 200
    store.close()


class Moving(LevelStore):
    """Of which LevelDB has moved a table deeper during each of the first `moves` purging rounds, by what is said."""

    def __init__(self, path: Path, moves: int) -> None:
        self.rounds, self._moves, self._asked = 0, moves, 0
        super().__init__(path, create=True)

    def _flush(self) -> None:
        self.rounds, self._asked = self.rounds + 1, 0
        super()._flush()

    def _depth(self, first: bytes, last: bytes) -> int:
        self._asked += 1
        is_after = self._asked == 2 and self.rounds <= self._moves
        return 6 if is_after else super()._depth(first, last)


@pytest.mark.parametrize("moves", [2, 3, 7])
def test_a_purge_goes_on_until_nothing_was_moved_deeper_than_it_looked(tmp_path: Path, moves: int) -> None:
    store = Moving(tmp_path / "db", moves)
    store.write({b"k/1": b"canary", b"k/2": b"kept"})
    store.purge([b"k/1"])
    assert store.rounds > moves
    assert dict(store.scan(b"k/")) == {b"k/2": b"kept"}
    store.close()


def test_a_purge_that_finds_no_rest_is_not_taken_for_done(tmp_path: Path) -> None:
    store = Moving(tmp_path / "db", 10**6)
    store.write({b"k/1": b"canary"})
    with pytest.raises(StorageFailure) as raised:
        store.purge([b"k/1"])
    assert raised.value.code == "storage.io"
    store.close()


def test_the_depth_of_a_range_is_that_of_the_deepest_table_which_may_have_keys_of_it(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db", create=True)
    assert store._depth(b"", b"\xff") == 1
    for _ in range(3):  # each goes above the one before, which goes deeper when it is compacted
        store.write({b"k/%d" % number: b"value" for number in (3, 4, 5)})
        store.compact(b"k/", b"k/\xff")
    tables = [one for one in store._tables() if one.first <= b"k/4" <= one.last]
    assert store._depth(b"k/4", b"k/4") == max(one.level for one in tables)
    assert store._depth(b"k/9", b"k/9\xff") == 1
    store.close()


# Lists of tables


def test_a_list_of_tables_is_read_with_whatever_its_keys_are_made_of() -> None:
    listed = rb"""--- level 0 ---
 20:10591['k/00028'\\x00\xff' @ 2930 : 1 .. 'k/09945 @ 1' @ 2960 : 0]
--- level 1 ---
--- level 2 ---
 5:49401['' @ 416 : 1 .. '\xe5\xae\xa2' @ 209 : 1]
 6:1['z' @ 1 : 1 .. 'z' @ 1 : 1]
"""
    assert read_tables(listed) == [
        Table(0, 20, b"k/00028'\\\x00\xff", b"k/09945 @ 1"),
        Table(2, 5, b"", "客".encode()),
        Table(2, 6, b"z", b"z"),
    ]


def test_a_list_in_another_form_is_not_read_as_no_tables() -> None:
    with pytest.raises(InvariantError):
        read_tables(b"--- level 0 ---\n20: 10591 bytes\n")


@given(st.sets(st.binary(max_size=12).filter(lambda key: b"\\x" not in key), min_size=1, max_size=20))
@settings(max_examples=25)
def test_the_tables_of_a_database_are_read_with_their_first_and_last_keys(keys: set[bytes]) -> None:
    with TemporaryDirectory() as folder:
        store = LevelStore(Path(folder) / "db", create=True)
        store.write({b"k" + key: b"value" for key in keys})
        store._flush()
        (table,) = store._tables()
        assert (table.first, table.last) == (b"k" + min(keys), b"k" + max(keys))
        store.close()

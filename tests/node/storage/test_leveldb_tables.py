import sys
from contextlib import closing
from pathlib import Path

from node.storage.leveldb import LevelStore

if sys.version_info >= (3, 13):
    import plyvel_next as plyvel
else:
    import plyvel

ROWS = {b"row %d" % number: b"x" * 10_000 for number in range(100)}


def _compacted(path: Path) -> int:
    """Bytes of the tables, once everything lies in tables."""
    with closing(plyvel.DB(str(path))) as database:
        database.compact_range()
    return sum(table.stat().st_size for table in path.glob("*.ldb"))


def test_a_table_that_an_earlier_release_compressed_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    with closing(plyvel.DB(str(path), create_if_missing=True, compression="snappy")) as database:
        for key, value in ROWS.items():
            database.put(key, value)
    assert _compacted(path) < 100_000

    with closing(LevelStore(path)) as store:
        assert store.get(b"row 42") == ROWS[b"row 42"]
        store.write({b"row 42": b"new"})
        assert dict(store.scan(b"")) == {**ROWS, b"row 42": b"new"}


def test_tables_are_not_compressed(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    with closing(LevelStore(path, create=True)) as store:
        store.write(ROWS)
    with closing(LevelStore(path)):  # what lies in the log goes into a table
        pass
    assert sum(table.stat().st_size for table in path.glob("*.ldb")) > 1_000_000

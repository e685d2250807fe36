"""`LevelStore`: the chain's `Store` on LevelDB, set up so that it never lies.

- `paranoid_checks` at open and `verify_checksums` at every read: with the defaults one flipped bit is lost data
  or wrong bytes, silently.
- One synced write batch per `write`: all of it or nothing survives a power cut.
- After an I/O or corruption error a handle may drop later batches while reporting success. It therefore refuses
  everything from then on, by the same `StorageFailure`, so that it does not matter who hears of it first; the service
  ends the process.
- LevelDB admits one process per folder; a second one gets `storage.in_use`.
- A power cut may leave the last, unacknowledged batch half written at the end of the newest log, and paranoid
  checks then refuse the folder. If `leveldb_log.inspect_log` finds that only this happened, the torn batch is cut
  off and the folder opened with the same strict checks; `recovery` says what was cut, and the service reports
  it. Any other damage is `storage.corrupt`: nothing is repaired; the node sets the folder aside and fetches its
  content again.

What can't be seen from inside a folder: a log cut exactly between two batches, or a folder put back from an
old copy. The service compares the head with its vote log and with the other departments.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chain.errors import KehuError, define
from node.storage.background import open_database
from node.storage.cursors import Cursor
from node.storage.durable import STORAGE_IO, StorageFailure, storage_failures, sync_folder
from node.storage.leveldb_log import inspect_log
from node.storage.purging import FIRST
from node.storage.tables import Table, read_tables

if sys.version_info >= (3, 13):
    import plyvel_next as plyvel  # the same library, under another name where plyvel has no wheel
else:
    import plyvel

WRITE_BUFFER_BYTES: Final = 16 << 20
"""Four times the default: fewer, larger tables. Also the most that is replayed at a start."""
CACHE_BYTES: Final = 8 << 20
"""For blocks of tables that single reads came across; a node has three stores. What is read again and again is kept by
those who read it, and the system keeps the files."""
TABLES_OPEN_MAX: Final = 200
"""Of a store: an open table keeps about 21 KB of index and filter, and up to 2 MB of its file mapped. LevelDB's default
of 1,000 is reached after hours at load, and until then the memory grows. One that is not open costs a read 0.1 ms."""
COMPRESSION: Final = None
"""What a vault holds can't be compressed. To compress the chain's rows saves up to half of their disk, and takes
LevelDB's thread twice what it does for them otherwise. Tables that an earlier release compressed are read as before."""
_SCAN_PAIRS: Final = 64
"""How many pairs of a scan are fetched at a time."""
_LET_GO_MAX: Final = 1_000
"""Compactions after which a table that nobody reads any more is taken for one that the disk does not let go."""
_PURGE_ROUNDS_MAX: Final = 100
"""Rounds after which a purge gives up; more than two are rare."""

STORAGE_CORRUPT = define(
    "storage.corrupt",
    "bytes on the disk are not the bytes that were written",
    "nothing at first: a node sets the folder aside and fetches its content from the others; then look at the disk",
)
STORAGE_IN_USE = define(
    "storage.in_use",
    "another process has this folder open",
    "stop the other process, or ask the running node instead of opening its files",
)
STORAGE_MISSING = define(
    "storage.missing",
    "there is no database in this folder",
    "correct the path; a node makes its own at its first start",
)
STORAGE_REFUSED = define(
    "storage.refused",
    "the database was closed and takes no more requests",
    "the node is stopping: ask again when it is back",
)


@dataclass(frozen=True, slots=True)
class TornTail:
    """What a power cut left of an unacknowledged batch and the start cut off."""

    log: str
    intact_bytes: int
    dropped_bytes: int


class LevelStore:
    """A `chain.store.Store` in a folder. Any thread may read and write."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Opens the folder; makes a new database only with `create`, and only where there is none.

        `path` is a folder inside the data folder, not a mount point: creation ends with a rename.
        """
        self._path = path
        self._is_closed = False
        self._failed: StorageFailure | None = None
        self._users = 0
        self._cursors: set[Cursor] = set()
        self._idle = threading.Condition()
        self._writing, self._purging = threading.Lock(), threading.Lock()
        self.recovery: TornTail | None = None
        _check_folder(path, create=create)
        try:
            self._db = _open(path, create=False)
        except plyvel.CorruptionError as error:
            self.recovery = _cut_torn_tail(path, error)
            try:
                self._db = _open(path, create=False)
            except plyvel.Error as second:
                raise StorageFailure(STORAGE_CORRUPT, path=str(path), problem=str(second)) from second

    def get(self, key: bytes) -> bytes | None:
        with self._handle("get") as database:
            value: bytes | None = database.get(key, verify_checksums=True)
        return value

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        """Atomic and on the disk when it returns. Blocks for an fsync: call it off the event loop."""
        with self._handle("write") as database:
            batch = database.write_batch(sync=True)
            for key, value in puts.items():
                batch.put(key, value)
            for key in deletes:
                batch.delete(key)
            with self._writing:
                batch.write()

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """As of the moment the first pair is taken; later writes don't show, unless `let_go` comes between."""
        cursor = Cursor(prefix, prefix + start)
        with self._idle:
            self._cursors.add(cursor)
        try:
            while pairs := self._next_pairs(cursor):
                yield from pairs
        finally:
            with self._idle:
                self._cursors.discard(cursor)
            cursor.let_go()

    def _next_pairs(self, cursor: Cursor) -> list[tuple[bytes, bytes]]:
        with self._handle("scan") as database:
            return cursor.take(database, _SCAN_PAIRS)

    def read_through(self, start: bytes, bytes_max: int) -> tuple[bytes | None, int, int]:
        """Reads pairs from `start` on until `bytes_max` is passed, for their checksums' sake: (where to go on, or None
        at the end; bytes; pairs). Nothing of it goes into the cache."""
        size = pairs = 0
        with self._handle("scrub") as database:
            cursor = database.raw_iterator(verify_checksums=True, fill_cache=False)
            with cursor:
                cursor.seek(start)
                while cursor.valid() and size < bytes_max:
                    key, value = cursor.item()
                    size, pairs = size + len(key) + len(value), pairs + 1
                    cursor.next()
                return (cursor.key() if cursor.valid() else None), size, pairs

    def purge(self, keys: Sequence[bytes]) -> None:
        """Deletes `keys` so that their values are in none of the folder's files when it returns.

        A delete alone only hides: the value stays in the log or a table. The first round writes the log out as a
        table, which may keep the value beside its deletion and may be put below the levels that a compaction visits;
        the second round's deletions lie above it and are merged down through it, which drops both. A scan that is
        open meanwhile keeps the old tables on the disk until `let_go`, or the next compaction after its end. Costs up
        to a rewrite of the tables between the first and the last key.
        """
        if not keys:
            return
        first, last = min(keys), max(keys)
        with self._purging:  # what another one merges meanwhile could end up below what this one has looked at
            for number in range(_PURGE_ROUNDS_MAX):
                self.write({}, keys)
                self._flush()
                depth = self._depth(first, last)
                with self._handle("purge") as database:
                    database.compact_range(start=first, stop=last + b"\x00")
                # LevelDB looks once how deep it has to go. What it has moved deeper by itself meanwhile, it passed by.
                if number and self._depth(first, last) <= depth:
                    return
        raise StorageFailure(STORAGE_IO, path=str(self._path), operation="purge", problem="tables are moved all along")

    def _depth(self, first: bytes, last: bytes) -> int:
        """The deepest level, at least 1, with a table that may have keys between the two."""
        return max((one.level for one in self._tables() if one.first <= last and first <= one.last), default=1) or 1

    def _tables(self) -> list[Table]:
        """What the database is made of, beside its log."""
        with self._handle("purge") as database:
            return read_tables(database.get_property(b"leveldb.sstables"))

    def _flush(self) -> None:
        """Writes the log out as a table.

        LevelDB does that first in every compaction, but forgets it if it finds other writes waiting at that moment. So
        nobody may write, which is short the second time.
        """
        for others in (nullcontext(), self._writing):
            with others, self._handle("purge") as database:
                database.compact_range(start=FIRST, stop=FIRST)

    def compact(self, first: bytes, last: bytes) -> None:
        """What was deleted or replaced between `first` and `last` before this is in none of the folder's files when it
        returns; what is there now stays, and others may write meanwhile. Nobody uses the keys `first` and `last`.

        As `purge`: the deletions of its second round are one table that spans all between the two, so whatever lies
        there, in whatever level, is merged down with it.
        """
        self.purge((first, last))

    def let_go(self) -> None:
        """No file is kept for whoever began to read earlier: what was purged and rewritten before is on the disk no
        more when this returns. Scans that are open go on with what is there now."""
        held: set[str] | None = None
        for _ in range(_LET_GO_MAX):  # single reads hold tables too, each for a moment
            with self._idle:
                cursors = list(self._cursors)
            for cursor in cursors:  # each time: who went on meanwhile may hold what a merge has replaced since
                cursor.let_go()
            held = self._held_tables() if held is None else held & self._held_tables()
            if not held:
                return
            self.purge((FIRST,))  # LevelDB looks for tables that nobody needs whenever it has made new ones
        raise StorageFailure(STORAGE_IO, path=str(self._path), operation="purge", problem="a table can't be removed")

    def _held_tables(self) -> set[str]:
        """Names of tables that are there though the database is made of them no more."""
        on_disk = {path.name for path in self._path.glob("*.ldb")}
        return on_disk - {f"{table.number:06}.ldb" for table in self._tables()}

    @property
    def memory_bytes(self) -> int:
        """Of LevelDB, beside Python's: at most two write buffers and the cache. 0 of one that refuses."""
        if self._failed or self._is_closed:
            return 0
        with self._handle("measure") as db:
            return int(db.get_property(b"leveldb.approximate-memory-usage"))

    def close(self) -> None:
        """Waits for what other threads are doing here; everything later is refused."""
        with self._idle:
            self._is_closed = True
            self._idle.wait_for(lambda: not self._users)
            self._db.close()

    @contextmanager
    def _handle(self, operation: str) -> Iterator[Any]:
        """The database for one operation. LevelDB lets go of its memory when it is closed, even under a running
        write of another thread, so `close` waits for all who are in here."""
        with self._idle:
            if self._failed is not None:
                raise StorageFailure(self._failed.spec, **self._failed.details)
            if self._is_closed:
                raise StorageFailure(STORAGE_REFUSED, path=str(self._path))
            self._users += 1
        try:
            yield self._db
        except (plyvel.Error, RuntimeError) as error:
            raise self._failure(error, operation) from error
        finally:
            with self._idle:
                self._users -= 1
                self._idle.notify_all()

    def _failure(self, error: Exception, operation: str) -> StorageFailure:
        if isinstance(error, RuntimeError):  # plyvel's way to say that the database is closed
            return StorageFailure(STORAGE_REFUSED, path=str(self._path), operation=operation)
        is_damage = isinstance(error, plyvel.CorruptionError) or _is_lacking(error)
        spec = STORAGE_CORRUPT if is_damage else STORAGE_IO
        failure = StorageFailure(spec, path=str(self._path), operation=operation, problem=str(error))
        self._failed = self._failed or failure
        return failure


def _is_lacking(error: Exception) -> bool:
    """Whether LevelDB's I/O error says that a file is gone, or ends before what is to be read (EINVAL of a mapped
    file): the disk works, and the bytes are not there."""
    return any(text in str(error) for text in ("No such file", "NotFound", "Invalid argument"))


def _check_folder(path: Path, *, create: bool) -> None:
    """LevelDB starts afresh where CURRENT is gone, even beside tables full of data: refuse that."""
    if (path / "CURRENT").exists():
        return
    if path.is_dir() and any(name.suffix in {".ldb", ".sst", ".log"} for name in path.iterdir()):
        raise StorageFailure(STORAGE_CORRUPT, path=str(path), problem="CURRENT is missing beside data")
    if not create:
        raise KehuError(STORAGE_MISSING, path=str(path))
    with storage_failures(path, "create"):
        _create(path)


def _create(path: Path) -> None:
    """An empty database under a temporary name, synced, then renamed.

    LevelDB does not sync the manifest of a new database, and a power cut then leaves a folder that never opens
    again (6 of 1,500 cuts). What such a cut leaves here is a temporary folder that the next start removes.
    """
    unfinished = path.with_name(f".{path.name}.new")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    _open(unfinished, create=True).close()
    for name in unfinished.iterdir():
        with name.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(unfinished)
    unfinished.rename(path)
    sync_folder(path.parent)


def _open(path: Path, *, create: bool) -> Any:
    options = {
        "create_if_missing": create,
        "paranoid_checks": True,
        "write_buffer_size": WRITE_BUFFER_BYTES,
        "lru_cache_size": CACHE_BYTES,
        "compression": COMPRESSION,
        "bloom_filter_bits": 10,
        "max_open_files": TABLES_OPEN_MAX,
    }
    name = os.fsencode(path)  # a folder's name may be in another encoding than the system's
    try:
        return open_database(lambda: plyvel.DB(name, **options))
    except plyvel.IOError as error:
        if "IO error: lock " in str(error):  # held; a lock file that can't be opened is a disk that fails
            raise KehuError(STORAGE_IN_USE, path=str(path)) from None
        spec = STORAGE_CORRUPT if _is_lacking(error) else STORAGE_IO
        raise StorageFailure(spec, path=str(path), operation="open", problem=str(error)) from error
    except plyvel.CorruptionError:
        raise
    except plyvel.Error as error:
        raise StorageFailure(STORAGE_CORRUPT, path=str(path), problem=str(error)) from error


def _cut_torn_tail(path: Path, refusal: Exception) -> TornTail:
    """Cuts a torn last batch off the newest log, or raises what LevelDB refused the folder for."""
    with storage_failures(path, "recover"), (path / "LOCK").open("rb+") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KehuError(STORAGE_IN_USE, path=str(path)) from None
        logs = sorted(path.glob("*.log"), key=lambda name: int(name.stem))
        data = logs[-1].read_bytes() if logs else b""
        state = inspect_log(data)
        if not state.is_torn:
            raise StorageFailure(STORAGE_CORRUPT, path=str(path), problem=str(refusal)) from refusal
        with logs[-1].open("rb+") as log:
            log.truncate(state.intact_bytes)
            log.flush()
            os.fsync(log.fileno())
        return TornTail(logs[-1].name, state.intact_bytes, len(data) - state.intact_bytes)

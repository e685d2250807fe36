"""A node's disk in memory: what is on it survives a crash, what was not yet written does not.

Every write counts, and may be the one at which the power goes: then all of it or nothing is there afterwards. Deleted
and overwritten values stay on the platter until they are purged, as in LevelDB's tables, and are looked for there.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from chain.crypto import SigningKey
from chain.errors import KehuError
from chain.ledger import Ledger
from chain.state import value_digest
from chain.stored_state import Row
from node.folder.reading import HomeFiles
from node.members.joining import Member
from node.storage.durable import STORAGE_IO, StorageFailure
from node.storage.leveldb import STORAGE_REFUSED
from node.storage.wal import VOTELOG_EXISTS, VOTELOG_MISSING, VoteLog
from node.vault.store import Vault
from tests.node_simulation.loop import Life

CHAIN, VAULT, VAULT_KEYS, VOTES = "chain", "vault", "vault-keys", "votes.log"


class PowerCutError(BaseException):
    """The machine went off in the middle of a write. Nobody catches it: whoever could is gone."""


class Platter:
    """The pairs of one database, and what lies unreachable in its files."""

    def __init__(self) -> None:
        self.pairs: dict[bytes, bytes] = {}
        self.keys: list[bytes] = []
        self.old: dict[bytes, list[bytes]] = {}

    def put(self, key: bytes, value: bytes) -> None:
        before = self.pairs.get(key)
        if before is None:
            insort(self.keys, key)
        elif before != value:
            self.old.setdefault(key, []).append(before)
        self.pairs[key] = value

    def delete(self, key: bytes) -> None:
        before = self.pairs.pop(key, None)
        if before is not None:
            del self.keys[bisect_left(self.keys, key)]
            self.old.setdefault(key, []).append(before)

    def forget_old(self, first: bytes, last: bytes) -> None:
        for key in [key for key in self.old if first <= key <= last]:
            del self.old[key]

    def copy(self) -> Platter:
        made = Platter()
        made.pairs, made.keys = dict(self.pairs), list(self.keys)
        made.old = {key: list(values) for key, values in self.old.items()}
        return made

    def bytes(self) -> Iterator[bytes]:
        yield from self.pairs
        yield from self.pairs.values()
        yield from self.old
        for values in self.old.values():
            yield from values


class SimDisk:
    """`on_write` is told of each write (database, size); `apply_last` decides what a power cut leaves of its write."""

    def __init__(self, on_chain: Callable[[Mapping[bytes, bytes]], None], apply_last: Callable[[], bool]) -> None:
        self.databases = {CHAIN: Platter(), VAULT: Platter(), VAULT_KEYS: Platter()}
        self.votes: list[bytes] | None = []
        self.writes = 0
        self.cut_at: int | None = None
        self.full_at: int | None = None
        self.on_cut: Callable[[str], None] = lambda _name: None
        self.on_full: Callable[[], None] = lambda: None
        self.on_shortened: Callable[[], None] = lambda: None
        self.on_chain, self.apply_last = on_chain, apply_last

    def copy_content(self) -> tuple[dict[str, Platter], list[bytes] | None]:
        return {name: one.copy() for name, one in self.databases.items()}, None if self.votes is None else [*self.votes]

    def put_back(self, content: tuple[dict[str, Platter], list[bytes] | None]) -> None:
        self.databases = {name: one.copy() for name, one in content[0].items()}
        self.votes = None if content[1] is None else list(content[1])

    def set_aside(self, parts: Sequence[str]) -> None:
        for part in parts:
            if part == VOTES:
                self.votes = None
            else:
                self.databases[part] = Platter()

    def perform(self, name: str, life: Life, write: Callable[[], None]) -> None:
        """One durable step: all of `write`, or a failure; or the machine goes off, and it was all or nothing of it."""
        if life.is_over:
            raise PowerCutError
        self.writes += 1
        if self.cut_at is not None and self.writes >= self.cut_at:
            self.cut_at = None
            if self.apply_last():
                write()
            self.on_cut(name)
            raise PowerCutError
        if self.full_at is not None and self.writes >= self.full_at:
            self.on_full()
            raise StorageFailure(STORAGE_IO, path=name, operation="write", reason="ENOSPC")
        write()

    @property
    def is_full(self) -> bool:
        return self.full_at is not None and self.writes >= self.full_at


class SimStore:
    """node.storage.purging.PurgingStore over a platter. After a failure it refuses everything, as `LevelStore` does."""

    memory_bytes = 0

    def __init__(self, disk: SimDisk, name: str, life: Life) -> None:
        self._disk, self._name, self._life = disk, name, life
        self._platter = disk.databases[name]
        self._is_refusing = False

    def _require_usable(self) -> None:
        if self._is_refusing:
            raise StorageFailure(STORAGE_REFUSED, path=self._name)

    def _perform(self, write: Callable[[], None]) -> None:
        self._require_usable()
        try:
            self._disk.perform(self._name, self._life, write)
        except StorageFailure:
            self._is_refusing = True
            raise

    def get(self, key: bytes) -> bytes | None:
        self._require_usable()
        return self._platter.pairs.get(key)

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        gone = list(deletes)

        def write() -> None:
            for key, value in puts.items():
                self._platter.put(key, value)
            for key in gone:
                self._platter.delete(key)
            if self._name == CHAIN:
                self._disk.on_chain(puts)

        self._perform(write)

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        self._require_usable()
        keys, pairs = self._platter.keys, self._platter.pairs
        first = bisect_left(keys, prefix + start)
        found = []
        for key in keys[first:]:
            if not key.startswith(prefix):
                break
            found.append((key, pairs[key]))
        yield from found

    def read_through(self, start: bytes, bytes_max: int) -> tuple[bytes | None, int, int]:
        self._require_usable()
        keys, size, pairs = self._platter.keys, 0, 0
        for key in keys[bisect_left(keys, start) :]:
            if size >= bytes_max:
                return key, size, pairs
            size, pairs = size + len(key) + len(self._platter.pairs[key]), pairs + 1
        return None, size, pairs

    def purge(self, keys: Sequence[bytes]) -> None:
        if keys:
            self.write({}, keys)
            self._perform(lambda: self._platter.forget_old(min(keys), max(keys)))

    def compact(self, first: bytes, last: bytes) -> None:
        self.purge((first, last))

    def let_go(self) -> None:
        """A scan here is of a list of its own."""

    def close(self) -> None:
        self._is_refusing = True


class SimVoteLog(VoteLog):
    """A vote log whose file is a list. What was appended and not synced is gone with the process."""

    def __init__(self, disk: SimDisk, life: Life) -> None:
        self._disk, self._life, self._unsynced = disk, life, list[bytes]()
        self.torn_bytes, self._is_refusing = 0, False
        self._recount()

    def _recount(self) -> None:
        self.size_bytes = sum(map(len, self._disk.votes or ()))

    def _perform(self, write: Callable[[], None]) -> None:
        if self._is_refusing:
            raise StorageFailure(STORAGE_IO, path=VOTES, problem="closed, or failed earlier")
        try:
            self._disk.perform(VOTES, self._life, write)
        except StorageFailure:
            self._is_refusing = True
            raise

    def append(self, records: Iterable[bytes]) -> None:
        self._unsynced += records

    @property
    def unsynced(self) -> int:
        return len(self._unsynced)

    def sync(self) -> None:
        if self._unsynced:
            records = self._unsynced
            self._perform(lambda: self._votes().extend(records))
            self._unsynced = []
            self._recount()

    def rewrite(self, records: Sequence[bytes]) -> None:
        def write() -> None:
            self._disk.votes = list(records)

        self._perform(write)
        self._recount()
        self._disk.on_shortened()

    def read_all(self) -> list[bytes]:
        return list(self._votes())

    def close(self) -> None:
        self._is_refusing = True

    def _votes(self) -> list[bytes]:
        if self._disk.votes is None:
            raise KehuError(VOTELOG_MISSING, path=VOTES)
        return self._disk.votes


class SimRows:
    """node.storage.scratch.ScratchRows, which forgets nothing."""

    def __init__(self) -> None:
        self._values: dict[bytes, dict[bytes, bytes]] = {}

    def get(self, key_digest: bytes, wanted: bytes) -> bytes | None:
        return self._values.get(key_digest, {}).get(wanted)

    def put(self, rows: Sequence[Row]) -> None:
        for digest, *values in rows:
            of_key = self._values.setdefault(digest, {})
            of_key.update((value_digest(value), value) for value in values if value is not None)

    def hold(self) -> Callable[[], None]:
        return lambda: None

    def close(self) -> None:
        self._values.clear()


class DiskOfLife:
    """node.folder.opening.Disk for one run of the process."""

    def __init__(self, disk: SimDisk, life: Life) -> None:
        self._disk, self._life = disk, life
        self.votes: SimVoteLog | None = None

    def open_scratch(self) -> SimRows:
        return SimRows()

    def open_chain(self) -> SimStore:
        return SimStore(self._disk, CHAIN, self._life)

    def choose_key(self, files: HomeFiles, _ledger: Ledger, _members: dict[str, Member]) -> SigningKey:
        return files.node_key

    def open_vault(self, chain_id: bytes, node_key: SigningKey) -> Vault:
        stores = (SimStore(self._disk, name, self._life) for name in (VAULT, VAULT_KEYS))
        return Vault(*stores, chain_id, node_key.seed)

    def open_votes(self, _chain_id: bytes, _department: str) -> VoteLog:
        if self._disk.votes is None:
            raise KehuError(VOTELOG_MISSING, path=VOTES)
        self.votes = SimVoteLog(self._disk, self._life)
        return self.votes

    def create_votes(self, _chain_id: bytes, _department: str) -> VoteLog:
        if self._disk.votes is not None:
            raise KehuError(VOTELOG_EXISTS, path=VOTES)

        def write() -> None:
            self._disk.votes = []

        self._disk.perform(VOTES, self._life, write)
        self.votes = SimVoteLog(self._disk, self._life)
        return self.votes

    def free_bytes(self, _path: Path) -> tuple[int, int]:
        return (0 if self._disk.is_full else 1 << 40, 1 << 40)

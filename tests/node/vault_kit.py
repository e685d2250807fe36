"""Vaults on real LevelDB for the tests, and a scan of every byte they leave on the disk."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from chain.crypto import SigningKey, digest
from node.storage.leveldb import LevelStore
from node.vault.rows import decode_live, decode_staged, parse_live_key, parse_staged_key
from node.vault.seal import RecordId
from node.vault.store import Vault
from node.vault.values import VaultValue

CHAIN = digest("genesis", b"vault tests")
NODE_KEY = SigningKey(digest("test key", b"the node of the vault tests"))


def salt_of(text: str) -> bytes:
    return hashlib.sha256(b"salt " + text.encode()).digest()


def value_of(text: str, record: str = "c1", field: str = "name", table: str = "customers") -> VaultValue:
    """A value with a salt of its own, always the same for the same arguments."""
    return VaultValue(table, record, field, salt_of(f"{table} {record} {field} {text}"), text)


def transaction_id(name: str) -> bytes:
    return digest("transaction", name.encode())


def get(vault: Vault, value: VaultValue) -> VaultValue | None:
    return vault.get(value.table, value.record, value.field, value.digest(CHAIN))


@contextmanager
def opened(home: Path, key: SigningKey = NODE_KEY, chain_id: bytes = CHAIN) -> Iterator[Vault]:
    home.mkdir(exist_ok=True)
    vault = Vault.open(home, chain_id, key)
    try:
        yield vault
    finally:
        vault.close()


def files_with(folder: Path, needle: bytes) -> list[str]:
    """Names of the files below `folder` that contain `needle`."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()
    )


def traces_of(values: Iterable[VaultValue]) -> Iterator[bytes]:
    """What would give a value away: the text and its salt, raw and in the usual spellings."""
    for value in values:
        yield from (value.value.encode(), value.value.encode("utf-16-le"))
        yield from (value.salt, value.salt.hex().encode(), value.salt[:16])


def sealed_of(vault: Vault, record: RecordId) -> Iterator[bytes]:
    """Every sealed value of a record, live and staged."""
    for key, raw in vault._data.scan(b""):
        if key.startswith(b"v/") and parse_live_key(key) == record:
            yield from decode_live(record, raw).values()
        elif key.startswith(b"s/") and parse_staged_key(key)[1] == record:
            yield from decode_staged(record, raw)[2].values()


class WatchedStore:
    """A LevelStore that calls `before` ahead of each change: the moments at which a crash can fall."""

    def __init__(self, store: LevelStore, before: Callable[[], None]) -> None:
        self._store, self._before = store, before

    def get(self, key: bytes) -> bytes | None:
        return self._store.get(key)

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return self._store.scan(prefix, start)

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        self._before()
        self._store.write(puts, deletes)

    def purge(self, keys: Sequence[bytes]) -> None:
        self._before()
        self._store.purge(keys)

    def compact(self, first: bytes, last: bytes) -> None:
        self._before()
        self._store.compact(first, last)

    def let_go(self) -> None:
        self._store.let_go()

    @property
    def memory_bytes(self) -> int:
        return self._store.memory_bytes

    def close(self) -> None:
        self._store.close()


class CrashCopies:
    """A vault whose folders are copied before every change: each copy is what a crash at that moment leaves."""

    def __init__(self, folder: Path) -> None:
        self.home, self.copies = folder / "home", folder / "copies"
        self.home.mkdir()
        self.count = 0
        stores = [
            WatchedStore(LevelStore(self.home / name, create=True), self.copy) for name in ("vault", "vault-keys")
        ]
        self.vault = Vault(stores[0], stores[1], CHAIN, NODE_KEY.seed)

    def copy(self) -> None:
        shutil.copytree(self.home, self.copies / f"{self.count:03d}")
        self.count += 1

    def homes(self) -> list[Path]:
        return sorted(self.copies.iterdir())

"""Making a node's folder of a backup. Nothing in the files says where anything goes: the names are all here.

The folder is made beside its place and gets its name when it is whole and checked: the chain opens (its state has the
root that its head certifies), the key is the department's, every value opens under its record's key. With `verify`
every block is executed again from genesis. There is no vote log in it, so the node observes before it votes; what was
erased since the backup is destroyed before the node serves anything (it is not level before).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chain.audit import Auditor, check_signatures
from chain.blocks import FORMER, BlockStore
from chain.errors import KehuError, define
from chain.export import stored_frames
from chain.ledger import Ledger
from contracts.registry import contract_table
from node.backup.format import BACKUP_DAMAGED, BACKUP_OTHER, Frame, Pair, read_data, read_keys
from node.backup.making import KEY_FILES
from node.folder.config import Home
from node.keys.files import load_key
from node.storage.durable import storage_failures, write_file
from node.storage.leveldb import LevelStore
from node.storage.unfinished import unfinished
from node.vault.inspection import check_values

RESTORE_NOT_EMPTY = define(
    "restore.not_empty",
    "the folder exists and is not empty; a backup is never restored over anything",
    "name a new folder, or move the old one away yourself",
)

RESTORE_MOUNTED = define(
    "restore.mounted",
    "the folder is where something is mounted, and a restored folder gets its name when it is whole",
    "restore into a new folder on the same disk, outside of the container say, then mount that or move what is in it",
)

RESTORE_KEYS_MISSING = define(
    "restore.keys_missing",
    "the keys of the backup are not where they are looked for; without them nothing in its data can be opened",
    "name the keys file that the same `kehu backup` wrote with --keys: it is best kept elsewhere than the data",
)

CHAIN_PREFIXES: Final = (b"b/", b"c/", b"i/", b"meta/", b"r/", b"s/", b"t/", b"v/")
FILES: Final = (b"genesis.json", b"node.toml")


@dataclass(frozen=True, slots=True)
class Restored:
    department: str
    height: int
    block_id: bytes
    state_root: bytes
    values: int
    dropped: int
    """Values whose key is not in the backup: of records erased while it was taken. The node does without them."""
    blocks_verified: int


def restore(
    data: Path, keys: Path, home: Path, passphrase: str, *, verify: bool, advance: Callable[[int], None]
) -> Restored:
    """`advance` hears of blocks verified. Errors: restore.*, backup.*, storage, key and audit codes."""
    _require_place(home)
    if not keys.is_file():
        raise KehuError(RESTORE_KEYS_MISSING, keys=str(keys))
    with storage_failures(home, "restore"):
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with unfinished(home, is_folder=True) as folder:
        _fill(Home(folder.path), data, keys, passphrase)
        found = _check(Home(folder.path), passphrase, verify=verify, advance=advance)
        folder.finish()
        return found


def _require_place(home: Path) -> None:
    if home.is_symlink() or (home.exists() and (not home.is_dir() or any(home.iterdir()))):
        raise KehuError(RESTORE_NOT_EMPTY, folder=str(home))
    if home.is_mount():
        raise KehuError(RESTORE_MOUNTED, folder=str(home))


def _fill(home: Home, data: Path, keys: Path, passphrase: str) -> None:
    with (
        storage_failures(keys, "read"), keys.open("rb") as keys_file,
        storage_failures(data, "read"), data.open("rb") as data_file,
    ):  # fmt: skip
        backup_id, key_frames = read_keys(keys_file, passphrase)
        frames = read_data(data_file, key_frames)
        kind, pairs = next(frames, ("", []))
        if kind != "backup":
            raise KehuError(BACKUP_DAMAGED, problem="first frame")
        if pairs != [(b"id", backup_id)]:
            raise KehuError(BACKUP_OTHER)
        _Filler(home).take(key_frames, {"key-files": KEY_FILES, "vault-keys": ()})
        _Filler(home).take(frames, {"files": FILES, "chain": (), "vault": ()})


class _Filler:
    """Writes frames where their kind belongs, whatever else they say."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._stores: dict[str, LevelStore] = {}

    def take(self, frames: Iterable[Frame], kinds: dict[str, Sequence[str | bytes]]) -> None:
        try:
            for kind, pairs in frames:
                if kind not in kinds:
                    raise KehuError(BACKUP_DAMAGED, problem="unknown frame")
                names = [name.encode() if isinstance(name, str) else name for name in kinds[kind]]
                if names:
                    self._write_files(pairs, names)
                else:
                    self._write_pairs(kind, pairs)
        finally:
            for store in self._stores.values():
                store.close()

    def _write_files(self, pairs: list[Pair], names: Sequence[bytes]) -> None:
        for name, content in pairs:
            if name not in names:
                raise KehuError(BACKUP_DAMAGED, problem="unknown file")
            path = self._home.path / name.decode()
            with storage_failures(path, "restore"):
                write_file(path, content, replace=False)

    def _write_pairs(self, kind: str, pairs: list[Pair]) -> None:
        if kind == "chain":
            pairs = [pair for pair in pairs if not pair[0].startswith(FORMER)]
            if not all(key.startswith(CHAIN_PREFIXES) for key, _ in pairs):
                raise KehuError(BACKUP_DAMAGED, problem="unknown key")
        if kind not in self._stores:
            self._stores[kind] = LevelStore(self._home.path / kind, create=True)
        self._stores[kind].write(dict(pairs))


def _check(home: Home, passphrase: str, *, verify: bool, advance: Callable[[int], None]) -> Restored:
    config, genesis = home.read_config(), home.read_genesis()
    node_key = load_key(home.node_key, passphrase)
    store = LevelStore(home.chain)
    try:
        ledger, blocks = Ledger.open(genesis, contract_table(), store)
        head = ledger.head
        if head.certificate is not None:
            head.certificate.require("commit", head.height, head.block_id)
            head.certificate.verify(ledger.validators(head.height), genesis.chain_id)
        verified = _verify(blocks, ledger, advance) if verify else 0
    finally:
        store.close()
    values, dropped = check_values(home.path, genesis.chain_id, node_key)
    return Restored(config.department, head.height, head.block_id, head.header.state_root, values, dropped, verified)


def _verify(blocks: BlockStore, ledger: Ledger, advance: Callable[[int], None]) -> int:
    """Executes every block again, as an audit does. Errors: block.not_held, audit and certificate codes."""
    auditor = Auditor.at_genesis(ledger.genesis.raw, contract_table())
    for frame in stored_frames(blocks, 1, ledger.height):
        step = auditor.step(frame)
        finding = step.finding or check_signatures(step.signatures)
        if finding is not None:
            raise KehuError(BACKUP_DAMAGED, problem=finding.code, height=finding.height, check=finding.check)
        advance(1)
    if auditor.ledger.head.block_id != ledger.head.block_id or auditor.ledger.state.root != ledger.state.root:
        raise KehuError(BACKUP_DAMAGED, problem="replay", height=ledger.height)
    return ledger.height

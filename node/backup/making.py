"""Taking a backup of a running node: every store as it is at one moment, while the node goes on.

LevelDB keeps what an iterator began with, so the chain is that of one height, and the vault's values and keys belong
together. Only an erasure meanwhile takes that from the vault's two, which then go on with what is there by then: values
whose key the backup has not are dropped at the restore. Values leave sealed under their record's keys, and the keys
sealed under the node's passphrase: nothing personal is in the clear in either file. The vote log is never in a backup.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import chain as joined
from pathlib import Path
from typing import Final

from chain.blocks import BlockStore
from chain.errors import KehuError
from node.backup.format import ID_BYTES, KeysSealer, Pair, data_chunks, digest_in, encode_frame, framed
from node.folder.config import Home
from node.folder.opening import Opened
from node.keys.files import KEY_FILE_MISSING, ScryptCost, require_opens
from node.keys.passphrase import read_passphrase
from node.storage.scans import begun
from node.vault.store import Vault

DATA: Final = 0
KEYS: Final = 1

KEY_FILES: Final = ("node.key", "node.key.next", "gateway.key")
"""Those that there are: a key that was made and not taken up yet may be the only one that the network knows by the time
that the folder is restored."""


def backup_chunks(
    home: Home, passphrase_file: str, blocks: BlockStore, vault: Vault | None, cost: ScryptCost | None = None
) -> Iterator[tuple[int, bytes]]:
    """(`DATA` or `KEYS`, bytes for that file), in order. Reads disks and spends a second of scrypt: not for the event
    loop. `vault` None: without personal values. Errors: storage, passphrase and key codes; also where node.key does not
    open under the passphrase, as nobody could restore that."""
    backup_id = secrets.token_bytes(ID_BYTES)
    passphrase, key_files = read_passphrase(file=home.path / passphrase_file), _key_files(home)
    for name, content in key_files:
        require_opens(home.path / name.decode(), content, passphrase)
    chain = begun(blocks.pairs())
    values, keys = vault.pairs() if vault is not None else (iter(()), iter(()))
    sealer = KeysSealer(backup_id, passphrase, cost or ScryptCost())
    yield KEYS, sealer.head
    for frame in joined(framed("key-files", key_files), framed("vault-keys", keys)):
        yield KEYS, sealer.seal(frame)
    files = [(b"genesis.json", _read(home.genesis_file)), (b"node.toml", _read(home.config_file))]
    frames = joined([encode_frame("files", files)], framed("chain", chain), framed("vault", values))
    end = b""
    for chunk in data_chunks(backup_id, frames):
        yield DATA, chunk
        end = chunk
    yield KEYS, sealer.end(digest_in(end))


def backup_of(opened: Opened, *, with_vault: bool) -> Iterator[tuple[int, bytes]]:
    """`backup_chunks` of a node that runs."""
    vault = opened.vault if with_vault else None
    return backup_chunks(opened.home, opened.config.passphrase_file, opened.blocks, vault)


def _key_files(home: Home) -> list[Pair]:
    """Those that there are; errors: key.file_missing without node.key, which no restored folder can do without."""
    if not home.node_key.exists():
        raise KehuError(KEY_FILE_MISSING, path=str(home.node_key))
    return [(name.encode(), _read(home.path / name)) for name in KEY_FILES if (home.path / name).exists()]


def _read(path: Path) -> bytes:
    return path.read_bytes()

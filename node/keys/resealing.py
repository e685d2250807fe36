"""Another passphrase for a node's folder. The keys stay what they are, and a running node is not touched.

Whatever opens a key is in some file at every moment. A new passphrase whose place is in the folder is first written
down beside the present one, as FILE.next; then come the keys, one by one; then it takes the present one's name. After a
power cut in between, some keys open with the old and some with the new one, and the same change done again goes on
where it ended. A passphrase whose place is elsewhere is somebody else's to keep.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chain.errors import KehuError
from node.folder.config import Home
from node.keys.files import KEY_PASSPHRASE_WRONG, change_passphrase, load_key
from node.keys.passphrase import PASSPHRASE_MISSING, read_passphrase
from node.storage.durable import storage_failures, sync_folder, write_file


@dataclass(frozen=True, slots=True)
class Resealed:
    """Names of the key files, and whether the new passphrase was written to its file."""

    keys: list[str]
    is_written: bool


def reseal_home(home: Home, file: Path, old: str, new: str | None) -> Resealed:
    """Seals the keys that are there under `new`, or what an interrupted change had begun with, or a passphrase that is
    drawn. `file`: where node.toml says that the passphrase is. Errors: key.*, passphrase.*, storage.io."""
    place = file.resolve()
    with _alone(home):
        if not place.is_relative_to(home.path):
            if new is None:
                raise KehuError(PASSPHRASE_MISSING, needed="--new-passphrase-file", file=str(file))
            return Resealed(_reseal(home, old, new), is_written=False)
        begun = _begun(place)
        if begun is not None and begun != old:
            keys, old = _change(home, place, old, begun), begun
            if new in (None, begun):
                return Resealed(keys, is_written=True)
        return Resealed(_change(home, place, old, new or secrets.token_urlsafe(24)), is_written=True)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """One change after the other."""
    with storage_failures(home.path, "open folder"):
        descriptor = os.open(home.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with storage_failures(home.path, "lock folder"):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _next(place: Path) -> Path:
    return place.with_name(f"{place.name}.next")


def _begun(place: Path) -> str | None:
    return read_passphrase(file=_next(place)) if _next(place).exists() else None


def _change(home: Home, place: Path, old: str, new: str) -> list[str]:
    for path in _keys(home):
        if not _opens(path, new):
            load_key(path, old)
    following = _next(place)
    if _begun(place) != new:
        with storage_failures(place, "write file"):
            write_file(following, new.encode() + b"\n", replace=True, like=place)
    keys = _reseal(home, old, new)
    with storage_failures(place, "rename file"):
        following.replace(place)
        sync_folder(place.parent)
    return keys


def _reseal(home: Home, old: str, new: str) -> list[str]:
    for path in _keys(home):
        if not _opens(path, new):
            change_passphrase(path, old, new)
    return [path.name for path in _keys(home)]


def _keys(home: Home) -> list[Path]:
    """Those that are there; the one that the node has at hand must be."""
    paths = (home.node_key, home.next_key, home.gateway_key)
    return [path for path in paths if path.exists() or path == home.key_at_hand]


def _opens(path: Path, passphrase: str) -> bool:
    try:
        load_key(path, passphrase)
    except KehuError as error:
        if error.spec is not KEY_PASSPHRASE_WRONG:
            raise
        return False
    return True

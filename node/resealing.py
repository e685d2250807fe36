"""Another passphrase for a node's folder. The keys stay what they are, and a running node is not touched.

Key by key, and the passphrase's file last: after a power cut in between, some keys open with the old and some with the
new one, and the same change done again goes on where it ended.
"""

from __future__ import annotations

from pathlib import Path

from chain.errors import KehuError
from node.config import Home
from node.keys import KEY_PASSPHRASE_WRONG, change_passphrase, load_key
from node.storage.durable import storage_failures, write_file


def reseal_home(home: Home, old: str, new: str) -> list[str]:
    """Seals node.key, node.key.next and gateway.key under `new`; the names of those that are there. Errors: key.*."""
    paths = [
        path for path in (home.node_key, home.next_key, home.gateway_key) if path.exists() or path == home.node_key
    ]
    for path in paths:
        if not _opens(path, new):
            change_passphrase(path, old, new)
    return [path.name for path in paths]


def _opens(path: Path, passphrase: str) -> bool:
    try:
        load_key(path, passphrase)
    except KehuError as error:
        if error.spec is not KEY_PASSPHRASE_WRONG:
            raise
        return False
    return True


def keep_passphrase(home: Home, file: Path, new: str) -> bool:
    """Writes it where node.toml says, if that is inside the folder; elsewhere it is somebody else's to put there."""
    if not file.resolve().is_relative_to(home.path):
        return False
    with storage_failures(file, "write file"):
        write_file(file, new.encode() + b"\n", replace=True)
    return True

"""Changing over to a new key without a moment in which no file holds the right one.

`NAME.next` stands beside `NAME.key` until the change is committed. Then the new file takes the old one's name; the
old one is kept as `NAME.key.HEX8.old`, because an unknown outcome may still turn out as not changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chain.errors import KehuError
from cli.founding import possession_of
from cli.profile import KEY_NAME_UNKNOWN
from cli.run import Run
from node.keys.files import load_key, read_public
from node.storage.durable import storage_failures, sync_folder


@dataclass(frozen=True, slots=True)
class KeyChange:
    present: Path
    following: Path
    key_hex: str
    possession: bytes


def next_key(run: Run, person: str) -> KeyChange:
    """The key that waits beside the person's present one. Errors: key.*."""
    present = run.profile.find_key(person).path
    following = present.with_suffix(".next")
    if not following.is_file():
        raise KehuError(KEY_NAME_UNKNOWN, name=following.name, folder=str(following.parent))
    key = load_key(following, run.passphrase(f"Passphrase of {following.name}"))
    return KeyChange(present, following, key.public.hex(), possession_of(key, run.profile.genesis.chain_id, person))


def take_over(change: KeyChange) -> None:
    """Gives the new file the old one's name; a power cut in between leaves both keys in named files."""
    old = change.present.with_name(f"{change.present.name}.{read_public(change.present).public.hex()[:8]}.old")
    with storage_failures(change.present, "rename key file"):
        change.present.replace(old)
        change.following.replace(change.present)
        sync_folder(change.present.parent)

"""What lies in the files of stores though the stores have it no more. Both take as long as the files are large."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from node.vault.keys import PurgingStore

_NOTHING: Final = b"\x00"
_LAST: Final = b"\xff"
"""Keys that nobody uses."""


def purge_all(stores: Iterable[PurgingStore]) -> None:
    """Whatever an earlier run destroyed is in no file when this returns."""
    for store in stores:
        store.purge((_NOTHING, _LAST))


def purge_unread(stores: Iterable[PurgingStore]) -> None:
    """Tables that were kept for a scan which has ended go: LevelDB looks for them whenever it has made new ones."""
    for store in stores:
        store.purge((_NOTHING,))

"""A snapshot on its way in: a chain's store beside the node's own, filled piece by piece, and put in its place when
whole.

`chain.incoming/` has the layout of `chain/` and grows; every piece is written together with what is still to be asked
for, so a node that stops goes on where it was. Whole, it is renamed to `chain.whole/`; the next opening of the folder
puts that in the place of `chain/`. Each of these steps can be repeated, so a power cut between any two is made good.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from chain import codec
from chain.blocks import ExecutedBlock, block_puts
from chain.errors import KehuError
from chain.snapshot import Offer, Part
from chain.store import Store
from chain.stored_state import CURRENT
from node.folder.config import Home
from node.snapshot.past import PastBlocks
from node.soundness.copying import stopped
from node.storage.durable import STORAGE_IO, storage_failures, sync_folder
from node.storage.leveldb import LevelStore

_PROGRESS: Final = b"meta/incoming"
_PROGRESS_BYTES_MAX: Final = 1 << 23

log = logging.getLogger("kehu.snapshot")


def incoming_folder(home: Home) -> Path:
    return home.path / "chain.incoming"


def whole_folder(home: Home) -> Path:
    return home.path / "chain.whole"


def install(home: Home) -> bool:
    """Puts a whole snapshot in the place of the chain; True if there was one. Before anything is opened.

    Errors: storage.in_use, where another process has the folder: its chain is not taken away under it.
    """
    whole, old = whole_folder(home), home.path / "chain.replaced"
    with storage_failures(home.path, "install snapshot"):
        is_whole = whole.exists()
        if is_whole:
            with stopped(home):
                if home.chain.exists():
                    if old.exists():
                        shutil.rmtree(old)
                    home.chain.rename(old)
                whole.rename(home.chain)
                sync_folder(home.path)
            log.info("the chain in this folder now begins with a snapshot")
        if old.exists():
            shutil.rmtree(old)
    return is_whole


class Incoming:
    """An open `chain.incoming/`. Methods block for the disk."""

    def __init__(self, store: Store, offer: Offer, pending: Sequence[Part]) -> None:
        self._store, self.offer, self.pending = store, offer, list(pending)
        self._offer_bytes = offer.to_bytes()
        self.height = offer.header.height

    @classmethod
    def resume(cls, folder: Path) -> Incoming | None:
        """What an earlier run has left, if it is of use; else the folder is removed."""
        if not folder.exists():
            return None
        store: LevelStore | None = None
        try:
            store = LevelStore(folder)
            offer, pending = codec.fields(
                codec.decode(store.get(_PROGRESS) or b"", _PROGRESS_BYTES_MAX),
                "incoming",
                codec.is_bytes,
                codec.list_of(codec.is_list),
            )
            parts = [codec.fields(part, "part", codec.is_bytes, codec.is_digest) for part in pending]
            return cls(store, Offer.from_bytes(offer), [(prefix, digest) for prefix, digest in parts])
        except KehuError as error:  # a damaged beginning is no loss: it is asked for again
            if store is not None:
                store.close()
            if error.spec is STORAGE_IO:  # but a disk that fails says nothing about the bytes on it
                raise
            log.warning("the unfinished snapshot is of no use: %s", error)
            discard(folder)
            return None

    @classmethod
    def begin(cls, folder: Path, offer: Offer) -> Incoming:
        discard(folder)
        incoming = cls(LevelStore(folder, create=True), offer, [(b"", offer.header.state_root)])
        incoming.add([])
        return incoming

    def add(self, pairs: Iterable[tuple[bytes, bytes]], pending: Sequence[Part] | None = None) -> None:
        """Checked values, and what is still to be asked for after them."""
        self.pending = self.pending if pending is None else list(pending)
        puts = {CURRENT + key: value for key, value in pairs}
        left = [[prefix, digest] for prefix, digest in self.pending]
        puts[_PROGRESS] = codec.encode_flat([self._offer_bytes, left])
        self._store.write(puts)

    def add_blocks(self, puts: dict[bytes, bytes]) -> None:
        self._store.write(puts)

    def finish(self, genesis: bytes, genesis_block: ExecutedBlock, first: int) -> None:
        """Writes what makes a chain of it. `first`: the lowest block that was added."""
        puts = block_puts(genesis_block.block, [], [], [])
        for link in self.offer.links:
            puts[b"v/" + link.height.to_bytes(8, "big")] = codec.encode_flat(link.to_value())
        puts[b"meta/genesis"] = genesis
        puts[b"meta/first"] = codec.encode_flat([first, self.height])
        puts[b"meta/head"] = codec.encode_flat([self.height, self.offer.block_id])
        self._store.write(puts, [_PROGRESS])

    def past(self) -> PastBlocks:
        return PastBlocks(self.height, self.offer.block_id, self.offer.certificate)

    def close(self) -> None:
        self._store.close()


def discard(folder: Path) -> None:
    with storage_failures(folder, "remove"):
        if folder.exists():
            shutil.rmtree(folder)


def make_whole(home: Home) -> None:
    """A finished and closed `chain.incoming/` is to be installed at the next opening."""
    with storage_failures(home.path, "finish snapshot"):
        incoming_folder(home).rename(whole_folder(home))
        sync_folder(home.path)

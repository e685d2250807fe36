"""Reading everything again, slowly, for as long as the node runs: rot is found before the bytes are needed.

A round reads the three databases with their checksums, then follows the chain's links, then opens every sealed value.
What it finds it does not repair by itself: a damaged database is a `StorageFailure` that ends the node, and
`node.process` sets the database aside and starts again without it; a value that does not open is set aside by the
vault and fetched from another holder.

What lies in a cache, LevelDB's or the system's, is read from there: rot under it shows once it has left the cache.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from chain import merkle
from chain.block import Block
from chain.blocks import STORAGE_INCOMPLETE, BlockStore
from chain.errors import KehuError
from node.folder.config import Scrub as Pace
from node.folder.opening import Opened, readable
from node.soundness.setting_aside import list_aside

PAGE_BYTES: Final = 256 << 10
VALUES: Final = 64
BLOCKS: Final = 16
BLOCK_COST: Final = 16 << 10
"""What following the link of a block counts against the pace, beside its own bytes."""
VALUE_COST: Final = 1 << 10

log = logging.getLogger("kehu.soundness")


class Scrub:
    """`status` holds counts only. `run` ends with an error when something is found that a new start has to cure."""

    def __init__(self, opened: Opened, clock_ms: Callable[[], int]) -> None:
        self._opened, self._clock_ms = opened, clock_ms
        self._pace: Pace = opened.config.scrub
        self._rounds = self._bytes = self._set_aside = 0
        self._reading: str | None = None
        self._finished_ms: int | None = None
        home = opened.home.path
        self._aside = [one.to_value() for one in list_aside(home)]

    def status(self) -> Mapping[str, Any]:
        """`reading`: what is being read now; `values_set_aside`: that did not open, since the start. `damaged`: what
        was set aside in the folder before it."""
        scrub = {
            "rounds": self._rounds,
            "reading": self._reading,
            "bytes_read": self._bytes,
            "finished_ms": self._finished_ms,
            "values_set_aside": self._set_aside,
        }
        return {"scrub": scrub, "damaged": self._aside}

    async def run(self) -> None:
        while True:
            await self._round()
            self._rounds, self._reading, self._finished_ms = self._rounds + 1, None, self._clock_ms()
            log.info("scrub: everything was read; %d values set aside so far", self._set_aside)
            await asyncio.sleep(self._pace.interval_s)

    async def _round(self) -> None:
        home, vault = self._opened.home, self._opened.vault
        stores = zip((home.chain, home.vault, home.vault_keys), (self._opened.chain_store, *vault.stores), strict=True)
        for path, store in stores:
            self._reading = path.name
            after: bytes | None = b""
            while after is not None:
                after, size, _ = await asyncio.to_thread(store.read_through, after, PAGE_BYTES)
                await self._rest(size)
        await self._follow_links()
        await self._open_values()

    async def _follow_links(self) -> None:
        self._reading = "links"
        ledger, blocks = self._opened.ledger, self._opened.blocks
        height, parent = ledger.height, ledger.head.block_id
        while height >= (lowest := blocks.first()[0]):
            count = min(BLOCKS, height - lowest + 1)
            with readable(self._opened.home.chain):
                height, parent, size = await asyncio.to_thread(follow_links, blocks, height, parent, count)
            await self._rest(size + BLOCKS * BLOCK_COST)

    async def _open_values(self) -> None:
        self._reading = "values"
        after: bytes | None = b""
        while after is not None:
            after, unsound = await asyncio.to_thread(self._opened.vault.look_through, after, VALUES)
            if unsound:
                self._set_aside += unsound
                log.error("scrub: %d values do not open; set aside, to be fetched from other holders", unsound)
            await self._rest(VALUES * VALUE_COST)

    async def _rest(self, size: int) -> None:
        self._bytes += size
        await asyncio.sleep(size / self._pace.bytes_per_second)


def follow_links(blocks: BlockStore, height: int, expected_id: bytes, count: int) -> tuple[int, bytes, int]:
    """Checks `count` blocks from `height` (whose id is known) down: each is the parent of the next, has its
    certificate, and receipts with the root that it names. (Height and id to go on with; bytes read.)"""
    size = 0
    for _ in range(count):
        raw = blocks.block_bytes(height)
        header = Block.from_bytes(raw).header
        receipts = blocks.receipt_bytes(height)
        if header.id != expected_id:
            raise _other("block", height)
        if merkle.root(receipts) != header.receipts_root:
            raise _other("receipts", height)
        certificate = blocks.certificate(height)
        if certificate is not None:
            certificate.require("commit", height, expected_id)
        size += len(raw) + sum(map(len, receipts))
        height, expected_id = height - 1, header.parent_id
    return height, expected_id, size


def _other(what: str, height: int) -> KehuError:
    return KehuError(STORAGE_INCOMPLETE, what=f"{what} that the chain links to", height=height)

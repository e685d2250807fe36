"""Everything a node does with snapshots, wired together: offer them, take one when far behind, fetch what lies
before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from chain.blocks import BlockStore, ExecutedBlock
from chain.ledger import Ledger
from node.folder.config import Home, Snapshots
from node.peers.network import PeerNetwork
from node.peers.turns import Turns
from node.snapshot.backfill import BackFill
from node.snapshot.offers import OFFERS_KIND, PIECE_KIND, SnapshotOffers
from node.snapshot.past import PAST_KIND, answer_past
from node.snapshot.sync import SnapshotSync


class SnapshotRoom:
    """Made inside a running event loop. `reopen` is done once a snapshot lies ready and the folder is to be opened
    anew."""

    def __init__(
        self,
        home: Home,
        department: str,
        ledger: Ledger,
        blocks: BlockStore,
        settings: Snapshots,
        peers: PeerNetwork,
        fail: Callable[[BaseException], None],
        clock_s: Callable[[], float],
    ) -> None:
        self.reopen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._department, self._ledger, self._blocks = department, ledger, blocks
        self._offers = SnapshotOffers(ledger, blocks, settings.interval_blocks, clock_s)
        self._sync = SnapshotSync(home, department, ledger, blocks, settings, peers.request, self._on_whole, fail)
        self._back_fill = BackFill(blocks, self._others, peers.request)
        self._past_turns, self._piece_turns = Turns(), Turns()
        peers.handle(OFFERS_KIND, self._offers.answer_offers)
        peers.handle(PIECE_KIND, self._answer_piece)
        peers.handle(PAST_KIND, self._answer_past)

    @property
    def is_running(self) -> bool:
        """Whether a snapshot is being taken."""
        return self._sync.is_running or self.reopen.done()

    def takes_over(self, to_height: int) -> bool:
        return self._sync.takes_over(to_height)

    async def on_block(self, executed: ExecutedBlock) -> None:
        await self._offers.on_block(executed)

    async def run(self) -> None:
        await self._back_fill.run()

    async def stop(self) -> None:
        await self._sync.stop()

    def status(self) -> dict[str, Any]:
        """Public facts, JSON values."""
        return {
            "offered_heights": self._offers.status(),
            "first_block": self._back_fill.first,
            "is_back_filling": self._back_fill.is_needed,
            "taking": self._sync.status(),
        }

    def _others(self) -> list[str]:
        members = self._ledger.validators(self._ledger.height + 1).departments
        return [name for name in members if name != self._department]

    async def _answer_piece(self, department: str, request: bytes) -> bytes:
        return await self._piece_turns.take(department, lambda: self._offers.answer_piece(department, request))

    async def _answer_past(self, department: str, request: bytes) -> bytes:
        def answer() -> Awaitable[bytes]:
            return asyncio.to_thread(answer_past, self._blocks, self._ledger.height, request)

        return await self._past_turns.take(department, answer)

    def _on_whole(self) -> None:
        if not self.reopen.done():
            self.reopen.set_result(None)

"""Making the chain whole again behind a snapshot: older blocks, in the background, down to the first.

Until that is done the node says in its status from which block on it has the chain, serves that, and refuses the rest
with
`block.not_held`. Each block is the one that the block above it names, so it does not matter whom it comes from.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Final

from chain.blocks import BlockStore
from chain.errors import KehuError
from node.replica.catch_up import Request
from node.snapshot.past import PastBlocks
from node.storage.durable import StorageFailure

PACE_S: float = 0.02
"""Between two answers, so that the node's other work goes on."""
REST_S: Final = 5.0
"""After an answer that was of no use."""

log = logging.getLogger("kehu.snapshot")


class BackFill:
    """`others` gives the departments to ask; `request` as in `node.replica.catch_up`."""

    def __init__(self, blocks: BlockStore, others: Callable[[], Sequence[str]], request: Request) -> None:
        self._blocks, self._others, self._request = blocks, others, request
        self.first = blocks.first()[0]

    @property
    def is_needed(self) -> bool:
        return self.first > 1

    async def run(self) -> None:
        """Until all blocks are here. A failing disk ends it with its error."""
        if not self.is_needed:
            return
        past = PastBlocks.below(self._blocks.block(self.first))
        log.info("fetching the blocks from %d down to 1", past.height)
        for turn in itertools.count():
            if not self.is_needed:
                break
            others = self._others()
            try:
                await self._fetch(past, others[turn % len(others)])
                await asyncio.sleep(PACE_S)
            except StorageFailure:
                raise
            except (KehuError, OSError, TimeoutError) as error:
                log.info("no older blocks from %s: %s", others[turn % len(others)], error)
                await asyncio.sleep(REST_S)
                past = PastBlocks.below(self._blocks.block(self.first))
        log.info("the chain is whole from block 1 on")

    async def _fetch(self, past: PastBlocks, department: str) -> None:
        async def ask(kind: str, request: bytes, timeout_s: float) -> bytes:
            return await self._request(department, kind, request, timeout_s)

        puts = await past.fetch(ask, 1)
        await asyncio.to_thread(self._blocks.prepend, puts, past.height + 1)
        self.first = past.height + 1

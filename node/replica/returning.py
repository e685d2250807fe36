"""How a node without its vote log comes back to an idle network: it makes the blocks that it has to wait for.

It may vote again three heights after what a quorum of others has shown (docs/spec/consensus.md, R7). With traffic
those come by themselves; without, the node puts on the record that its log was lost, once for each block that is
lacking. The others decide these blocks as any other; the node itself says nothing before it may.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from chain.errors import KehuError
from chain.ledger import Ledger
from chain.transaction import Call
from consensus.effects import ObserverChanged
from contracts.departments.vote_losses import REPORT_CALL
from node.storage.durable import StorageFailure

PATIENCE_S: float = 1.0
"""How long the network may stand still before this node moves it; also between two tries."""

log = logging.getLogger("kehu.node")

Commit = Callable[[Sequence[Call]], Awaitable[object]]


async def come_back(observer: Callable[[], ObserverChanged | None], ledger: Ledger, commit: Commit) -> None:
    """Until the node votes. `commit` sends calls as the node and returns once they are committed."""
    while True:
        height = ledger.height
        await asyncio.sleep(PATIENCE_S)
        state = observer()
        if state is not None and not state.is_observer:
            return
        if state is None or not state.votes_from_height or ledger.height != height:
            continue
        try:
            await commit([Call(REPORT_CALL, {"votes_from": state.votes_from_height})])
        except StorageFailure:
            raise
        except KehuError as error:
            log.info("the network does not go on yet: %s", error)

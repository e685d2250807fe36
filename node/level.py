"""Whether this node has seen what the others had decided when it came up.

A node that was away may hold values that were erased meanwhile, and until it has caught up it can't know. So it shows
no value before a quorum, itself included, has told it that there is no block after its own newest. Once is enough:
from then on it follows every block before anybody hears of it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from chain import codec
from chain.errors import KehuError, define
from chain.ledger import Ledger
from node.catch_up import REQUEST_KIND, REQUEST_TIMEOUT_S, Request, decode_response

PAUSE_S: float = 0.2
"""Between two rounds of asking."""

NODE_NOT_LEVEL = define(
    "node.not_level",
    "the node came up and does not know yet whether records were changed or erased while it was away",
    "ask again in a moment; if it lasts, too few departments' nodes are linked (`kehu network status`)",
)

log = logging.getLogger("kehu.node")

_ONE: Final = 1


class Level:
    def __init__(self, department: str, ledger: Ledger, request: Request) -> None:
        self._department, self._ledger, self._request = department, ledger, request
        self._agreeing: set[str] = set()
        self._reached = asyncio.Event()

    @property
    def is_reached(self) -> bool:
        return self._reached.is_set()

    async def reached(self) -> None:
        """Returns once the node is level, however long that takes."""
        await self._reached.wait()

    async def require(self, timeout_s: float) -> None:
        """Returns once the node is level. Errors: node.not_level, after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._reached.wait()
        except TimeoutError:
            raise KehuError(NODE_NOT_LEVEL, height=self._ledger.height) from None

    async def run(self) -> None:
        """Asks until enough departments have no newer block than this node."""
        while not self._is_enough():
            await asyncio.gather(*(self._ask(department) for department in self._others()))
            if not self._is_enough():
                await asyncio.sleep(PAUSE_S)
        log.info("level with the other departments at height %d", self._ledger.height)
        self._reached.set()

    def _is_enough(self) -> bool:
        return len(self._agreeing) + 1 >= self._ledger.validators(self._ledger.height + 1).quorum

    def _others(self) -> list[str]:
        members = self._ledger.validators(self._ledger.height + 1).departments
        return [name for name in members if name != self._department and name not in self._agreeing]

    async def _ask(self, department: str) -> None:
        try:
            question = codec.encode_flat([self._ledger.height + 1, _ONE])
            newer = decode_response(await self._request(department, REQUEST_KIND, question, REQUEST_TIMEOUT_S))
        except (KehuError, OSError, TimeoutError):
            return
        if not newer:
            self._agreeing.add(department)

"""Whether this node has seen what the others had decided when it came up.

A node that was away may hold values that were erased meanwhile, and until it has caught up it can't know. So it shows
no value before it has all that a quorum, itself included, had when it was asked. Once is enough: from then on it
follows every block before anybody hears of it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from chain import codec
from chain.errors import KehuError, define
from chain.ledger import Ledger
from node.replica.catch_up import REQUEST_KIND, REQUEST_TIMEOUT_S, Request, decode_response

PAUSE_S: float = 0.2
"""Between two rounds of asking."""
AHEAD: Final = 8
"""About as many blocks as a network under load makes while a question is answered."""

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
        self._newest: dict[str, int] = {}
        """The least height of which each department has said that it has no later block."""
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
        """Asks until enough departments had no block that this node lacks. Nobody waits for one that is silent."""
        asking: dict[str, asyncio.Task[None]] = {}
        try:
            while not self._is_enough():
                for name in self._others():
                    if name not in asking:
                        asking[name] = asyncio.create_task(self._ask(name))
                await asyncio.wait(asking.values(), timeout=PAUSE_S)
                for name in [name for name, task in asking.items() if task.done()]:
                    asking.pop(name).result()
                if not self._is_enough():
                    await asyncio.sleep(PAUSE_S)
        finally:
            for task in asking.values():
                task.cancel()
            await asyncio.gather(*asking.values(), return_exceptions=True)
        log.info("level with the other departments at height %d", self._ledger.height)
        self._reached.set()

    def _is_enough(self) -> bool:
        members = self._ledger.validators(self._ledger.height + 1)
        return len(members.departments) - len(self._others()) >= members.quorum

    def _others(self) -> list[str]:
        """Who may have a block that this node lacks."""
        height = self._ledger.height
        members = self._ledger.validators(height + 1).departments
        return [name for name in members if name != self._department and self._newest.get(name, height + 1) > height]

    async def _ask(self, department: str) -> None:
        """Whether it has the next block; if so, whether it has one a little later. Under load there is always a next
        one by the time that the answer is here, and what it lacks now this node will soon have passed."""
        height = self._ledger.height
        try:
            for ahead in (1, AHEAD):
                question = codec.encode_flat([height + ahead, _ONE])
                answer = await self._request(department, REQUEST_KIND, question, REQUEST_TIMEOUT_S)
                if not decode_response(answer):
                    self._newest[department] = min(height + ahead - 1, self._newest.get(department, height + AHEAD))
                    return
        except (KehuError, OSError, TimeoutError):
            return

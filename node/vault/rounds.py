"""Staging in rounds: what comes shortly after a write to the disk shares the next one.

A write holds up everything else for as long as the disk, and then a processor, let it wait. With single requests there
was one for each, which at half of what four nodes can do was a quarter of a node's time. So after a write the next one
waits `REST` times as long as that took, and `REST_MAX_S` at most: a node that is idle writes at once, with a fast disk
hardly anything waits, and what comes meanwhile, from whomever, goes to the disk together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from chain.errors import KehuError
from node.aside import Blocking
from node.gathering import Gathering
from node.vault.staged import Staging
from node.vault.store import Vault

REST: Final = 8
REST_MAX_S: Final = 0.01


class StagingRounds:
    """For one event loop. All that is staged by a node goes through one of these."""

    def __init__(self, vault: Vault, blocking: Blocking) -> None:
        self._vault, self._blocking = vault, blocking
        self._waiting: Gathering[Staging, KehuError | None] = Gathering()
        self._work: asyncio.Task[None] | None = None
        self._free_s = 0.0
        """When the next write may begin, by the event loop's clock."""

    async def stage(self, stagings: Sequence[Staging]) -> list[KehuError | None]:
        """As `Vault.stage_all`: on the disk on return, but for those that there is no room for. A caller who is
        cancelled does not take back what is under way."""
        answer = self._waiting.ask(stagings)
        if self._work is None:
            self._work = asyncio.create_task(self._write_all())
        return await answer

    async def close(self) -> None:
        """Nobody stages any more; who still waits is cancelled."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        self._waiting.close()

    async def _write_all(self) -> None:
        """Rounds, until nobody waits."""
        clock = asyncio.get_running_loop().time
        try:
            while self._waiting:
                if (rest_s := self._free_s - clock()) > 0:
                    await asyncio.sleep(rest_s)
                begun_s = clock()
                await self._waiting.answer(self._write)
                self._free_s = clock() + min(REST * (clock() - begun_s), REST_MAX_S)
        finally:
            self._work = None

    async def _write(self, stagings: Sequence[Staging]) -> list[KehuError | None]:
        errors: list[KehuError | None] = await self._blocking(self._vault.stage_all, stagings)
        return errors

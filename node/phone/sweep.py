"""The sweep that a node does by itself: checks whoever is due, at the platforms' pace, again and again.

Nothing is kept between sweeps or over a restart: who is due is written on the chain, and every answer there makes one
customer fewer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from chain.errors import InvariantError, KehuError
from node.carrier.config import PhoneDuties
from node.phone.due import Due, DuePage
from node.storage.durable import StorageFailure

PAGE: Final = 200
NOT_READY_S: Final = 1.0

log = logging.getLogger("kehu.phone")


class Desk(Protocol):
    """What the sweep needs of `node.phone.desk.PhoneDesk`."""

    async def due(self, key: bytes | None, after: int, limit: int) -> DuePage: ...

    async def check_due(self, customer: str) -> Mapping[str, Any]: ...


class Sweeper:
    """`run` until cancelled, or `sweep` once."""

    def __init__(
        self,
        desk: Desk,
        duties: PhoneDuties,
        clock_ms: Callable[[], int],
        is_ready: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`is_ready`: whether the node can put answers on the chain; nobody is asked before."""
        self._desk, self._duties, self._clock_ms, self._sleep = desk, duties, clock_ms, sleep
        self._is_ready = is_ready
        self._is_running = False
        self._started_ms: int | None = None
        self._ended_ms: int | None = None
        self._counts: Counter[str] = Counter()

    async def run(self) -> None:
        """One sweep after the other. A failing disk or a broken invariant ends it with its error, nothing else."""
        while True:
            is_ready = self._is_ready()
            if is_ready:
                await self.sweep()
            await self._sleep(self._duties.interval_s if is_ready else NOT_READY_S)

    async def sweep(self) -> None:
        """Everybody who is due now, once, so many at a time as the configuration says."""
        self._is_running, self._started_ms, self._ended_ms = True, self._clock_ms(), None
        self._counts = Counter()
        after: int | None = 0
        try:
            while after is not None:
                page = await self._desk.due(None, after, PAGE)
                await self._check_all(page)
                after = page.next
        except KehuError as error:
            if isinstance(error, (StorageFailure, InvariantError)):
                raise
            log.warning("a sweep ended early: %s", error.code)
        finally:
            self._is_running, self._ended_ms = False, self._clock_ms()
        if self._counts:
            log.info("swept: %s", ", ".join(f"{name} {count}" for name, count in sorted(self._counts.items())))

    async def _check_all(self, page: DuePage) -> None:
        places = asyncio.Semaphore(self._duties.concurrency)

        async def check(due: Due) -> None:
            async with places:
                await self._check(due)

        await asyncio.gather(*map(check, page.items))

    async def _check(self, due: Due) -> None:
        try:
            result = await self._desk.check_due(due.customer)
        except (StorageFailure, InvariantError):
            raise
        except KehuError as error:
            self._counts["failed"] += 1
            log.info("%s could not be checked: %s", due.customer, error.code)
            return
        if result["was_asked"]:
            self._counts["no_answer" if result["outcome"] == "no_answer" else str(result["status"])] += 1

    def status(self) -> dict[str, Any]:
        """Public facts, JSON values. `counts`: of this sweep or the last, by what became of the customers."""
        return {
            "is_running": self._is_running,
            "interval_s": self._duties.interval_s,
            "started_ms": self._started_ms,
            "ended_ms": self._ended_ms,
            "counts": dict(sorted(self._counts.items())),
        }

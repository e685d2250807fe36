"""Retention periods: looks for records whose period is over and has them erased, under the node's key.

Any node may; that not all six propose the same, the administration's goes first, and each other one, in order of id,
waits an hour longer than the one before it. Whether a record is due the contract decides by the block's time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chain.errors import KehuError
from chain.transaction import Call
from contracts.base import ADMINISTRATION
from contracts.deciding.policy import load_policy
from contracts.erasing.retention import is_due
from node.storage.durable import StorageFailure
from node.vault.duty import Duties
from node.vault.planning import TURN
from node.vault.release import Submit
from node.vault.seal import RecordId

ERASED_AT_ONCE: Final = 20
"""Records in one transaction: if one of them is not due after all, the others wait for the next look."""

log = logging.getLogger("kehu.vault")


@dataclass(frozen=True, slots=True)
class RetentionTiming:
    look_s: float = 300.0
    stagger_ms: int = 3_600_000


class Retention:
    def __init__(self, duties: Duties, departments: Sequence[str], submit_own: Submit, timing: RetentionTiming) -> None:
        """`departments`: all that run a node."""
        self._duties, self._submit_own, self._timing = duties, submit_own, timing
        order = [ADMINISTRATION, *(name for name in sorted(departments) if name != ADMINISTRATION)]
        place = order.index(duties.department) if duties.department in order else len(order)
        self._patience_ms = place * timing.stagger_ms

    async def run(self) -> None:
        """Until cancelled. A failing disk ends it."""
        while True:
            await asyncio.sleep(self._timing.look_s)
            await self.look()

    async def look(self) -> int:
        """Has all that is due erased; how many records that were."""
        erased = 0
        for table in sorted(load_policy(self._duties.view())["retention"]):
            due = await self._due(table)
            for start in range(0, len(due), ERASED_AT_ONCE):
                erased += await self._erase(due[start : start + ERASED_AT_ONCE])
        return erased

    async def _due(self, table: str) -> list[RecordId]:
        due: list[RecordId] = []
        for number, record in enumerate(self._duties.records(table), 1):
            time_ms = self._duties.now_ms() - self._patience_ms
            if is_due(self._duties.view(), record.table, record.record, time_ms):
                due.append(record)
            if number % TURN == 0:
                await asyncio.sleep(0)
        return due

    async def _erase(self, records: Sequence[RecordId]) -> int:
        calls = [Call("erasure.expire", {"table": one.table, "record": one.record}) for one in records]
        try:
            await self._submit_own(calls)
        except StorageFailure:
            raise
        except KehuError as error:
            log.info("%d records whose retention period is over were not erased yet: %s", len(records), error)
            return 0
        return len(records)

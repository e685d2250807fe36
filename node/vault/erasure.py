"""Erasures on this node: what the chain has ordered is destroyed here first, then confirmed under the node's key.

Destroying is part of following a block, and of coming up: nobody is told of a block, and nothing is served, before the
vault has done what the chain says. The receipt goes out as a transaction afterwards, as often as it takes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from chain.errors import KehuError
from chain.transaction import Call
from contracts.erasing.erasure import ERASURES
from node.storage.durable import StorageFailure
from node.vault.duty import Duties
from node.vault.planning import TURN
from node.vault.release import Submit
from node.vault.seal import RecordId
from node.vault.store import Vault

CONFIRMED_AT_ONCE: Final = 50
"""Receipts in one transaction."""

log = logging.getLogger("kehu.vault")


@dataclass(frozen=True, slots=True)
class ErasureTiming:
    retry_first_s: float = 0.5
    retry_max_s: float = 60.0


class Erasures:
    """`submit_own` signs calls with this node's key and returns once they are committed with "ok"."""

    def __init__(self, duties: Duties, vault: Vault, submit_own: Submit, timing: ErasureTiming) -> None:
        self._duties, self._vault, self._submit_own, self._timing = duties, vault, submit_own, timing
        self._new: dict[RecordId, None] = {}
        """Those of which nobody has looked yet whether the chain waits for their receipts: after a start all that were
        ever erased."""
        self._awaited: dict[RecordId, None] = {}
        self._wake = asyncio.Event()

    @property
    def unconfirmed(self) -> int:
        return len(self._new) + len(self._awaited)

    def ordered_by(self, writes: Iterable[bytes]) -> list[RecordId]:
        """The records of the erasures among the state keys that a block wrote."""
        prefix = f"{ERASURES}/".encode()
        return [_record_of(key[len(prefix) :].decode()) for key in writes if key.startswith(prefix)]

    def ordered(self) -> list[RecordId]:
        """Every record that was ever erased, by the committed state."""
        return [_record_of(key) for key in self._duties.keys(ERASURES)]

    def destroy(self, records: Sequence[RecordId]) -> None:
        """Blocks for the disk; what was destroyed before costs nothing."""
        if records:
            self._vault.erase(records)

    def expect(self, records: Iterable[RecordId]) -> None:
        """These are destroyed: the chain is to hear of it."""
        self._new.update(dict.fromkeys(records))
        self._wake.set()

    async def run(self) -> None:
        """Confirms until it is cancelled. A failing disk ends it."""
        pause_s = self._timing.retry_first_s
        while True:
            self._wake.clear()
            await self._sort_out()
            calls = self._calls()
            if not calls:
                await self._wake.wait()
                continue
            try:
                await self._submit_own(calls)
                pause_s = self._timing.retry_first_s
            except StorageFailure:
                raise
            except KehuError as error:
                log.info("%d erasures are not confirmed yet: %s", self.unconfirmed, error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self._timing.retry_max_s)

    async def _sort_out(self) -> None:
        """Looks at each record once, however many wait, and lets others have their turns."""
        while self._new:
            for record in list(islice(self._new, TURN)):
                del self._new[record]
                if self._is_awaited(record):
                    self._awaited[record] = None
            await asyncio.sleep(0)

    def _calls(self) -> list[Call]:
        """The next receipts; those that are on the chain by now are forgotten."""
        erased = self._vault.erased()
        while chosen := list(islice(self._awaited, CONFIRMED_AT_ONCE)):
            confirmed = [record for record in chosen if not self._is_awaited(record)]
            if not confirmed:
                break
            for record in confirmed:
                del self._awaited[record]
        return [_receipt(record, erased) for record in chosen]

    def _is_awaited(self, record: RecordId) -> bool:
        row = self._duties.view().get(ERASURES, f"{record.table}.{record.record}")
        return row is not None and self._duties.department in row["waiting"]


def _receipt(record: RecordId, erased: Mapping[RecordId, int]) -> Call:
    args = {"table": record.table, "record": record.record, "values": erased[record]}
    return Call("erasure.confirm", args)


def _record_of(key: str) -> RecordId:
    return RecordId(*key.split("."))

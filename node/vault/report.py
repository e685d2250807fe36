"""What this department's vault holds and lacks, for those who look after it: counts, names and holders, no values."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from chain import codec
from chain.errors import KehuError
from node.vault.duty import Duties
from node.vault.planning import TURN
from node.vault.refill import Refill
from node.vault.release import HELD, WANTED_BYTES_MAX, encode_wanted
from node.vault.seal import RecordId, Wanted
from node.vault.shares import Peers
from node.vault.store import Vault

ASK_S: Final = 3.0
"""How long the holders of a page of missing values have to say whether they hold them."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """Which department said that it holds what, and which said nothing."""

    held: dict[str, frozenset[Wanted]]
    silent: frozenset[str]


class VaultReport:
    def __init__(self, duties: Duties, vault: Vault, refill: Refill, peers: Peers) -> None:
        self._duties, self._vault, self._refill, self._peers = duties, vault, refill, peers

    async def report(self, after: str | None, limit: int) -> dict[str, Any]:
        """JSON values. `missing` is a page of what the department may hold and does not, in order of its key
        "table.record.field"; who may hold it, who says that it does, and who could not be asked."""
        lacking = await self._lacking()
        page = await asyncio.to_thread(_first_behind, lacking, after, limit + 1)
        shown = [one for _, one in page[:limit]]
        holders = {one: self._duties.holders(one[0]) for one in shown}
        answers = await self._ask(holders)
        return {
            "department": self._duties.department,
            "height": self._duties.height,
            "is_examined": not self._refill.is_walking,
            "tables": await asyncio.to_thread(self._tables, lacking),
            **await asyncio.to_thread(self._vault.status),
            "missing": [self._row(one, holders[one], answers) for one in shown],
            "next": page[limit - 1][0] if len(page) > limit else None,
        }

    async def _lacking(self) -> list[Wanted]:
        """All that is lacking now; there may be hundreds of thousands, and others get their turns."""
        found: list[Wanted] = []
        for number, one in enumerate(self._refill.missing.items(), 1):
            if self._duties.is_current(one):
                found.append(one)
            if number % TURN == 0:
                await asyncio.sleep(0)
        return found

    def _tables(self, lacking: Sequence[Wanted]) -> dict[str, dict[str, int]]:
        live = self._vault.live_by_table()
        missing = Counter(name.table for name, _ in lacking)
        surplus = Counter(name.table for name, _ in self._refill.surplus.items())
        return {
            table: {"live": live.get(table, 0), "missing": missing[table], "surplus": surplus[table]}
            for table in sorted({*live, *missing, *surplus})
        }

    def _row(self, wanted: Wanted, holders: Sequence[str], answers: _Answers) -> dict[str, Any]:
        name, _ = wanted
        own = self._duties.department
        return {
            "table": name.table,
            "record": name.record,
            "field": name.field,
            "version": self._duties.version_of(RecordId(name.table, name.record)),
            "entitled": [department for department in holders if department != own],
            "held_by": [department for department in holders if wanted in answers.held.get(department, ())],
            "silent": [department for department in holders if department in answers.silent],
        }

    async def _ask(self, holders: dict[Wanted, tuple[str, ...]]) -> _Answers:
        """Each entitled department about those of the values that it may hold."""
        own = self._duties.department
        others = sorted({department for names in holders.values() for department in names if department != own})
        asked = {other: [one for one, names in holders.items() if other in names] for other in others}
        said = await asyncio.gather(*(self._held_by(other, asked[other]) for other in others))
        pairs = list(zip(others, said, strict=True))
        held = {other: frozenset(found) for other, found in pairs if found is not None}
        return _Answers(held, frozenset(other for other, found in pairs if found is None))

    async def _held_by(self, department: str, wanted: Sequence[Wanted]) -> list[Wanted] | None:
        """None if the department did not answer, or not as it should."""
        try:
            raw = await self._peers.request(department, HELD, encode_wanted(wanted), ASK_S)
            (flags,) = codec.fields([codec.decode(raw, WANTED_BYTES_MAX)], "held answers", codec.is_list)
            return [one for one, flag in zip(wanted, flags, strict=True) if flag is True]
        except (KehuError, OSError, TimeoutError, ValueError):
            return None


def _first_behind(lacking: Sequence[Wanted], after: str | None, count: int) -> list[tuple[str, Wanted]]:
    """The next ones in order of their keys. Not all are put in order, which would let no other thread run meanwhile."""
    return heapq.nsmallest(count, ((key, one) for one in lacking if (key := _key(one)) > (after or "")))


def _key(wanted: Wanted) -> str:
    name, _ = wanted
    return f"{name.table}.{name.record}.{name.field}"

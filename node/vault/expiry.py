"""Grants end by themselves: when the time passes their expiry, somebody has to look at what they had entitled to."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Any

from chain.state import View
from contracts.deciding.subjects import ACTIVE
from node.vault.affected import Affected, in_scope
from node.vault.seal import RecordId


class Expiries:
    """The expiries that are still to come, soonest first. A grant that is revoked meanwhile costs one idle look."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, str]] = []

    def note(self, grants: Iterable[Mapping[str, Any] | None]) -> None:
        """Rows of the state's table `grants`."""
        for grant in grants:
            if grant is not None and grant["status"] == ACTIVE and grant["expires_ms"] is not None:
                heapq.heappush(self._heap, (grant["expires_ms"], grant["table"], grant["scope"]))

    def follow(self, writes: Iterable[bytes], view: View) -> None:
        """Notes the grants among the state keys that a block wrote; `view` is the state after it."""
        self.note(view.get("grants", key[7:].decode()) for key in writes if key.startswith(b"grants/"))

    @property
    def next_ms(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def passed(self, now_ms: int, view: View, count_max: int) -> Affected:
        """What up to so many of the grants that have expired by now were about, in the state `view`. Each is told
        once."""
        records: dict[RecordId, None] = {}
        tables: dict[str, None] = {}
        for _ in range(count_max):
            if not self._heap or self._heap[0][0] > now_ms:
                break
            _, table, scope = heapq.heappop(self._heap)
            concerned = in_scope(view, table, scope)
            records.update(dict.fromkeys(concerned.records))
            tables.update(dict.fromkeys(concerned.tables))
        return Affected(tuple(records), tuple(tables))

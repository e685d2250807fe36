"""Replay protection: the ids of executed transactions, for as long as they could still be valid.

It follows from the blocks of the last `expiry_heights_max` heights, so it needs no place in the state tree,
and every replica has the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable


class RecentTransactions:
    """A set of transaction ids that forgets each once its expiry height has passed."""

    def __init__(self) -> None:
        self._expiries: dict[bytes, int] = {}
        self._by_expiry: dict[int, list[bytes]] = {}
        self._heights: list[int] = []
        """A heap of those in `_by_expiry`: forgetting costs what there is to forget, however far a height jumps."""

    def __contains__(self, transaction_id: object) -> bool:
        return transaction_id in self._expiries

    def __len__(self) -> int:
        return len(self._expiries)

    def pairs(self) -> list[tuple[bytes, int]]:
        """(id, expires_height) of everything remembered, in order of id: what `add` takes to remember it again."""
        return sorted(self._expiries.items())

    def add(self, height: int, executed: Iterable[tuple[bytes, int]]) -> None:
        """Remembers what block `height` executed, (id, expires_height) each, and forgets what has expired:
        a transaction may stand in a block up to and including its expiry height."""
        for transaction_id, expires_height in executed:
            if expires_height > height:
                self._expiries[transaction_id] = expires_height
                if expires_height not in self._by_expiry:
                    heapq.heappush(self._heights, expires_height)
                    self._by_expiry[expires_height] = []
                self._by_expiry[expires_height].append(transaction_id)
        while self._heights and self._heights[0] <= height:
            for transaction_id in self._by_expiry.pop(heapq.heappop(self._heights)):
                self._expiries.pop(transaction_id, None)

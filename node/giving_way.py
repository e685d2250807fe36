"""Looking through everything, which takes minutes where there is much, gives way to what people wait for.

While blocks come, such work rests for as long as it has just worked. How long that was includes its waiting for a
processor, so that it rests the longer, the more there is to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

BUSY_S: Final = 1.0
"""So long after a block a node counts as busy."""


class GivingWay:
    """`clock_s` is monotone."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._block_s = clock_s() - BUSY_S

    def block_came(self) -> None:
        self._block_s = self._clock_s()

    def rest_s(self, begun_s: float) -> float:
        """How long work that has begun at `begun_s` and has just ended is to rest."""
        now_s = self._clock_s()
        return now_s - begun_s if now_s - self._block_s < BUSY_S else 0.0

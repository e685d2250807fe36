"""Whether work that waits here is passed over: blocks take what came later, again and again.

Every node keeps what was gossiped to it until it is in a block. A primary takes the oldest first, so what came here
`MARGIN_HEIGHTS` blocks later is hardly ever in a block before. If it is, that block *overtook* the older work. Once is
chance or a lost message; a primary that orders only its own clients does it block after block (Prime: Amir et al., DSN
2008). Only the order of arrival counts, never the length of a queue: a backlog that moves overtakes nobody.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final, Generic, TypeVar

MARGIN_HEIGHTS: Final = 2

Item = TypeVar("Item")


class Custody(Generic[Item]):
    """Items are ids of what waits; heights those of the newest block at the time."""

    def __init__(self) -> None:
        self._since: dict[Item, int] = {}
        self._overtaken: dict[Item, int] = {}
        self.height = 0

    def take(self, item: Item) -> None:
        """It has come, and waits from now on."""
        self._since.setdefault(item, self.height)

    def appended(self, height: int, included: Iterable[Item], waiting: Container[Item]) -> None:
        """The block of `height` holds `included`; of what was here, what is not in `waiting` waits no longer."""
        newest = max((self._since.get(item, height - 1) for item in included), default=-1)
        self._since = {item: since for item, since in self._since.items() if item in waiting}
        self._overtaken = {
            item: self._overtaken.get(item, 0) + (since + MARGIN_HEIGHTS <= newest)
            for item, since in self._since.items()
        }
        self.height = height

    @property
    def overtaken(self) -> int:
        """How many blocks overtook what was overtaken by most of them."""
        return max(self._overtaken.values(), default=0)

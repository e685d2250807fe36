"""A mapping of what came last, for what is remembered so that it need not be worked out again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")


class Newest(OrderedDict[Key, Item], Generic[Key, Item]):
    """The `most` items that were kept last; of more the oldest goes.

    Not a plain dict from which the first key is deleted: that leaves a gap at its beginning, over which the search for
    the next first key steps, until the dict is built anew: 7 us each time with 20,000 items (CPython 3.11).
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: Key, item: Item) -> None:
        self[key] = item
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)

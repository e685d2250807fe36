"""Rows of the state, each decoded once though several parts of a node read it.

What a row's bytes decode to depends on nothing else, so the bytes are what it is known by.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from chain.state import View, decode_value, state_key

REMEMBERED_MAX: Final = 1_000
"""About 3 KB each: the rows of a block or two."""

decoded = lru_cache(REMEMBERED_MAX)(decode_value)
"""As `decode_value`; what it gives is shared, and nobody may change it."""


class SharedRows(View):
    """A state to be asked, not written: what `get` returns is shared, and nobody may change it."""

    __slots__ = ()

    def stored(self, key: bytes) -> bytes | None:
        return self._base(key)

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        raw = self.stored(state_key(table, key))
        return None if raw is None else decoded(raw)

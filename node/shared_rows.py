"""The state, to be asked about many rows by those who change none."""

from __future__ import annotations

from typing import Any

from chain.state import View, decode_shared, state_key


class SharedRows(View):
    """A state to be asked, not written: what `get` returns is shared, and nobody may change it."""

    __slots__ = ()

    def stored(self, key: bytes) -> bytes | None:
        return self._base(key)

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        raw = self._base(state_key(table, key))
        return None if raw is None else decode_shared(raw)

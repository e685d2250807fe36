"""Identifiers of numbers that are about to be recorded, on their way past the person who records them.

A gateway's attestation has the identifier's digest, and a call needs no more. The identifier itself is for the vaults:
who records a customer may not read it, and nothing is on the record yet. So it waits here, with a salt that the node
drew, for the transaction that names the digest (`node.intake.admission`). A restart forgets it; then the number is
asked about anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chain.blocks import ExecutedBlock
from chain.state import View, state_key
from contracts.erasing.endings import ERASED
from node.vault.values import VaultValue

KEPT_MAX: Final = 10_000
"""Above this many the oldest goes."""


class KeptIdentifiers:
    """By digest, each for as long as contracts may take its attestation. `view()` gives the committed state."""

    def __init__(self, chain_id: bytes, view: Callable[[], View], now_ms: Callable[[], int]) -> None:
        self._chain_id, self._view, self._now_ms = chain_id, view, now_ms
        self._kept: dict[bytes, tuple[VaultValue, int]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, value: VaultValue, for_ms: int) -> None:
        now_ms = self._now_ms()
        self._kept = {digest: one for digest, one in self._kept.items() if one[1] >= now_ms}
        self._kept[value.digest(self._chain_id)] = (value, now_ms + for_ms)
        if len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]

    def find(self, digest: bytes) -> VaultValue | None:
        """The value behind the digest, if it is one of these."""
        value, until_ms = self._kept.get(digest, (None, 0))
        return value if self._now_ms() <= until_ms else None

    def on_block(self, executed: ExecutedBlock) -> None:
        """What was recorded lies in the vaults, and what was erased may be nowhere."""
        concerned = [
            (digest, value.record)
            for digest, (value, _) in self._kept.items()
            if state_key(value.table, value.record) in executed.writes
        ]
        for digest, customer in concerned:
            row = self._view().get("customers", customer)
            if row is None or ERASED in row or row["fields"].get("identifier", [None])[0] == digest:
                del self._kept[digest]

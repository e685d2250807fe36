"""Each transaction is decoded once per node: it comes with a request or with its values, in a batch and in a block.

What an envelope's bytes decode to depends on nothing else, so the bytes are what it is known by.
"""

from __future__ import annotations

import threading
from typing import Final

from chain.transaction import Transaction
from node.newest import Newest

REMEMBERED_MAX: Final = 5_000
"""About 3 KB each: what is under way between its first sight and its block."""


class KnownTransactions:
    """For any thread."""

    def __init__(self) -> None:
        self._known: Newest[bytes, Transaction] = Newest(REMEMBERED_MAX)
        self._lock = threading.Lock()

    def read(self, envelope: bytes) -> Transaction:
        """As `Transaction.from_bytes`: its form is good, its signature nobody has looked at."""
        known = self._known.get(envelope)
        if known is None:
            known = Transaction.from_bytes(envelope)
            with self._lock:
                self._known.keep(envelope, known)
        return known

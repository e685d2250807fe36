"""Where a scan stands in a database.

LevelDB keeps every table that an iterator began with, also when it has merged it away: what was purged meanwhile stays
on the disk for as long as somebody reads. So an iterator can be taken from its scan, which goes on with another one.
"""

from __future__ import annotations

import threading
from typing import Any


class Cursor:
    """From the key `start` on. Any thread may call."""

    def __init__(self, prefix: bytes, start: bytes) -> None:
        self._prefix, self._place = prefix, start
        self._iterator: Any = None
        self._lock = threading.RLock()  # the collector may end a scan anywhere

    def take(self, database: Any, pairs_max: int) -> list[tuple[bytes, bytes]]:
        """The next pairs that begin with the prefix; none at the end. Until `let_go`, all as of the first call."""
        pairs: list[tuple[bytes, bytes]] = []
        with self._lock:
            if self._iterator is None:
                # plyvel's other iterator ends without an error where the last block is damaged; this one raises.
                self._iterator = database.raw_iterator(verify_checksums=True, fill_cache=False)
                self._iterator.seek(self._place)
            while len(pairs) < pairs_max and self._iterator.valid():
                key, value = self._iterator.item()
                if not key.startswith(self._prefix):
                    break
                pairs.append((key, value))
                self._iterator.next()
            if pairs:
                self._place = pairs[-1][0] + b"\x00"
        return pairs

    def let_go(self) -> None:
        """Keeps no table any more."""
        with self._lock:
            iterator, self._iterator = self._iterator, None
            if iterator is not None:
                iterator.close()

"""What a vault has destroyed and its files still have, sealed: taken off the disk at times (`tidy`), at once when a
record is erased (`purge`).

LevelDB keeps what was deleted or replaced until it writes the tables concerned anew. That takes as long as they are
large, so it is done without the vault's lock: others read and write meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from node.storage.purging import PurgingStore, purge_all, purge_replaced, purge_replaced_under, purge_unread
from node.vault.keys import RecordKeys
from node.vault.rows import STAGED, live_key
from node.vault.seal import RecordId
from node.vault.unsound import unsound_key


class Leftovers:
    """`lock` is the vault's: who notes something holds it, who tidies or purges does not."""

    def __init__(self, data: PurgingStore, keys: RecordKeys, stores: Sequence[PurgingStore], lock: threading.RLock):
        self._data, self._keys, self._stores, self._lock = data, keys, stores, lock
        self._rows: set[bytes] = set()
        self._key_records: set[RecordId] = set()
        self._was_unstaged = self._is_tidy = False

    def note(self, rows: Iterable[bytes], *, was_unstaged: bool) -> None:
        """Values were destroyed: of the live rows with these keys, and maybe staged ones."""
        self._rows.update(rows)
        self._was_unstaged |= was_unstaged

    def note_keys(self, records: Iterable[RecordId]) -> None:
        """The keys of these records were deleted; they may have others by now."""
        self._key_records.update(records)

    def tidy(self) -> None:
        """No file has what was noted before, when this returns; the first time of all, nor what the last run left."""
        if not self._is_tidy:
            purge_all(self._stores)
            self._is_tidy = True
        with self._lock:
            keys, self._key_records = self._key_records, set()
            rows, self._rows = self._rows, set()
            was_unstaged, self._was_unstaged = self._was_unstaged, False
        # What is destroyed from here on is for the next time. What fails here has failed for good, and the first time
        # after the next opening goes through everything.
        self._keys.purge_deleted(keys)
        purge_replaced(self._data, rows)
        if was_unstaged:
            purge_replaced_under(self._data, STAGED)
        purge_unread(self._stores)

    def purge(self, records: Sequence[RecordId]) -> None:
        """No file has a key or a value of these erased records when this returns. Nothing of them can be read any more,
        and nothing new comes; but what was deleted or replaced, now or before, still lies in the files: under s/ what
        was staged before it went live, so that is rewritten whole."""
        self._keys.purge(records)
        self._data.purge([live_key(one) for one in records])
        self._data.purge([unsound_key(one) for one in records])
        purge_replaced_under(self._data, STAGED)
        for store in self._stores:  # a backup may be reading
            store.let_go()

"""Which customers have a number, of those whose numbers this department's vault holds.

In memory are keyed digests (HMAC-SHA256) of the numbers and no numbers; the key is drawn when the node starts and
never leaves it. The book is read from vault and state when it is first asked, and afterwards brought up to date with
what blocks have changed since; numbers that the vault did not have then are looked for again after a while.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, Protocol

from chain.blocks import ExecutedBlock
from chain.errors import KehuError
from chain.ledger import Ledger
from chain.state import View
from node.vault.values import VaultValue

TABLE: Final = "customers"
FIELD: Final = "phone"
BATCH: Final = 256
"""Customers read in one turn; their values are unsealed in another thread."""
LOOK_AGAIN_MS: Final = 30_000


class Values(Protocol):
    """What the book asks of a vault."""

    def get(self, table: str, record: str, field: str, digest: bytes) -> VaultValue | None: ...


class PhoneBook:
    """Used from the event loop's thread. `key`: 32 secret bytes; `now_ms`: any clock."""

    def __init__(self, ledger: Ledger, values: Values, key: bytes, now_ms: Callable[[], int]) -> None:
        self._ledger, self._values = ledger, values
        self._key = key
        self._now_ms = now_ms
        self._customers: dict[bytes, dict[str, None]] = {}
        self._numbers: dict[str, bytes] = {}
        self._changed: dict[str, None] | None = None
        self._after: str | None = ""
        """Behind which customer it is read on; None once all were read."""
        self._lacking: dict[str, None] = {}
        self._looked_ms = 0
        self._turn = asyncio.Lock()

    def on_block(self, executed: ExecutedBlock) -> None:
        """Remembers whose number may have changed; nothing is read yet."""
        prefix = f"{TABLE}/".encode()
        if self._changed is not None:
            self._changed.update(
                (raw[len(prefix) :].decode(), None) for raw in executed.writes if raw.startswith(prefix)
            )

    async def look_up(self, numbers: Sequence[str]) -> list[list[str]]:
        """For each number in E.164 the customers that have it, in order of id."""
        async with self._turn:
            await self._catch_up()
        return [sorted(self._customers.get(self._seal(number), ())) for number in numbers]

    async def _catch_up(self) -> None:
        if self._changed is None:
            self._changed, self._looked_ms = {}, self._now_ms()
        while self._after is not None:  # a page at a time: of all at once the keys alone would take seconds
            page = list(islice(self._ledger.state.keys(TABLE, self._after), BATCH))
            await self._refresh(page)
            self._after = page[-1] if page else None
        if self._lacking and self._now_ms() - self._looked_ms >= LOOK_AGAIN_MS:
            self._changed.update(self._lacking)
            self._looked_ms = self._now_ms()
        while self._changed:
            batch = list(islice(self._changed, BATCH))
            for customer in batch:
                del self._changed[customer]
            await self._refresh(batch)

    async def _refresh(self, customers: Iterable[str]) -> None:
        view = View(self._ledger.state.get)
        digests: dict[str, bytes | None] = {}
        for customer in customers:
            record = view.get(TABLE, customer) or {"fields": {}}
            digests[customer] = record["fields"].get(FIELD, [None])[0]
        sealed = await asyncio.to_thread(self._read, digests)
        for customer, digest in digests.items():
            self._enter(customer, sealed.get(customer))
            if digest is not None and customer not in sealed:
                self._lacking[customer] = None
            else:
                self._lacking.pop(customer, None)

    def _read(self, digests: dict[str, bytes | None]) -> dict[str, bytes]:
        """Sealed numbers of those whose number is held here. Reads the disk."""
        found = {}
        for customer, digest in digests.items():
            value = None if digest is None else self._value(customer, digest)
            if value is not None:
                found[customer] = self._seal(value.value)
        return found

    def _value(self, customer: str, digest: bytes) -> VaultValue | None:
        """A value that does not open is as good as none; the vault reports it to its readers."""
        try:
            return self._values.get(TABLE, customer, FIELD, digest)
        except KehuError:
            return None

    def _enter(self, customer: str, sealed: bytes | None) -> None:
        before = self._numbers.pop(customer, None)
        if before is not None:
            del self._customers[before][customer]
            if not self._customers[before]:
                del self._customers[before]
        if sealed is not None:
            self._numbers[customer] = sealed
            self._customers.setdefault(sealed, {})[customer] = None

    def _seal(self, number: str) -> bytes:
        return hmac.new(self._key, number.encode(), hashlib.sha256).digest()

"""The index: what this node knows of every record, in memory only, and kept in step with vault and chain.

Values come from the vault, which is sealed on disk, and are never written anywhere; facts and ties come from the
committed state. Refreshing a record takes both as they are now, so it may be done at any time and as often as one
likes: at the start for all, then for whatever a block or the vault has touched.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from chain.blocks import ExecutedBlock
from chain.errors import KehuError
from chain.ledger import Ledger
from chain.state import View
from contracts.policy import load_policy
from contracts.records import RECORD_TABLES
from node.search.columns import Column, Ties
from node.search.text import normalise
from node.vault.seal import RecordId
from node.vault.values import VaultValue

NOT_INDEXED: Final = frozenset({"identifier", "note", "address"})
"""Fields that nobody looks for by their beginning."""
FACTS: Final = ("sequence", "status", "reason", "stage", "state", "organisation", "role", "department")
"""Public facts that records are looked for and ordered by, where a table has them."""
BATCH: Final = 64
"""Records refreshed in one go; their values are read in another thread."""

GATHER_S: Final = 0.05
"""One block touches a record up to three times (values live, old ones destroyed, facts): one refresh is enough. Who
searches meanwhile has `catch_up` done at once."""

log = logging.getLogger("kehu.search")


class Values(Protocol):
    """What the index asks of a vault."""

    def get(self, table: str, record: str, field: str, digest: bytes) -> VaultValue | None: ...


class TableIndex:
    """The columns of one table by (kind, name), where kind is "field", "fact" or "id"; and its records' ties."""

    def __init__(self, fields: Iterable[str]) -> None:
        names = [("field", field) for field in fields if field not in NOT_INDEXED]
        self.columns = {name: Column() for name in (*names, *(("fact", fact) for fact in FACTS), ("id", ""))}
        self.assigned = Ties()
        self.granted = Ties()

    def put(self, record: str, row: dict[str, Any] | None, texts: dict[str, str]) -> None:
        """`row` is the record in the state, None if it is not there; `texts` are its values by field."""
        if row is not None and "erased" in row:
            row, texts = None, {}
        facts = row or {}
        for (kind, name), column in self.columns.items():
            if kind == "field":
                column.put(record, normalise(texts[name]) if name in texts else None)
            elif kind == "fact":
                column.put(record, fact_text(facts.get(name)))
            else:
                column.put(record, None if row is None else record)


def fact_text(fact: Any) -> str | None:
    """As it is looked for; numbers with leading zeros, so that their order is that of the texts."""
    if type(fact) is int:
        return f"{fact:016d}"
    return fact if type(fact) is str else None


class RecordIndex:
    """Made on the event loop and used from its thread, but for `touch`, which any thread may call."""

    def __init__(self, ledger: Ledger, values: Values) -> None:
        self._ledger, self._values = ledger, values
        self.tables: dict[str, TableIndex] = {}
        self.is_ready = False
        self._touched: dict[RecordId, None] = {}
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._refreshing = asyncio.Lock()

    def touch(self, records: Iterable[RecordId]) -> None:
        """These records' values may have changed."""
        with self._lock:
            self._touched.update(dict.fromkeys(records))
        self._loop.call_soon_threadsafe(self._wake.set)

    def on_block(self, executed: ExecutedBlock) -> None:
        """Facts and ties may have changed; a policy may have given a table new fields."""
        records: list[RecordId] = []
        for raw in executed.writes:
            table, _, key = raw.decode().partition("/")
            if table in RECORD_TABLES:
                records.append(RecordId(table, key))
            elif table in ("assignments", "record_grants"):
                self._refresh_ties(table, key)
            elif table == "policy":
                self._add_tables()
                records += self._all()
        if records:
            self.touch(records)

    async def run(self) -> None:
        """Until cancelled: everything once, then what was touched."""
        await self.walk()
        while True:
            await self.waken()
            await asyncio.sleep(GATHER_S)
            await self.catch_up()

    async def waken(self) -> None:
        """Returns when something has been touched since the last time anybody waited."""
        await self._wake.wait()
        self._wake.clear()

    async def walk(self) -> None:
        """Everything; the index answers from then on."""
        self._add_tables()
        for table in ("assignments", "record_grants"):
            for number, key in enumerate(self._keys(table)):
                self._refresh_ties(table, key)
                if number % BATCH == 0:
                    await asyncio.sleep(0)
        self.touch(self._all())
        await self.catch_up()
        self.is_ready = True

    async def catch_up(self) -> None:
        """Refreshes what was touched, in batches."""
        while True:
            async with self._refreshing:  # whoever finds nothing left to do has waited for what was in hand
                with self._lock:
                    batch = list(islice(self._touched, BATCH))
                    for record in batch:
                        del self._touched[record]
                if not batch:
                    return
                await self._refresh(batch)

    async def _refresh(self, records: Sequence[RecordId]) -> None:
        view = View(self._ledger.state.get)
        rows = {record: view.get(record.table, record.record) for record in records}
        texts = await asyncio.to_thread(self._read, rows)
        for record in records:
            table = self.tables.get(record.table)
            if table is not None:
                table.put(record.record, view.get(record.table, record.record), texts[record])

    def _read(self, rows: dict[RecordId, dict[str, Any] | None]) -> dict[RecordId, dict[str, str]]:
        """The values that are here. A value that does not open is as good as none; the vault reports it to readers."""
        found: dict[RecordId, dict[str, str]] = {}
        for record, row in rows.items():
            texts = found.setdefault(record, {})
            for field, (digest, _) in ({} if row is None else row.get("fields", {})).items():
                if field in NOT_INDEXED:
                    continue
                try:
                    value = self._values.get(record.table, record.record, field, digest)
                except KehuError as error:
                    log.warning("a value is not indexed: %s", error.code)
                    continue
                if value is not None:
                    texts[field] = value.value
        return found

    def _add_tables(self) -> None:
        for name, fields in load_policy(View(self._ledger.state.get))["tables"].items():
            if name in RECORD_TABLES and (
                name not in self.tables or any(("field", field) not in self.tables[name].columns for field in fields)
            ):
                self._add_table(name, fields)

    def _add_table(self, name: str, fields: Sequence[str]) -> None:
        known = self.tables.setdefault(name, TableIndex(fields))
        for key, column in TableIndex(fields).columns.items():
            known.columns.setdefault(key, column)

    def _refresh_ties(self, table: str, key: str) -> None:
        of_table, _, record = key.partition(".")
        index = self.tables.get(of_table)
        if index is None:
            return
        row = View(self._ledger.state.get).get(table, key) or {"subjects": ()}
        (index.assigned if table == "assignments" else index.granted).put(record, sorted(row["subjects"]))

    def _all(self) -> list[RecordId]:
        return [RecordId(table, key) for table in self.tables for key in self._keys(table)]

    def _keys(self, table: str) -> list[str]:
        prefix = f"{table}/".encode()
        return [raw[len(prefix) :].decode() for raw in self._ledger.state.values if raw.startswith(prefix)]

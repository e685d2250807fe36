"""The index: what this node knows of every record, in memory only, and kept in step with vault and chain.

Values come from the vault, which is sealed on disk, and are never written anywhere; facts and ties come from the
committed state. Refreshing a record takes both as they are now, so it may be done at any time and as often as one
likes: at the start for all, then for whatever a block or the vault has touched.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from itertools import islice
from typing import Any, Final, Protocol

from chain.blocks import ExecutedBlock
from chain.errors import KehuError
from chain.ledger import Ledger
from chain.state import View
from contracts.policy import load_policy
from contracts.records import RECORD_TABLES
from contracts.scopes import RECORD, split_scope
from node.search.columns import Column, Ties
from node.search.text import normalise
from node.shared_rows import SharedRows
from node.vault.seal import RecordId
from node.vault.values import VaultValue

NOT_INDEXED: Final = frozenset({"identifier", "note", "address"})
"""Fields that nobody looks for by their beginning."""
FACTS: Final = ("sequence", "status", "reason", "stage", "state", "organisation", "role", "department")
"""Public facts that records are looked for and ordered by, where a table has them."""
_CONCERNED: Final = frozenset(table.encode() for table in (*RECORD_TABLES, "assignments", "scope_grants", "policy"))
BATCH: Final = 64
"""Records refreshed in one go; their values are read in another thread."""

GATHER_S: Final = 5.0
"""A block touches a record several times, and who works on a customer changes it several times: one refresh is enough.
Who searches meanwhile has `catch_up` done at once."""

log = logging.getLogger("kehu.search")


class Values(Protocol):
    """What the index asks of a vault."""

    def get(self, table: str, record: str, field: str, digest: bytes) -> VaultValue | None: ...


class TableIndex:
    """The columns of one table by (kind, name), where kind is "field", "fact" or "id"; and its records' ties."""

    def __init__(self, fields: Iterable[str]) -> None:
        self.columns: dict[tuple[str, str], Column] = {}
        self.assigned = Ties()
        self.granted = Ties()
        self.versions: dict[str, int] = {}
        """Up to which version of each record its values are in the columns."""
        self._ids = self._column("id", "")
        self._facts = [(fact, self._column("fact", fact)) for fact in FACTS]
        self._fields: list[tuple[str, Column]] = []
        self.add(fields)

    def add(self, fields: Iterable[str]) -> None:
        """Columns for fields that have none yet."""
        new = [field for field in fields if field not in NOT_INDEXED and ("field", field) not in self.columns]
        self._fields += [(field, self._column("field", field)) for field in new]

    def _column(self, kind: str, name: str) -> Column:
        return self.columns.setdefault((kind, name), Column())

    def put(self, record: str, row: Mapping[str, Any] | None, texts: Mapping[str, str | None]) -> None:
        """`row` is the record in the state, None if it is not there; `texts` are its values by field, None where there
        is none. Fields that it does not name stay as they are, if the row has them."""
        if row is None or "erased" in row:
            self.versions.pop(record, None)
            for column in self.columns.values():
                column.put(record, None)
            return
        self.versions[record] = row["version"]
        if record not in self._ids.of:
            self._ids.put(record, record)
        for name, column in self._facts:
            fact = row.get(name)
            if fact is not None or record in column.of:
                column.put(record, fact_text(fact))
        fields = row.get("fields", ())
        for name, column in self._fields:
            if name in texts:
                text = texts[name]
                column.put(record, None if text is None else normalise(text))
            elif name not in fields and record in column.of:
                column.put(record, None)


def fact_text(fact: Any) -> str | None:
    """As it is looked for; numbers with leading zeros, so that their order is that of the texts."""
    if type(fact) is int:
        return f"{fact:016d}"
    return fact if type(fact) is str else None


@dataclass(slots=True)
class _Touch:
    """Why a record is looked at again. `came`: values that went live, newest last; `is_told`: nothing else came or
    went."""

    came: list[VaultValue] = attribute(default_factory=list)
    is_told: bool = True

    def add(self, values: Sequence[VaultValue] | None) -> None:
        if values is None:
            self.is_told = False
        else:
            self.came += values


class RecordIndex:
    """Made on the event loop and used from its thread, but for `touch`, which any thread may call."""

    def __init__(self, ledger: Ledger, values: Values) -> None:
        self._ledger, self._values = ledger, values
        self.tables: dict[str, TableIndex] = {}
        self.is_ready = False
        self._touched: dict[RecordId, _Touch] = {}
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._refreshing = asyncio.Lock()

    def touch(self, records: Iterable[RecordId], came: Mapping[RecordId, Sequence[VaultValue]] | None = None) -> None:
        """Values of these records came or went. Where `came` has all that changed of a record with its newest versions,
        they are taken from there; the vault is asked for everything else."""
        with self._lock:
            for record in records:
                touch = self._touched.get(record)
                if touch is None:
                    touch = self._touched[record] = _Touch()
                touch.add(None if came is None else came.get(record))
        self._loop.call_soon_threadsafe(self._wake.set)

    def on_block(self, executed: ExecutedBlock) -> None:
        """Facts and ties may have changed; a policy may have given a table new fields."""
        records: list[RecordId] = []
        for raw in executed.writes:
            if raw[: raw.find(b"/")] not in _CONCERNED:
                continue
            table, _, key = raw.decode().partition("/")
            if table in RECORD_TABLES:
                records.append(RecordId(table, key))
            elif table in ("assignments", "scope_grants"):
                self._refresh_ties(table, key)
            elif table == "policy":
                self._add_tables()
                records += self._all()
        if records:
            self.touch(records, dict.fromkeys(records, ()))

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
        for table in ("assignments", "scope_grants"):
            async for keys in self._pages(table):
                for key in keys:
                    self._refresh_ties(table, key)
        for table in list(self.tables):
            async for keys in self._pages(table):
                self.touch(RecordId(table, key) for key in keys)
                await self.catch_up()
        self.is_ready = True

    async def _pages(self, table: str) -> AsyncIterator[list[str]]:
        """The keys of a table, so many at a time that others get their turns and not all are in memory at once."""
        after = ""
        while page := list(islice(self._ledger.state.keys(table, after), BATCH)):
            after = page[-1]
            yield page
            await asyncio.sleep(0)

    async def catch_up(self) -> None:
        """Refreshes what was touched, in batches."""
        while True:
            async with self._refreshing:  # whoever finds nothing left to do has waited for what was in hand
                with self._lock:
                    batch = {record: self._touched.pop(record) for record in list(islice(self._touched, BATCH))}
                if not batch:
                    return
                await self._refresh(batch)
            await asyncio.sleep(0)

    async def _refresh(self, touched: Mapping[RecordId, _Touch]) -> None:
        view = SharedRows(self._ledger.state.get)
        rows = {record: view.get(*record) for record in touched if record.table in self.tables}
        texts: dict[RecordId, dict[str, str | None]] = {}
        asked: list[tuple[RecordId, str, bytes]] = []
        for record, row in rows.items():
            texts[record], lacking = self._at_hand(record, row, touched[record])
            asked += [(record, field, digest) for field, digest in lacking]
        if asked:
            for (record, field, _), text in zip(asked, await asyncio.to_thread(self._read, asked), strict=True):
                texts[record][field] = text
        for record, row in rows.items():
            self.tables[record.table].put(record.record, row, texts[record])

    def _at_hand(
        self, record: RecordId, row: Mapping[str, Any] | None, touch: _Touch
    ) -> tuple[dict[str, str | None], list[tuple[str, bytes]]]:
        """The texts by field that came with what touched the record, and the fields and digests to ask the vault for.
        A field that has not changed since the columns were put in step is in neither."""
        chain_id = self._ledger.genesis.chain_id
        came = {value.field: value for value in touch.came}
        up_to = self.tables[record.table].versions.get(record.record, 0) if touch.is_told else 0
        texts: dict[str, str | None] = {}
        lacking: list[tuple[str, bytes]] = []
        for field, (digest, version) in ({} if row is None else row.get("fields", {})).items():
            if (version <= up_to and field not in came) or field in NOT_INDEXED:
                continue
            value = came.get(field)
            if value is None and touch.is_told:
                texts[field] = None  # a newer one that the vault does not have
            elif value is not None and value.digest(chain_id) == digest:
                texts[field] = value.value
            else:
                lacking.append((field, digest))
        return texts, lacking

    def _read(self, asked: Sequence[tuple[RecordId, str, bytes]]) -> list[str | None]:
        """The values that are here. A value that does not open is as good as none; the vault reports it to readers."""
        found: list[str | None] = []
        for record, field, digest in asked:
            try:
                value = self._values.get(record.table, record.record, field, digest)
            except KehuError as error:
                log.warning("a value is not indexed: %s", error.code)
                value = None
            found.append(None if value is None else value.value)
        return found

    def _add_tables(self) -> None:
        for name, fields in load_policy(View(self._ledger.state.get))["tables"].items():
            if name in RECORD_TABLES:
                self.tables.setdefault(name, TableIndex(())).add(fields)

    def _refresh_ties(self, table: str, key: str) -> None:
        of_table, _, record = key.partition(".")
        index = self.tables.get(of_table)
        if table == "scope_grants":
            kind, record = split_scope(record)
            index = index if kind == RECORD else None
        if index is None:
            return
        row = View(self._ledger.state.get).get(table, key) or {"subjects": ()}
        (index.assigned if table == "assignments" else index.granted).put(record, sorted(row["subjects"]))

    def _all(self) -> list[RecordId]:
        return [RecordId(table, key) for table in self.tables for key in self._ledger.state.keys(table)]

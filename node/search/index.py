"""The index: what this node knows of every record, in memory only, and kept in step with vault and chain.

Values come from the vault, which is sealed on disk, and are never written anywhere; facts and ties come from the
committed state. Refreshing a record takes both as they are now, so it may be done at any time and as often as one
likes: at the start for all, then for whatever a block or the vault has touched.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

from chain.blocks import ExecutedBlock
from chain.errors import KehuError
from chain.ledger import Ledger
from chain.state import View
from contracts.deciding.policy import load_policy
from contracts.deciding.scopes import RECORD, split_scope
from contracts.records import RECORD_TABLES
from node.giving_way import GivingWay
from node.search.columns import Column, Names, Ties
from node.search.text import normalise
from node.shared_rows import SharedRows
from node.vault.seal import RecordId
from node.vault.values import VaultValue

NOT_INDEXED: Final = frozenset({"identifier", "note", "address"})
"""Fields that nobody looks for by their beginning."""
FACTS: Final = ("sequence", "status", "reason", "stage", "state", "organisation", "role", "department", "due_ms")
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
        self._names = Names()
        self.assigned = Ties(self._names)
        self.granted = Ties(self._names)
        self._versions = array("Q")
        self._unread: dict[str, bytearray] = {}
        """By field that came later than records: of which numbers its values are still to be read."""
        self._ids = self._column("id", "")
        self._facts = [(fact, self._column("fact", fact)) for fact in FACTS]
        self._fields: list[tuple[str, Column]] = []
        self.add(fields)

    def add(self, fields: Iterable[str]) -> None:
        """Columns for fields that have none yet."""
        new = [field for field in fields if field not in NOT_INDEXED and ("field", field) not in self.columns]
        self._fields += [(field, self._column("field", field)) for field in new]
        self._unread |= {field: bytearray(b"\1") * len(self._names.ids) for field in new}

    def is_unread(self, record: str, field: str) -> bool:
        """Whether the field has a column since later than the record's values were read."""
        unread = self._unread.get(field)
        number = self._names.find(record) if unread else None
        return bool(unread and number is not None and number < len(unread) and unread[number])

    def _column(self, kind: str, name: str) -> Column:
        return self.columns.setdefault((kind, name), Column(self._names))

    def version_of(self, record: str) -> int:
        """Up to which version of the record its values are in the columns; 0 where nothing of it is."""
        number = self._names.find(record)
        return 0 if number is None or number >= len(self._versions) else self._versions[number]

    def _set_version(self, number: int, version: int) -> None:
        if number >= len(self._versions):
            self._versions.extend([0] * (number + 1 - len(self._versions)))
        self._versions[number] = version

    def put(self, record: str, row: Mapping[str, Any] | None, texts: Mapping[str, str | None]) -> None:
        """`row` is the record in the state, None if it is not there; `texts` are its values by field, None where there
        is none. Fields that it does not name stay as they are, if the row has them."""
        number = self._names.number(record)
        if row is None or "erased" in row:
            self._set_version(number, 0)
            for column in self.columns.values():
                column.put_at(number, None)
            return
        self._set_version(number, row["version"])
        if not self._ids.has(number):
            self._ids.put_at(number, record)
        for name, column in self._facts:
            fact = row.get(name)
            if fact is not None or column.has(number):
                column.put_at(number, fact_text(fact))
        fields = row.get("fields", ())
        for name, column in self._fields:
            if name in texts:
                text = texts[name]
                column.put_at(number, None if text is None else normalise(text))
                if self.is_unread(record, name):
                    self._unread[name][number] = 0
            elif name not in fields and column.has(number):
                column.put_at(number, None)


def fact_text(fact: Any) -> str | None:
    """As it is looked for; numbers with leading zeros, so that their order is that of the texts, up to the greatest
    that a contract takes (2^62)."""
    if type(fact) is int:
        return f"{fact:019d}"
    return fact if type(fact) is str else None


class _Touched(NamedTuple):
    """A record that is looked at again. `came`: values that went live, newest last; `is_told`: nothing else came or
    went."""

    record: RecordId
    came: Sequence[VaultValue]
    is_told: bool


class RecordIndex:
    """Made on the event loop and used from its thread, but for `touch`, which any thread may call."""

    def __init__(
        self, ledger: Ledger, values: Values, pause: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._ledger, self._values, self._pause = ledger, values, pause
        self.tables: dict[str, TableIndex] = {}
        self.is_ready = False
        self._touched: dict[RecordId, None] = {}
        self._came: dict[RecordId, list[VaultValue]] = {}
        self._untold: set[RecordId] = set()
        self._left: dict[str, str] = {}
        """Tables whose records are all looked at again, and behind which key."""
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self._giving_way = GivingWay(self._loop.time)

    def touch(self, records: Iterable[RecordId], came: Mapping[RecordId, Sequence[VaultValue]] | None = None) -> None:
        """Values of these records came or went. Where `came` has all that changed of a record with its newest versions,
        they are taken from there; the vault is asked for everything else."""
        told, touched = came or {}, dict.fromkeys(records)
        with self._lock:
            self._touched.update(touched)
            self._untold.update([record for record in touched if record not in told])
            for record, values in told.items():
                self._came.setdefault(record, []).extend(values)
        self._loop.call_soon_threadsafe(self._wake.set)

    def _touch_facts(self, records: Iterable[RecordId]) -> None:
        with self._lock:
            self._touched.update(dict.fromkeys(records))
        self._wake.set()

    def _take(self) -> list[_Touched]:
        """The next ones to be refreshed."""
        left = [] if self._touched else self._next_left()
        with self._lock:
            self._touched.update(dict.fromkeys(left))
            records = list(islice(self._touched, BATCH))
            for record in records:
                del self._touched[record]
            taken = [_Touched(one, self._came.pop(one, ()), one not in self._untold) for one in records]
            self._untold.difference_update(records)
        return taken

    def _next_left(self) -> list[RecordId]:
        """The next records of tables that are looked at again; of all at once the keys alone would take seconds."""
        while self._left:
            table, after = next(iter(self._left.items()))
            page = list(islice(self._ledger.state.keys(table, after), BATCH))
            if page:
                self._left[table] = page[-1]
                return [RecordId(table, key) for key in page]
            del self._left[table]
        return []

    def on_block(self, executed: ExecutedBlock) -> None:
        """Facts and ties may have changed; a policy may have given a table new fields."""
        self._giving_way.block_came()
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
                self._left = dict.fromkeys(self.tables, "")
        if records or self._left:
            self._touch_facts(records)

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
        after, begun_s = "", self._loop.time()
        while page := list(islice(self._ledger.state.keys(table, after), BATCH)):
            after = page[-1]
            yield page
            await self._pause(self._giving_way.rest_s(begun_s))
            begun_s = self._loop.time()

    async def catch_up(self) -> None:
        """Refreshes what was touched, in batches."""
        while True:
            async with self._refreshing:  # whoever finds nothing left to do has waited for what was in hand
                touched = self._take()
                if not touched:
                    return
                await self._refresh(touched)
            await asyncio.sleep(0)

    async def _refresh(self, touched: Sequence[_Touched]) -> None:
        view = SharedRows(self._ledger.state.get)
        found: list[tuple[RecordId, dict[str, Any] | None, dict[str, str | None]]] = []
        asked: list[tuple[RecordId, str, bytes]] = []
        texts_of: list[dict[str, str | None]] = []
        for one in touched:
            if one.record.table in self.tables:
                row = view.get(*one.record)
                texts, lacking = self._at_hand(one, row)
                found.append((one.record, row, texts))
                asked += lacking
                texts_of += [texts] * len(lacking)
        if asked:
            for (_, field, _), texts, text in zip(
                asked, texts_of, await asyncio.to_thread(self._read, asked), strict=True
            ):
                texts[field] = text
        for record, row, texts in found:
            self.tables[record.table].put(record.record, row, texts)

    def _at_hand(
        self, touched: _Touched, row: Mapping[str, Any] | None
    ) -> tuple[dict[str, str | None], list[tuple[RecordId, str, bytes]]]:
        """The texts by field that came with what touched the record, and what to ask the vault for. A field that has
        not changed since the columns were put in step is in neither."""
        record, values, is_told = touched
        came = {value.field: value for value in values}
        table = self.tables[record.table]
        up_to = table.version_of(record.record) if is_told else 0
        texts: dict[str, str | None] = {}
        lacking: list[tuple[RecordId, str, bytes]] = []
        for field, (digest, version) in ({} if row is None else row.get("fields", {})).items():
            is_unread = table.is_unread(record.record, field)
            if (version <= up_to and field not in came and not is_unread) or field in NOT_INDEXED:
                continue
            value = came.get(field)
            if value is None and is_told and not is_unread:
                texts[field] = None  # a newer one that the vault does not have
            elif value is not None and value.digest(self._ledger.genesis.chain_id) == digest:
                texts[field] = value.value
            else:
                lacking.append((record, field, digest))
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

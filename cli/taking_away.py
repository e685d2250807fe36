"""A table's records into a CSV file, page by page: every page is an access on the ledger before it is written.

While it goes on, rows stand in FILE.partial, and FILE.resume says how far it got: after which number to go on and how
many bytes of the rows count. Both lie beside the file and are for this machine's user only. When all is written the
rows get the file's name.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from chain.errors import KehuError, define
from chain.transaction import Call
from cli.amounts import AMOUNTS, amount_plain
from cli.cells import csv_line, guarded
from cli.client import NodeClient
from cli.layout import time_text
from cli.output import Advance
from cli.records import RecordShown, disclose
from node.storage.beside import give_name
from node.storage.durable import storage_failures, sync_folder, write_file, write_fully

FORMAT: Final = 1
PAGE: Final = 100
HEADERS: Final = {
    "id": "编号",
    "status": "状态",
    "name": "姓名",
    "phone": "电话",
    "organisation": "单位",
    "department": "部门",
    "position": "职位",
    "email": "邮箱",
    "address": "地址",
    "note": "备注",
    "identifier": "唯一性标识",
    "goal": "目标",
    "stage": "阶段",
    "state": "办理状态",
    "text": "内容",
    "answer": "答复",
    "resolution": "处理结果",
    "customer": "客户",
    "project": "项目",
    "currency": "币种",
    "amount": "金额",
    "paid": "已付金额",
    "due_ms": "应付时间",
    "paid_ms": "付款时间",
    "overdue": "逾期",
    "correction": "更正请求",
    "own": "本人提交",
}
"""Chinese column names; those of a customer's fields are names by which `kehu customer import` knows them."""
OTHERWISE: Final = {
    "customers": {"status": "号码状态"},
    "organisations": {"name": "名称"},
    "projects": {"name": "名称"},
}
"""What a table calls a column otherwise."""
MARK: Final = "\ufeff"

EXPORT_OTHER = define(
    "usage.export_other",
    "an export into this file was begun by somebody else, with other options or in another network, or its rows are "
    "gone",
    "go on with the same options, or remove FILE.partial and FILE.resume and begin anew",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the file is to look like: the id, `facts`, `fields`. `is_marked`: with a byte order mark, as Excel wants it
    for UTF-8."""

    table: str
    facts: tuple[str, ...]
    fields: tuple[str, ...]
    purpose: str
    is_chinese: bool
    is_marked: bool

    def header(self) -> str:
        names = ("id", *self.facts, *self.fields)
        known = HEADERS | OTHERWISE.get(self.table, {})
        shown = [known.get(name, name) for name in names] if self.is_chinese else names
        return (MARK if self.is_marked else "") + line(shown)


def line(cells: Sequence[object]) -> str:
    """A line of CSV that no spreadsheet runs."""
    return csv_line(["" if cell is None else guarded(str(cell)) for cell in cells])


@dataclass(slots=True)
class Progress:
    """How far an export got. `after`: the sequence number to go on after; `bytes`: of the rows that count; `refused`
    and `missing`: cells left empty because they are not this person's to take, or because the vault lacks them;
    `is_whole`: all rows are there, and the file lacks its name only."""

    chain: str
    layout: dict[str, Any]
    after: int = 0
    bytes: int = 0
    rows: int = 0
    refused: int = 0
    missing: int = 0
    pages: int = 0
    is_resumed: bool = False
    is_whole: bool = False

    @classmethod
    def load(cls, path: Path, chain: str, layout: dict[str, Any]) -> Self:
        """Where an earlier run stopped, or the beginning. Errors: usage.export_other."""
        if not path.exists():
            return cls(chain, layout)
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8"))["progress"])
        except (OSError, ValueError, KeyError, TypeError):
            raise KehuError(EXPORT_OTHER, file=str(path)) from None
        if (found.chain, found.layout) != (chain, layout):
            raise KehuError(EXPORT_OTHER, file=str(path))
        found.is_resumed = True
        return found


class Exporter:
    """One export into `file`, which must not exist."""

    def __init__(self, client: NodeClient, file: Path, layout: Layout, advance: Advance) -> None:
        self._client = client
        self._layout = layout
        self._advance = advance
        self._file = file
        self._rows = file.with_name(file.name + ".partial")
        self._resume = file.with_name(file.name + ".resume")
        as_json = json.loads(json.dumps(asdict(layout)))
        self.progress = Progress.load(self._resume, client.genesis.chain_id.hex(), as_json)

    async def run(self) -> Progress:
        """Writes what is left; raises when the node is gone, and then it goes on from there another time."""
        descriptor = self._open_rows()
        try:
            _require_ours(os.fstat(descriptor), self.progress.bytes, self._rows)
            os.ftruncate(descriptor, self.progress.bytes)  # a page whose end was not noted is read again
            os.lseek(descriptor, 0, os.SEEK_END)
            if self.progress.bytes == 0:
                self._write(descriptor, self._layout.header())
            self._advance(self.progress.after)
            while not self.progress.is_whole:
                await self._write_page(descriptor)
        finally:
            os.close(descriptor)
        if self.progress.rows:
            self._finish()
        else:
            self._forget(self._rows)
        return self.progress

    def _open_rows(self) -> int:
        if self._rows.is_symlink():
            raise KehuError(EXPORT_OTHER, file=str(self._rows))
        with storage_failures(self._rows, "write export"):
            return os.open(self._rows, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    async def _write_page(self, descriptor: int) -> None:
        progress = self.progress
        args: dict[str, Any] = {"table": self._layout.table, "after": progress.after, "limit": PAGE}
        args["fields"] = list(self._layout.fields)
        call = Call("access.list", {**args, "purpose": self._layout.purpose, "intent": "export"})
        committed = await self._client.execute([call])
        result = committed.result()
        records = await disclose(self._client, committed, result["records"])
        progress.pages += 1
        progress.rows += len(records)
        content = "".join(self._row(record) for record in records)
        if result["next"] is not None:
            self._advance(result["next"] - progress.after)
            progress.after = result["next"]
        progress.is_whole = result["next"] is None
        self._write(descriptor, content)

    def _row(self, record: RecordShown) -> str:
        cells: list[object] = [record.record, *(_fact(name, record.facts.get(name)) for name in self._layout.facts)]
        for name in self._layout.fields:
            found = record.fields.get(name)
            if found is not None and found.state == "refused" and found.code != "record.field_absent":
                self.progress.refused += 1
            elif found is not None and found.state == "missing":
                self.progress.missing += 1
            cells.append(_value(record, name) if found is not None and found.state == "shown" else None)
        return line(cells)

    def _write(self, descriptor: int, content: str) -> None:
        """Rows first, then the note that they count: a crash in between costs a page that is read again."""
        with storage_failures(self._rows, "write export"):
            raw = content.encode()
            write_fully(descriptor, raw)
            os.fsync(descriptor)
            self.progress.bytes += len(raw)
            value = {"export": FORMAT, "progress": asdict(self.progress)}
            write_file(self._resume, json.dumps(value, ensure_ascii=False).encode() + b"\n", replace=True)

    def _finish(self) -> None:
        with storage_failures(self._file, "finish export"):
            give_name(self._rows, self._file)  # never over a file that came up meanwhile
            self._forget(self._rows)

    def _forget(self, rows: Path) -> None:
        with storage_failures(rows, "finish export"):
            rows.unlink(missing_ok=True)
            self._resume.unlink(missing_ok=True)
            sync_folder(rows.parent)


def _require_ours(rows: os.stat_result, size: int, path: Path) -> None:
    """In a folder for everybody, whoever laid the file there would have the values. Errors: usage.export_other."""
    is_alone = stat.S_ISREG(rows.st_mode) and rows.st_uid == os.geteuid() and not rows.st_mode & 0o077
    if not is_alone or rows.st_size < size:
        raise KehuError(EXPORT_OTHER, file=str(path))


def _fact(name: str, value: Any) -> object:
    """Times as people write them, yes and no as such."""
    if name.endswith("_ms") and isinstance(value, int):
        return time_text(value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _value(record: RecordShown, name: str) -> str:
    """A field; an amount with the point before its minor units, and without the currency, which is a column."""
    value, currency = str(record.fields[name].value), record.facts.get("currency")
    return amount_plain(value, currency) if name in AMOUNTS and isinstance(currency, str) else value

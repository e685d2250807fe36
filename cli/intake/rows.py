"""A CSV file as people have it: which bytes, which columns, which rows can be taken.

UTF-8 (with or without a mark), UTF-16 with a mark and GB18030 (what Excel writes in Chinese Windows) are told
apart. A faulty row is reported by row number, column and code,
never by what stands in it.
"""

from __future__ import annotations

import codecs
import csv
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chain.errors import KehuError, define, shown_details
from cli.cells import MARK, read_cell
from cli.intake.columns import COLUMNS, REQUIRED, Mapping, match_columns
from cli.intake.row_source import RowSource
from node.carrier.numbers import parse_number
from node.vault.values import VALUE_BYTES_MAX

FILE_BYTES_MAX: Final = 256 << 20
IMPORT_UNREADABLE = define(
    "import.unreadable", "the file can't be read, or is larger than 256 MiB", "check the path, or split the file"
)
IMPORT_ENCODING = define(
    "import.encoding",
    "the file is neither UTF-8 nor GB18030, nor UTF-16 with a byte order mark",
    "save it as CSV UTF-8; damaged UTF-8 is not guessed at: get the file again",
)
ROW_EMPTY = define("import.value_missing", "a row lacks a value that is needed", "fill the column in this row")
ROW_WIDTH = define(
    "import.row_width",
    "a row has more cells than there are columns",
    "put values that contain the separator in double quotes",
)
ROW_TOO_LONG = define("import.value_too_long", "a value is longer than 16 KiB", "shorten it")
ROW_CHARACTER = define(
    "import.character", "a value has a control character in it", "remove it; line breaks and tabs are not taken either"
)
ROW_DUPLICATE = define("import.duplicate_row", "the same row stood in the file before", "leave one of the two out")
ROW_SYNTAX = define(
    "import.csv_syntax",
    "the file breaks CSV's rules from this row on",
    "check the quotes: quote_line is the line of the file, from 1, in which the last one was opened",
)


_FIRST_OF_THREE_BYTES: Final = "\u0800"
_BROKEN: Final = "\ufffd"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row was left out. `row` counts as a spreadsheet does, the header being 1. `details`: nothing personal."""

    row: int
    column: str | None
    code: str
    details: tuple[tuple[str, object], ...] = ()

    @classmethod
    def of(cls, row: int, column: str | None, error: KehuError) -> Fault:
        return cls(row, column, error.code, tuple(shown_details(error).items()))

    def to_json(self) -> dict[str, object]:
        return {"row": self.row, "column": self.column, "code": self.code, "details": dict(self.details)}


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """A row that can be taken: its number, and the customer's fields with the phone in E.164."""

    number: int
    fields: dict[str, str]

    def __repr__(self) -> str:
        return f"Row({self.number})"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file as read: rows to take, rows at fault, how many there were; `ignored`: columns nobody asked for."""

    rows: list[Row]
    faults: list[Fault]
    total: int
    encoding: str
    columns: dict[str, str]
    ignored: list[str]


def read_sheet(path: Path, region: str | None, mapping: Mapping | None = None) -> Sheet:
    """Reads and checks a whole file; `mapping` names columns that mean something else than their names say.

    Errors: import.unreadable, import.encoding, import.header, phone.region."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise KehuError(IMPORT_UNREADABLE, file=str(path), problem=type(error).__name__) from None
    if len(raw) > FILE_BYTES_MAX:
        raise KehuError(IMPORT_UNREADABLE, file=str(path), bytes=len(raw), limit=FILE_BYTES_MAX)
    text, encoding = decode_text(raw)
    return parse_sheet(text, encoding, region, mapping)


def decode_text(raw: bytes) -> tuple[str, str]:
    """The text, and the encoding it was in. Errors: import.encoding."""
    has_utf16_mark = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if has_utf16_mark else ("utf-8-sig", "gb18030"):
        if encoding == "gb18030" and _is_damaged_utf8(raw):
            raise KehuError(IMPORT_ENCODING, bytes=len(raw), problem="damaged UTF-8")
        try:
            return raw.decode(encoding), encoding.removesuffix("-sig")
        except UnicodeDecodeError:
            continue
    raise KehuError(IMPORT_ENCODING, bytes=len(raw))


def _is_damaged_utf8(raw: bytes) -> bool:
    """Of bytes that are not UTF-8: whether they were. Most of them mean something in GB18030 too, but other characters.

    Chinese takes three bytes each in UTF-8, and what is GB18030 hardly ever has three that fit.
    """
    text = raw.decode(errors="replace")
    whole = sum(1 for character in text if character >= _FIRST_OF_THREE_BYTES) - text.count(_BROKEN)
    return raw.startswith(codecs.BOM_UTF8) or whole > text.count(_BROKEN)


_TOLD_SEPARATOR: Final = re.compile("sep=([,;\t])(?:\r\n?|\n)", re.IGNORECASE)
"""A first line for spreadsheets, which they neither show nor count."""


def parse_sheet(text: str, encoding: str, region: str | None, mapping: Mapping | None = None) -> Sheet:
    """As `read_sheet`, from text. Errors: import.header, phone.region."""
    _require_region(region)
    separator = max(",;\t", key=text.lstrip("\r\n").partition("\n")[0].count)
    if (told := _TOLD_SEPARATOR.match(text)) is not None:
        separator, text = told[1], text[told.end() :]
    lines = _lines(text, separator)
    _, header = next(lines, (1, []))
    if isinstance(header, KehuError):
        raise header
    places, columns, ignored = match_columns(header, mapping or {})
    taker = _Taker(len(header), places, region)
    for number, cells in lines:
        taker.take(number, cells)
    return Sheet(taker.rows, taker.faults, len(taker.rows) + len(taker.faults), encoding, columns, ignored)


def _require_region(region: str | None) -> None:
    """A wrong region is said once, not once for every row."""
    try:
        parse_number("1", region)
    except KehuError as error:
        if error.code == "phone.region":
            raise


def _lines(text: str, separator: str) -> Iterator[tuple[int, list[str] | KehuError]]:
    """(row, cells) of rows that are not blank, numbered as a spreadsheet numbers them, from 1. A breach of the
    syntax ends the file: nobody can say where the next row would begin."""
    source, number = RowSource(text), 0
    csv.field_size_limit(FILE_BYTES_MAX)  # a cell that is too long is a fault of its row, and the rest goes in
    reader = csv.reader(source, delimiter=separator, strict=True)
    while True:
        number += 1
        source.row.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield number, KehuError(ROW_SYNTAX, **source.quote_line(separator))
            return
        if any(cell.strip() for cell in cells):
            yield number, cells


class _Taker:
    """Sorts rows into those that can be taken and those at fault."""

    def __init__(self, width: int, places: dict[str, int], region: str | None) -> None:
        self.rows: list[Row] = []
        self.faults: list[Fault] = []
        self._width = width
        self._places = places
        self._region = region
        self._seen: dict[tuple[str, ...], int] = {}

    def take(self, number: int, cells: list[str] | KehuError) -> None:
        if isinstance(cells, KehuError):
            self.faults.append(Fault.of(number, None, cells))
            return
        taken = _take(number, cells, self._width, self._places, self._region)
        if isinstance(taken, Row):
            identity = tuple(taken.fields.get(field, "") for field in COLUMNS)
            first = self._seen.setdefault(identity, number)
            if first != number:
                taken = Fault.of(number, None, KehuError(ROW_DUPLICATE, first=first))
        if isinstance(taken, Row):
            self.rows.append(taken)
        else:
            self.faults.append(taken)


def _take(number: int, cells: list[str], width: int, places: dict[str, int], region: str | None) -> Row | Fault:
    if len(cells) > width and any(cell.strip() for cell in cells[width:]):
        return Fault.of(number, None, KehuError(ROW_WIDTH, cells=len(cells), columns=width))
    fields: dict[str, str] = {}
    for field, place in places.items():
        text = read_cell(unicodedata.normalize("NFC", cells[place]).strip()) if place < len(cells) else ""
        try:
            value = _value(field, text, region)
        except KehuError as error:
            return Fault.of(number, field, error)
        if value:
            fields[field] = value
    return Row(number, fields)


def _value(field: str, text: str, region: str | None) -> str:
    if not text:
        if field in REQUIRED:
            raise KehuError(ROW_EMPTY)
        return ""
    if field == "phone":
        return parse_number(text.removeprefix(MARK), region)
    if len(text.encode()) > VALUE_BYTES_MAX:
        raise KehuError(ROW_TOO_LONG, bytes=len(text.encode()), limit=VALUE_BYTES_MAX)
    for position, character in enumerate(text):
        if unicodedata.category(character) == "Cc":
            raise KehuError(ROW_CHARACTER, position=position)
    return text

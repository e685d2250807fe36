"""How values and tables are laid out: a cell's text, and widths that break no word.

An id, a number or a time that is broken over two lines can be neither read nor copied. A table whose words do not fit
beside each other is shown as lists below each other instead.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

GAP: Final = 2
"""Columns of the terminal between two columns of a table, and at its edges together."""
_EPOCHS_FROM_MS: Final = 10**11
"""What ends in `_ms` is a time from 1973 on, or else a span: none is three years long."""
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_UNBROKEN: Final = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^\s,]*|[^\s\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\uffef]+"
)
"""What may not be broken: a time as `time_text` makes it, and else anything but blanks and the wide characters, of
which any may end a line."""


def plain(text: str) -> str:
    """`text` with control and invisible formatting characters as escapes; line breaks in values included."""
    return "".join(
        character if unicodedata.category(character) not in _UNSAFE else f"\\u{{{ord(character):x}}}"
        for character in text
    )


def shown(value: object) -> str:
    """A cell's text; lists and maps as their items with commas between."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(str(name))} {shown_as(str(name), item)}" for name, item in value.items()) or "—"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value)) or "—"
    return plain(str(value))


def shown_as(name: str, value: Any) -> str:
    """The text of a value that is called `name`: what is Unix milliseconds is shown as a time."""
    is_time = name.endswith("_ms") and isinstance(value, int) and value >= _EPOCHS_FROM_MS
    return time_text(value) if is_time else shown(value)


def time_text(time_ms: int | None) -> str:
    """Unix milliseconds in the machine's own time zone, with its offset; as they are if no calendar has them."""
    if time_ms is None:
        return "—"
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone().isoformat(sep=" ", timespec="milliseconds")
    except (ValueError, OverflowError, OSError):  # what a chain or a node says may be any number
        return f"{time_ms} ms"


def column_widths(rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """How wide each column may be so that all of them fit into `room` and no word is broken; None if they can't."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(_longest_word, column)) for column in columns]
    lacks = [max(map(_cells, column)) - width for column, width in zip(columns, widths, strict=True)]
    spare = room - sum(widths) - GAP * len(widths)
    if spare < 0:
        return None
    order = sorted(range(len(widths)), key=lambda index: lacks[index])
    for left, index in zip(range(len(order), 0, -1), order, strict=True):
        more = min(lacks[index], spare // left)
        widths[index] += more
        spare -= more
    return widths


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _longest_word(text: str) -> int:
    return max([min(2, _cells(text)), *map(_cells, _UNBROKEN.findall(text))])

"""Cells of CSV files that spreadsheets open: text that would be run as a formula is marked as text.

A cell that begins with =, +, -, @ (full-width ones too), a tab or a line break gets an apostrophe in front, and reading
takes it away again. So does what follows a semicolon, a tab or a line break within a cell: programs that part cells by
these, as spreadsheets do in half of the world, would begin one there. Numbers in E.164 keep their plus: nothing but
digits follows it, so that there is nothing to run.
"""

from __future__ import annotations

import re
from typing import Final

_RISKY: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
_E164: Final = re.compile(r"\+[0-9]{5,15}", re.ASCII)
_BEGUN_WITHIN: Final = re.compile(r"(?<=[;\t\r\n])(?=[' ]*[=+@＝＋－＠-])")
_MARKED_WITHIN: Final = re.compile(r"(?<=[;\t\r\n])'(?=[' ]*[=+@＝＋－＠-])")
_AS_TEXT: Final = re.compile(r'="((?:[^"]|"")*)"')
"""What programs write so that a spreadsheet leaves digits alone: ="013800138000"."""
_QUOTED: Final = re.compile(r'[,;\t\r\n"]')
MARK: Final = "'"


def guarded(text: str) -> str:
    """`text` as it is safe to open."""
    return _at_start(_BEGUN_WITHIN.sub(MARK, text))


def _at_start(text: str) -> str:
    is_risky = text.lstrip(f"{MARK} ").startswith(_RISKY) or text.startswith(_RISKY)
    return f"{MARK}{text}" if is_risky and not _E164.fullmatch(text) else text


def unguarded(text: str) -> str:
    """What `guarded` was given; also a number that somebody marked as text."""
    is_marked = text.startswith(MARK) and (_at_start(text[1:]) == text or _E164.fullmatch(text[1:]) is not None)
    return _MARKED_WITHIN.sub("", text[1:] if is_marked else text)


def read_cell(text: str) -> str:
    """What a cell of anybody's file says."""
    found = _AS_TEXT.fullmatch(text)
    return unguarded(text) if found is None else found[1].replace('""', '"')


def csv_line(cells: list[str]) -> str:
    """A line of CSV (RFC 4180). Quoted is whatever any program could part, by whichever sign it goes."""
    shown = [f'"{cell.replace(chr(34), chr(34) * 2)}"' if _QUOTED.search(cell) else cell for cell in cells]
    return ",".join(shown) + "\r\n"

"""Cells of CSV files that spreadsheets open: text that would be run as a formula is marked as text.

A cell that begins with =, +, -, @ (full-width ones too), a tab or a line break gets an apostrophe in front, and reading
takes it away again. Numbers in E.164 keep their plus: nothing but digits follows it, so that there is nothing to run.
"""

from __future__ import annotations

import re
from typing import Final

_RISKY: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
_E164: Final = re.compile(r"\+[0-9]{5,15}", re.ASCII)
MARK: Final = "'"


def guarded(text: str) -> str:
    """`text` as it is safe to open."""
    is_risky = text.lstrip(f"{MARK} ").startswith(_RISKY) or text.startswith(_RISKY)
    return f"{MARK}{text}" if is_risky and not _E164.fullmatch(text) else text


def unguarded(text: str) -> str:
    """What `guarded` was given; also a number that somebody marked as text."""
    is_marked = text.startswith(MARK) and (guarded(text[1:]) == text or _E164.fullmatch(text[1:]) is not None)
    return text[1:] if is_marked else text

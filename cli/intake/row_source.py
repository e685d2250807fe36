"""A CSV file line by line for Python's reader, which does not say where a quote was opened that it never saw closed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

QUOTE: Final = '"'


class RowSource:
    """The lines of `text`. `row`: those that were read since somebody last cleared it."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self._count = 0
        self.row: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._count += 1
        self.row.append(line)
        return line

    def quote_line(self, separator: str) -> dict[str, int]:
        """Where in the file the last quote of `row` was opened, from 1; nothing if there is none."""
        opened = last_opened(self.row, separator)
        return {} if opened is None else {"quote_line": self._count - len(self.row) + 1 + opened}


def last_opened(lines: list[str], separator: str) -> int | None:
    """In which of a row's lines its last quote was opened; two in a row inside of quotes are one that is meant."""
    found: int | None = None
    is_quoted, before = False, separator
    for number, line in enumerate(lines):
        for character in line:
            if character == QUOTE and is_quoted:
                is_quoted = False
            elif character == QUOTE and before in (separator, QUOTE):
                is_quoted = True
                found = found if before == QUOTE else number
            before = character
    return found

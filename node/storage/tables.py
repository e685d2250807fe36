"""The tables that a database is made of, as LevelDB lists them (its property `leveldb.sstables`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from chain.errors import InvariantError

_LEVEL: Final = re.compile(r"--- level (\d+) ---")
_TABLE: Final = re.compile(r" (\d+):\d+\['(.*)' @ \d+ : \d+ \.\. '(.*)' @ \d+ : \d+\]")
_ESCAPED: Final = re.compile(rb"\\x([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Table:
    """A file of LevelDB's: its number is its name, and it holds keys from `first` to `last`. What is newer of a key
    lies in a level before the others; a level from 1 on has each key in one table."""

    level: int
    number: int
    first: bytes
    last: bytes


def read_tables(listed: bytes) -> list[Table]:
    r"""Every table in the list. In it a byte that can't be printed stands as \xNN; a backslash stands as it is, so that
    a key with these four characters in it is taken for a shorter one."""
    tables, level = [], 0
    for line in listed.decode("ascii").split("\n"):
        if match := _LEVEL.fullmatch(line):
            level = int(match[1])
        elif match := _TABLE.fullmatch(line):
            tables.append(Table(level, int(match[1]), _key(match[2]), _key(match[3])))
        elif line:
            raise InvariantError("LevelDB lists its tables in another form")
    return tables


def _key(shown: str) -> bytes:
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), shown.encode("ascii"))

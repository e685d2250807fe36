"""Journals: the keys of rows in the order in which they were made, by page.

  journals/<name>.<page>     {entries: [key of the row, ...]}, PAGE to a page, oldest first
  counters/journals.<name>   how many there are

A page costs a fraction of what a state entry per row would. Block times never go back, so whoever looks for a time
finds it by halving (contracts.trails).
"""

from __future__ import annotations

from typing import Final

from chain.errors import InvariantError
from chain.state import View
from contracts.base import count_of, next_number

PAGE: Final = 32


def add_entry(view: View, name: str, row_key: str) -> None:
    number = next_number(view, f"journals.{name}")
    page = f"{name}.{(number - 1) // PAGE}"
    entries = [] if (number - 1) % PAGE == 0 else _entries(view, page)
    view.put("journals", page, {"entries": [*entries, row_key]})


def length_of(view: View, name: str) -> int:
    return count_of(view, f"journals.{name}")


def entry_at(view: View, name: str, number: int) -> str:
    """The key of the row with this number, the first being 1."""
    page, place = divmod(number - 1, PAGE)
    return _entries(view, f"{name}.{page}")[place]


def _entries(view: View, page: str) -> list[str]:
    row = view.get("journals", page)
    if row is None:
        raise InvariantError("a journal counts more rows than it has")
    entries: list[str] = row["entries"]
    return entries

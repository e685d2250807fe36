"""Journals: the keys of rows in the order in which they were made, by page.

  journals/<name>.<page>     {entries: [key of the row, ...]}, PAGE to a page, oldest first
  counters/journals.<name>   how many there are

A page costs a fraction of what a state entry per row would. What a block adds is kept beside its view until the block
ends, and written page by page then: a hundred changes of one person in one block are four rows and not two hundred.
Block times never go back, so whoever looks for a time finds it by halving (contracts.reading.trails).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chain.errors import InvariantError
from chain.state import View
from contracts.base import count_of

PAGE: Final = 32


def add_entry(view: View, name: str, row_key: str) -> None:
    view.append(name, row_key)


def length_of(view: View, name: str) -> int:
    return _written(view, name) + len(view.appended(name))


def entry_at(view: View, name: str, number: int) -> str:
    """The key of the row with this number, the first being 1."""
    written = _written(view, name)
    if number > written:
        return view.appended(name)[number - written - 1]
    page, place = divmod(number - 1, PAGE)
    return _entries(view, f"{name}.{page}")[place]


def write_journals(view: View) -> None:
    """Writes down what was added since the last time; whoever runs contracts' calls has it done after the last one."""
    for name, added in sorted(view.take_appended().items()):
        _write(view, name, added)


def _write(view: View, name: str, added: Sequence[str]) -> None:
    number = _written(view, name)
    view.put("counters", f"journals.{name}", {"value": number + len(added)})
    begin = 0
    while begin < len(added):
        page, filled = divmod(number, PAGE)
        part = added[begin : begin + PAGE - filled]
        before = _entries(view, f"{name}.{page}") if filled else []
        view.put("journals", f"{name}.{page}", {"entries": [*before, *part]})
        begin += len(part)
        number += len(part)


def _written(view: View, name: str) -> int:
    return count_of(view, f"journals.{name}")


def _entries(view: View, page: str) -> list[str]:
    row = view.get("journals", page)
    if row is None:
        raise InvariantError("a journal counts more rows than it has")
    entries: list[str] = row["entries"]
    return entries

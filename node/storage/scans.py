"""Scans of a store that stand still while the store goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain


def begun(pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The same pairs, of which the first is taken now: from here on later writes don't show."""
    iterator = iter(pairs)
    first = next(iterator, None)
    return iter(()) if first is None else chain([first], iterator)

"""docs/cli.md as data: each command's options, JSON keys and exit codes as the document has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"


@dataclass(frozen=True)
class Promise:
    """What the section of one command says."""

    parameters: tuple[str, ...]
    json_keys: tuple[str, ...]
    exits: tuple[int, ...]


@cache
def promises() -> dict[str, Promise]:
    """Command path ("customer add") -> its section."""
    sections = re.split(r"^### `kehu ([a-z -]+)`$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {path: _promise(text) for path, text in zip(sections[1::2], sections[2::2], strict=True)}


def _promise(text: str) -> Promise:
    rows = re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)
    also = re.search(r"^Also: (.+)$", text, flags=re.MULTILINE)
    keys = re.search(r"^JSON: (.+)$", text, flags=re.MULTILINE)
    exits = re.search(r"^Exit: (.+)$", text, flags=re.MULTILINE)
    assert also is not None, text
    assert keys is not None, text
    assert exits is not None, text
    return Promise(
        (*rows, *re.findall(r"`(--[a-z-]+)`", also[1])),
        tuple(re.findall(r"`([a-z_]+)`", keys[1])),
        tuple(int(code) for code in re.findall(r"\d+", exits[1])),
    )


def json_keys_of(arguments: Sequence[str]) -> tuple[str, ...]:
    """The keys promised for a command line."""
    for length in (2, 1):
        path = " ".join(arguments[:length])
        if path in promises():
            return promises()[path].json_keys
    raise KeyError(arguments)

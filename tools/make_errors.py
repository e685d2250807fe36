"""Writes docs/errors.md from the catalogue of all packages: `make errors`. A test keeps them in step."""

from __future__ import annotations

import importlib
import pkgutil
from itertools import groupby
from pathlib import Path

from chain.errors import CATALOGUE

PACKAGES = ("chain", "consensus", "contracts", "node", "cli")
TARGET = Path(__file__).parent.parent / "docs" / "errors.md"
HEAD = """# Errors

Every error of Kehu has a code that never changes its meaning, says what was wrong, and what to do. Details (ids,
heights, limits, both compared values) come with it and never hold a personal value. With `--json`, and over HTTP as
problem+json (RFC 9457), `code`, `cause`, `cure` and `details` are fields. A receipt carries the code of the call that
failed.

This file is made by `make errors` from the code.
"""


def load_all() -> None:
    """Imports every module, so that the catalogue is complete."""
    for package in PACKAGES:
        root = importlib.import_module(package)
        for module in pkgutil.walk_packages(root.__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def document() -> str:
    load_all()
    parts = [HEAD]
    codes = sorted(CATALOGUE)
    for area, members in groupby(codes, key=lambda code: code.partition(".")[0]):
        parts.append(f"\n## {area}\n\n| code | what was wrong | what to do |\n| --- | --- | --- |\n")
        for code in members:
            spec = CATALOGUE[code]
            parts.append(f"| `{code}` | {_cell(spec.cause)} | {_cell(spec.cure)} |\n")
    return "".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
    print(f"{TARGET.name}: {len(CATALOGUE)} errors")

"""A bill of materials of what runs: CycloneDX JSON, made from the lock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.supply.lock import read_lock
from tools.supply.places import DIST, LOCK, ROOT, SupplyError, require, tool


def make_sbom(path: Path = DIST / "kehu-sbom.json") -> Path:
    """Errors: SupplyError if it lacks a library of the lock, or a hash."""
    path.parent.mkdir(exist_ok=True)
    options = ("--output-reproducible", "--output-format", "JSON", "--pyproject", str(ROOT / "pyproject.toml"))
    require(tool("cyclonedx-py"), "requirements", str(LOCK), *options, "--output-file", str(path))
    bom = json.loads(path.read_text(encoding="utf-8"))
    listed = {item["name"].lower(): _hashes(item) for item in bom["components"]}
    wanted = {entry.name.lower(): hashes for entry, hashes in read_lock(LOCK)}
    if listed != wanted:
        differing = sorted(name for name in listed.keys() | wanted.keys() if listed.get(name) != wanted.get(name))
        raise SupplyError(f"the bill of materials and the lock differ in {', '.join(differing)}")
    return path


def _hashes(component: dict[str, Any]) -> int:
    return sum(len(reference.get("hashes", ())) for reference in component.get("externalReferences", ()))

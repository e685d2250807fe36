"""Locks: every library that is installed, one version, every hash, for all Pythons at once."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from tools.supply.places import LOCK, LOCKS, PYTHONS, ROOT, SupplyError, require, tool


def make_locks(*, is_upgrade: bool = False) -> None:
    """Writes all locks anew from what they are made from; versions stay unless they no longer fit or `is_upgrade`."""
    options = (
        "--quiet",
        "--no-config",
        "--universal",
        "--python-version",
        PYTHONS[0],
        "--generate-hashes",
        "--no-annotate",
    )
    upgrade = ("--upgrade",) if is_upgrade else ()
    for lock, source in LOCKS.items():
        header = f"# Made by `make lock` from {source.relative_to(ROOT)}; don't edit.\n"
        require(tool("uv"), "pip", "compile", *options, *upgrade, "--no-header", str(source), "-o", str(lock))
        body = "".join(line for line in lock.read_text(encoding="utf-8").splitlines(True) if not line.startswith("#"))
        lock.write_text(header + body, encoding="utf-8")


def read_lock(path: Path) -> list[tuple[Requirement, int]]:
    """Each pinned requirement, and how many hashes it has."""
    entries: list[tuple[Requirement, int]] = []
    for entry in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if entry.strip() and not entry.startswith("#"):
            pinned, *hashes = entry.split(" --hash=sha256:")
            entries.append((Requirement(pinned.strip()), len([text for text in hashes if len(text.strip()) == 64])))
    return entries


def check_locks() -> None:
    """Errors: SupplyError if a line is not pinned by hash, or the lock does not hold what pyproject.toml asks for."""
    for path in LOCKS:
        for requirement, hashes in read_lock(path):
            if [clause.operator for clause in requirement.specifier] != ["=="] or not hashes:
                raise SupplyError(f"{path.name}: {requirement} is not one version with hashes; run `make lock`")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    for python in PYTHONS:
        pinned = _pins(python)
        for requirement in wanted:
            if requirement.marker is None or requirement.marker.evaluate(_environment(python)):
                version = pinned.get(requirement.name.lower())
                if version is None or not requirement.specifier.contains(version, prereleases=True):
                    found = f"the lock has {requirement.name} {version} for Python {python}"
                    raise SupplyError(f"{found}, pyproject.toml asks for {requirement}; run `make lock`")


def _environment(python: str) -> dict[str, str]:
    return {"python_version": python, "python_full_version": f"{python}.0"}


def _pins(python: str) -> dict[str, Version]:
    entries = [entry for entry, _ in read_lock(LOCK)]
    return {
        entry.name.lower(): Version(next(iter(entry.specifier)).version)
        for entry in entries
        if entry.marker is None or entry.marker.evaluate(_environment(python))
    }


def check_wheels_exist() -> None:
    """Has a resolver plan an installation from the lock, wheels only, for each Python; needs the package index."""
    platform = ("--python-platform", "x86_64-manylinux_2_28")
    options = ("--quiet", "--no-config", "--dry-run", "--require-hashes", "--only-binary", ":all:", *platform)
    for python in PYTHONS:
        with tempfile.TemporaryDirectory() as folder:
            target = ("--target", folder, "--python-version", python)
            require(tool("uv"), "pip", "install", *options, *target, "-r", str(LOCK))

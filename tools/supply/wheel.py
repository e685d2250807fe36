"""The wheel, byte for byte the same wherever and whenever a commit is built."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from tools.supply.places import DIST, ROOT, SupplyError, call, require, tool

_EPOCH_WITHOUT_GIT = "315532800"
"""1980-01-01, the earliest time that a zip file can name."""


def build_wheel(into: Path, *, zone: str = "UTC", is_reversed: bool = False) -> Path:
    """Builds from a clean copy of the tracked files. Neither the arguments nor the umask must make a difference.

    The environment needs setuptools, in the version of docker/build.lock.
    """
    with tempfile.TemporaryDirectory(prefix="kehu-build-") as folder:
        source = Path(folder) / "source"
        for name in sorted(_tracked(), reverse=is_reversed):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
            target.chmod(0o644)
        env = {"SOURCE_DATE_EPOCH": _epoch(), "TZ": zone, "PYTHONHASHSEED": "1" if is_reversed else "2"}
        options = "--quiet --no-deps --no-index --no-build-isolation --no-cache-dir"
        # setuptools puts the modes of the files that it copies into the wheel.
        command = f'umask 022; exec "$0" wheel {options} --wheel-dir "$1" .'
        require("bash", "-c", command, tool("pip"), folder, env=env, cwd=source)
        (built,) = Path(folder).glob("*.whl")
        into.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(built, into / built.name))


def check_reproducible() -> tuple[Path, str]:
    """Builds twice, in two folders, with another umask, time zone, hash seed and order of files; keeps one in dist/.

    Gives it and its SHA-256. Errors: SupplyError if one byte differs.
    """
    with tempfile.TemporaryDirectory(prefix="kehu-second-") as folder:
        first = build_wheel(DIST)
        umask = os.umask(0o077)
        try:
            second = build_wheel(Path(folder), zone="Asia/Shanghai", is_reversed=True)
        finally:
            os.umask(umask)
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)]
        if digests[0] != digests[1]:
            raise SupplyError(f"two builds of {first.name} differ: {digests[0]} and {digests[1]}")
    return first, digests[0]


def _tracked() -> list[str]:
    """What the wheel is made of, as git lists it; without git, as it lies there."""
    parts = ("pyproject.toml", "README.md", "LICENSE", "chain", "consensus", "contracts", "node", "cli")
    listed = call("git", "ls-files", "-z", "--", *parts)
    if listed.returncode == 0:
        return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    found = (path for part in parts for path in ((ROOT / part).rglob("*") if (ROOT / part).is_dir() else [ROOT / part]))
    return [str(path.relative_to(ROOT)) for path in found if path.is_file() and path.suffix != ".pyc"]


def _epoch() -> str:
    done = call("git", "log", "-1", "--format=%ct")
    return done.stdout.strip() if done.returncode == 0 else _EPOCH_WITHOUT_GIT

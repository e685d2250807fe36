"""Files and programs of the supply chain."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
LOCK: Final = ROOT / "docker" / "requirements.lock"
LOCKS: Final = {
    LOCK: ROOT / "pyproject.toml",
    ROOT / "docker" / "build.lock": ROOT / "docker" / "build.in",
    ROOT / "tools" / "supply" / "requirements.lock": ROOT / "tools" / "supply" / "requirements.in",
}
"""Each lock, and what it is made from."""
DIST: Final = ROOT / "dist"
PYTHONS: Final = ("3.11", "3.12", "3.13")


class SupplyError(Exception):
    """Something is not as it has to be; the text says what to do."""


def call(*words: str, env: dict[str, str] | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a program; whoever calls looks at its exit code."""
    return subprocess.run(
        words, env={**os.environ, **(env or {})}, cwd=cwd, capture_output=True, encoding="utf-8", check=False
    )


def require(*words: str, env: dict[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Its standard output. Errors: SupplyError if it fails."""
    done = call(*words, env=env, cwd=cwd)
    if done.returncode != 0:
        raise SupplyError(
            f"{Path(words[0]).name} {' '.join(words[1:4])} …: exit {done.returncode}\n{done.stderr[-3000:]}"
        )
    return done.stdout


def tool(name: str) -> str:
    """A program of the environment that this runs in."""
    return str(Path(sys.executable).with_name(name))

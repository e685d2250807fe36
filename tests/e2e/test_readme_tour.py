"""The tour in the README is run as it stands there, in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def tour() -> str:
    found = re.search(r"<!-- tour -->\n```sh\n(.+?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def seen() -> list[tuple[str, ...]]:
    """Who did what for which purpose, as the table before the tour has it."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("<!-- seen -->")[2].partition("\n\n")[0]
    return re.findall(r"^\| ([a-z-]+) \| ([a-z]+) \| ([a-z]+) \| ([a-z-]+) \|", table, re.MULTILINE)[1:]


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_the_tour_of_the_readme_works_as_it_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "tour"
    script = tour().replace("/tmp/kehu-tour", str(folder)).replace("$PWD/.venv/bin", str(Path(sys.executable).parent))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KEHU_")}
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
    finally:
        if (folder / "net").exists():
            kehu = [sys.executable, "-m", "cli.main", "network", "down", "--network", str(folder / "net")]
            subprocess.run(kehu, cwd=ROOT, check=False, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "王芳" in done.stdout
    assert "refused, and that is on the record (exit code 1)" in done.stdout
    assert "refused: the number is somebody else's now (exit code 1)" in done.stdout
    assert "Everything checks" in done.stdout
    rows = seen()
    assert len(rows) == 4
    for who, department, action, purpose in rows:
        assert re.search(rf"person:{who} +{department} +{action} +customers/wang-fang +{purpose} ", done.stdout), who

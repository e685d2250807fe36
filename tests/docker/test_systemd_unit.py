"""systemd itself reads the unit and says what a node in it could still do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parent.parent.parent / "packaging" / "kehu@.service"
EXPOSURE_MAX = 15
"""Tenths; `systemd-analyze security` calls up to 19 "OK". What is left: the network, which a node lives by."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit for sales, with a program that exists on this machine in place of /opt/kehu/bin/python."""
    text = UNIT.read_text(encoding="utf-8")
    assert text.count("/opt/kehu/bin/python -P -m node ") == 1
    path = tmp_path / "kehu@sales.service"
    path.write_text(text.replace("/opt/kehu/bin/python -P -m node ", "/bin/true "), encoding="utf-8")
    return path


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, encoding="utf-8", check=False)


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    done = analyze("verify", "--man=no", str(unit))
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_a_node_in_the_unit_can_do_little(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", str(unit))
    assert done.returncode == 0, done.stdout


def test_unit_does_not_repeat_what_does_not_get_better() -> None:
    from node.process import EXIT_INVARIANT, EXIT_OUTDATED, EXIT_REFUSED, EXIT_REMOVED

    codes = f"{EXIT_REFUSED} {EXIT_INVARIANT} {EXIT_OUTDATED} {EXIT_REMOVED}"
    assert f"RestartPreventExitStatus={codes}" in UNIT.read_text(encoding="utf-8")

"""The long checks go on where they were, and what failed is not tried again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import release_check
from tools.release_check import Check

COUNTING = "import sys; open('ran.txt', 'a').write(sys.argv[1] + ' '); sys.exit(sys.argv[1] in sys.argv[2:])"
ROOT = Path(__file__).parents[2]
STANDING_STILL = """
import os, sys, time
first = sys.argv[1]
if first == "100" and not os.path.exists("go"):
    open("ready.100", "w").write(str(os.getpid()))
    time.sleep(600)
open("ran.txt", "a").write(first + " ")
"""
RELEASE_CHECK = f"""
import sys
from pathlib import Path
root, sys.argv = Path(sys.argv[1]), [sys.argv[2]]
sys.path.insert(0, sys.argv[0])
from tools import release_check
release_check.ROOT, release_check.RECORDS = root, root / ".release-check"
command = ("sh", "-c", '"$0" -c "$1" "$2"; exit $?', sys.executable, {STANDING_STILL!r}, "{{first}}")
release_check.CHECKS = (release_check.Check("count", "units", 250, 100, command),)
sys.exit(release_check.main())
"""
"""A check of three chunks, the second of which stands still until there is a file `go`."""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A commit of its own, whose only check counts its chunks."""
    (tmp_path / ".gitignore").write_text("ran.txt\nready.*\ngo\n.release-check/\n")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(release_check, "ROOT", tmp_path)
    monkeypatch.setattr(release_check, "RECORDS", tmp_path / ".release-check")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, failing: tuple[str, ...] = ()) -> int:
    command = (sys.executable, "-c", COUNTING, "{first}", *failing)
    monkeypatch.setattr(release_check, "CHECKS", (Check("count", "units", 250, 100, command),))
    monkeypatch.setattr(sys, "argv", ["release_check", *arguments])
    return release_check.main()


def test_a_second_run_of_the_same_commit_runs_nothing_again(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [run(monkeypatch), run(monkeypatch)] == [0, 0]
    assert (checkout / "ran.txt").read_text() == "0 100 200 "


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process_and_goes_on_with_the_chunk_that_was_under_way(
    checkout: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", RELEASE_CHECK, str(checkout), str(ROOT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_for_file(checkout / "ready.100")
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Interrupted; the chunk under way will run again" in out
    child = int((checkout / "ready.100").read_text())
    assert not Path(f"/proc/{child}").exists()
    (checkout / "go").touch()
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert (checkout / "ran.txt").read_text() == "0 100 200 "
    assert "-- count, 2 of 3, about 0.0 h left" in ended.stdout


def test_how_far_a_chunk_is_is_told_by_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release_check, "TELL_S", 0.2)
    script = "import time; print('7 of 9 seeds', flush=True); time.sleep(1.5)"
    assert release_check.run_logged([sys.executable, "-c", script], tmp_path / "log") == 0
    assert "0 min: 7 of 9 seeds" in capsys.readouterr().out


def test_the_long_versions_are_as_long_as_is_promised() -> None:
    promised = {"simulate": 1_000_000, "chaos": 60, "soak": 60, "explore": 10_000_000, "fuzz": 50_000_000}
    totals = {check.name: check.total for check in release_check.CHECKS}
    assert {name: totals[name] for name in promised} == promised
    for check in release_check.CHECKS:
        assert sum(amount for _, amount in check.chunks(1.0)) == check.total
        target = check.command[check.command.index("make") + 1]
        assert f"\n{target}: install" in (ROOT / "Makefile").read_text(encoding="utf-8")


def wait_for_file(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_chunk_that_failed_stays_failed_and_is_not_tried_again(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, failing=("100",)) == 1
    assert run(monkeypatch, "--json") == 1
    assert '"passed": 150, "failed": 100, "waiting": 0' in capsys.readouterr().out
    assert (checkout / "ran.txt").read_text() == "0 100 200 "


def test_what_is_not_committed_is_not_checked(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "new.txt").write_text("x")
    assert run(monkeypatch) == 2
    assert not (checkout / "ran.txt").exists()

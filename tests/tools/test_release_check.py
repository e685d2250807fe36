"""The long checks go on where they were, and what failed is not tried again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import release_check
from tools.release_check import Check

COUNTING = "import sys; open('ran.txt', 'a').write(sys.argv[1] + ' '); sys.exit(sys.argv[1] in sys.argv[2:])"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A commit of its own, whose only check counts its chunks."""
    (tmp_path / ".gitignore").write_text("ran.txt\n.release-check/\n")
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


def test_an_interrupted_run_goes_on_with_the_chunk_that_was_under_way(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = subprocess.run, []

    def interrupt(command: list[str], **options: object) -> object:
        calls.append(command)
        if command[0] == sys.executable and command[3] == "100":
            raise KeyboardInterrupt
        return real(command, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", interrupt)
        assert run(monkeypatch) == 130
    assert run(monkeypatch) == 0
    assert (checkout / "ran.txt").read_text() == "0 100 200 "


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

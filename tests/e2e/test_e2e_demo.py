"""The demo comes out the same when nodes are killed under it, and cleans up after itself.

`make demo` tells it undisturbed, whole; here it begins and ends as it does there, with one chapter between.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.founding import DEPARTMENTS
from tests.e2e.conftest import ROOT, Disturbed
from tools.demo.chapters import CHAPTERS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]

FIRST_CHAPTER = (
    "import sys; from tools.demo import __main__ as demo; demo.CHAPTERS = demo.CHAPTERS[:1]; sys.exit(demo.main())"
)


def test_a_demo_whose_steps_hold_says_so_and_cleans_up(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    command = [sys.executable, "-c", FIRST_CHAPTER, "--folder", str(folder)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=200, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert CHAPTERS[0].title in told.stdout
    assert not folder.exists()
    assert processes_about(folder) == []


def test_killing_each_node_in_the_middle_of_a_chapter_changes_nothing_but_the_time(disturbed: Disturbed) -> None:
    """What came out is what did when nobody was killed: `python -m tools.demo --seed SEED --facts tests/e2e/facts.json`
    writes it anew when the story changes."""
    assert sorted(blow.victim for blow in disturbed.blows.values()) == sorted(DEPARTMENTS)
    assert [str(blow) for blow in disturbed.blows.values() if not blow.during] == []
    undisturbed = json.loads(Path(__file__).with_name("facts.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(disturbed.story.facts)) == undisturbed
    for chapter in CHAPTERS:
        assert chapter.title in disturbed.out


def test_an_interrupted_demo_leaves_neither_processes_nor_files(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", "tools.demo", "--folder", str(folder)]
    demo = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_until(lambda: len(list(folder.glob("network/nodes/*/votes.log"))) == 6 and len(pid_files(folder)) == 7)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 130
    finally:
        demo.kill()
        demo.wait()
    assert not folder.exists()
    assert processes_about(folder) == []


def pid_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("network/run/*.pid") if path.stat().st_size]


def processes_about(folder: Path) -> list[str]:
    """Command lines of processes that name the folder, this one and its parents apart."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and int(path.parent.name) != os.getpid():
            found.append(line)
    return found


def wait_until(is_so: object, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)

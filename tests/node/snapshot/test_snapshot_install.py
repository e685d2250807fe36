"""A whole snapshot takes the place of the chain, and of nobody's chain who is at work on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chain.errors import KehuError
from node.folder.config import Home
from node.snapshot.incoming import install, whole_folder
from node.storage.leveldb import LevelStore

HOLD = """
import sys
from pathlib import Path
from node.storage.leveldb import LevelStore
store = LevelStore(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
store.write({b"k": b"still here"})
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """With a chain, and beside it a snapshot that waits to be installed."""
    home = Home(tmp_path)
    for folder, text in ((home.chain, b"chain"), (whole_folder(home), b"snapshot")):
        store = LevelStore(folder, create=True)
        store.write({b"k": text})
        store.close()
    return home


def content(home: Home) -> bytes | None:
    store = LevelStore(home.chain)
    try:
        return store.get(b"k")
    finally:
        store.close()


def test_a_whole_snapshot_is_the_chain_from_then_on(home: Home) -> None:
    assert install(home)
    assert content(home) == b"snapshot"
    assert not install(home)
    assert [path.name for path in home.path.iterdir()] == ["chain"]


def test_the_chain_of_a_node_that_runs_is_not_taken_away_under_it(home: Home) -> None:
    command = [sys.executable, "-c", HOLD, str(home.chain)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "open\n"
        with pytest.raises(KehuError, match=r"storage\.in_use"):
            install(home)
        running.communicate("")
    assert running.returncode == 0
    assert content(home) == b"still here"
    assert install(home)
    assert content(home) == b"snapshot"

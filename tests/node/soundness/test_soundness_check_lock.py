"""A check keeps a node from starting for as long as it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from node.folder.config import Home
from node.soundness.copying import copied, stopped
from node.storage.leveldb import LevelStore

START = """
import sys
from pathlib import Path
from chain.errors import KehuError
from node.storage.leveldb import LevelStore
try:
    LevelStore(Path(sys.argv[1]))
except KehuError as error:
    print(error.code)
"""
"""The first thing that a node does with its folder, in another process."""


def start(home: Home) -> str:
    command = [sys.executable, "-c", START, str(home.chain)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_node_does_not_start_while_its_folder_is_checked(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for folder in (home.chain, home.vault, home.vault_keys):
        LevelStore(folder, create=True).close()
    with stopped(home), copied(home) as copy:
        assert (copy / "chain").is_dir()
        assert start(home) == "storage.in_use"
    assert start(home) == ""

"""LevelDB's thread gives way to those of the node."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from node.storage.background import NICENESS

WRITE_MUCH = """
import json, os, sys, threading
from pathlib import Path
from node.storage.leveldb import LevelStore

stores = [LevelStore(Path(sys.argv[1]) / name, create=True) for name in ("chain", "vault")]
for store in stores:
    for number in range(200):
        store.write({b"%d/%d" % (number, one): os.urandom(1_000) for one in range(100)})
    assert len(list(store.scan(b""))) == 20_000
others = threading.Thread(target=threading.Event().wait, daemon=True)
others.start()
own = {thread.native_id for thread in threading.enumerate()}
niceness = {int(name): os.getpriority(os.PRIO_PROCESS, int(name)) for name in os.listdir("/proc/self/task")}
print(json.dumps([[niceness[one] for one in own], [nice for one, nice in niceness.items() if one not in own]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority is of a whole process")
def test_the_one_thread_of_leveldb_has_a_lower_priority_than_those_of_the_node(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_MUCH, str(tmp_path)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    own, levels = json.loads(ran.stdout)
    assert levels == [own[0] + NICENESS]
    assert own == [own[0]] * 2

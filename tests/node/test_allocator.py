"""What a process does with its memory, seen from outside: freed, it goes back to the system; it goes to no file."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = """
import sys, threading
from pathlib import Path
from node.allocator import keep_little

if sys.argv[1] == "little":
    assert keep_little()

def own_kb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

bytes(32 << 20)  # freed at once: from now on objects of this size are no longer mapped by themselves
before = own_kb()
kept = []

def work():
    for _ in range(8):
        large = [bytearray(b"x") * (1 << 20) for _ in range(4)]
        kept.append(bytearray(b"x") * 2000)
        del large

for _ in range(6):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(own_kb() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="ANOTHER C LIBRARY: its allocator is left as it is")
def test_what_threads_have_freed_goes_back_to_the_system() -> None:
    def grown_kb(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", ROUNDS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert grown_kb("little") < 2_000 < grown_kb("usual")


NO_CORE = """
import resource, sys
from pathlib import Path
from node.process import run_node

assert run_node(Path(sys.argv[1])) == 2
print(resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_node_that_dies_leaves_no_image_of_its_memory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_CORE, str(tmp_path / "none")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "(0, 0)\n"

"""ENOSPC and EIO at each write and each sync of a node's storage: the process ends, and nothing acknowledged is lost.

The faults are the kernel's: injected into system calls by strace, or a real file system that is full.
KEHU_EVERY_WRITE=1 hits every call in turn; without it one in so many (`STRIDES`), so that the run stays short.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.node.failing_disk import EVERY, Fault, Forks, tracer
from tests.node.storage_workload import TURN

pytestmark = pytest.mark.slow

BLOCKS = 4
STRIDES = {"write": 8, "fdatasync": 8, "fsync": 1}
"""A thread syncs whole files only a few times; with longer steps a run may end before any is reached."""
AT_ONCE = 2
UNREACHED = 6 if EVERY else 3
"""After so many indexes in a row that no thread of the run came to, there are no more."""
UNIMPORTANT = {"LOG"}
"""LevelDB's diary for people: nothing is read from it."""
CALLS = [(call, error) for call in ("write", "fdatasync", "fsync") for error in ("ENOSPC", "EIO")]


def require_kept(forks: Forks, folder: Path, height: int, where: object) -> None:
    """A new start finds every acknowledged block, vote, value and erasure, and can go on."""
    seen = json.loads(forks.run("verify", str(folder)).out)
    assert seen["height"] >= height, where
    assert seen["votes"] >= seen["height"], (where, "a vote is durable before its block")
    # A value whose block was appended just before the fault is still staged: the node's `recover` makes it live.
    assert seen["values"] + seen["staged"] + seen["erased"] >= seen["height"], where
    assert seen["erased"] >= height // TURN, where
    went_on = forks.run("run", str(folder), str(seen["height"] + 2))
    assert went_on.exit == 0, (where, went_on.out)
    assert json.loads(forks.run("verify", str(folder)).out)["height"] == seen["height"] + 2


def sweep(forks: Forks, scratch: Path, begin: Path, fault: tuple[str, str], indexes: range) -> Counter[str]:
    """One run from a copy of `begin` for each index, until no more of them are reached. Counts what came of them."""
    before = json.loads(forks.run("verify", str(shutil.copytree(begin, scratch / "before"))).out)["height"]
    ends: Counter[str] = Counter()
    unreached = 0
    for index in indexes:
        folder = shutil.copytree(begin, scratch / str(index))
        ran = forks.run("run", str(folder), str(before + BLOCKS), fault=Fault(*fault, index))
        where = (*fault, index, ran)
        if ran.exit == 0:
            assert ran.acknowledged == before + BLOCKS, where
            assert set(ran.hit) <= UNIMPORTANT, (where, "it went on as if the disk had done it")
        else:
            assert ran.exit == 3, where
            assert ran.hit, where
        if ran.hit:
            require_kept(forks, folder, ran.acknowledged or before, where)
        ends["not reached" if not ran.hit else "ended" if ran.exit else "without effect"] += 1
        shutil.rmtree(folder)
        unreached = 0 if ran.hit else unreached + 1
        if unreached == UNREACHED:
            break
    return ends


@pytest.mark.parametrize("blocks", [0, BLOCKS], ids=["new stores", "stores in use"])
@pytest.mark.parametrize(("call", "error"), CALLS)
def test_a_call_that_fails_ends_the_process_and_loses_nothing(
    tmp_path: Path, call: str, error: str, blocks: int
) -> None:
    tracer()
    begin = tmp_path / "begin"
    begin.mkdir()
    stride = 1 if EVERY else STRIDES[call]
    first = 1 + CALLS.index((call, error)) % stride
    ends: Counter[str] = Counter()
    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
        servers = [stack.enter_context(Forks(tmp_path / f"forks-{number}")) for number in range(AT_ONCE)]
        assert not blocks or servers[0].run("run", str(begin), str(blocks)).exit == 0
        sweeps = []
        for number, forks in enumerate(servers):
            (scratch := tmp_path / f"scratch-{number}").mkdir()
            indexes = range(first + number * stride, 10_000, AT_ONCE * stride)
            sweeps.append(pool.submit(sweep, forks, scratch, begin, (call, error), indexes))
        for each in sweeps:
            ends.update(each.result())
    print(f"{call} {error}, {blocks} blocks before: " + ", ".join(f"{ends[end]} {end}" for end in sorted(ends)))
    assert ends["ended"] >= 2, "the fault was hardly ever injected"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NOT RUN: mounting a small disk needs root and the right to mount")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_is_really_full_ends_the_process_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    injected = 0
    with Forks(tmp_path / "forks") as forks:
        for size_kb in range(300, 700, 50 if EVERY else 200):
            subprocess.run(["mount", "-o", f"remount,size={size_kb}k", str(small_disk)], check=True)
            ran = forks.run("run", str(small_disk), "1000")
            assert ran.exit == 3, ran.out
            injected += 1
            height = ran.acknowledged
            subprocess.run(["mount", "-o", f"remount,size={size_kb + 4000}k", str(small_disk)], check=True)
            seen = json.loads(forks.run("verify", str(small_disk)).out)
            assert seen["height"] >= height
            assert seen["values"] + seen["staged"] + seen["erased"] >= height
            assert seen["votes"] >= seen["height"]
        print(f"full disk: {injected} times, at height {height} in the end, lost nothing")
        require_kept(forks, small_disk, height, "full disk")

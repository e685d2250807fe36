"""ENOSPC and EIO at each write and each sync of a node's storage: the process ends, and nothing acknowledged is lost.

The faults are the kernel's: injected into system calls by strace, or a real file system that is full.
KEHU_EVERY_WRITE=1 hits every call in turn; without it a sample, so that the run stays short.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BLOCKS = 6
EVERY = os.environ.get("KEHU_EVERY_WRITE") == "1"
CALLS_MAX = 200
"""More than a run makes; the search ends at the first fault that is never reached."""


def workload(*arguments: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    command = [*under, sys.executable, "-m", "tests.node.storage_workload", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=120)


def acknowledged(ran: subprocess.CompletedProcess[bytes]) -> int:
    return max((int(line.split()[1]) for line in ran.stdout.splitlines() if line.startswith(b"ack ")), default=0)


def require_kept(folder: Path, height: int, where: object) -> None:
    """A new start finds every acknowledged block, vote and value, and can go on."""
    seen = json.loads(workload("verify", str(folder)).stdout)
    assert seen["height"] >= height, where
    assert seen["votes"] >= seen["height"], (where, "a vote is durable before its block")
    # A value whose block was appended just before the fault is still staged: the node's `recover` makes it live.
    assert seen["values"] + seen["staged"] >= seen["height"], where
    went_on = workload("run", str(folder), str(seen["height"] + 2))
    assert went_on.returncode == 0, (where, went_on.stderr.decode())
    assert json.loads(workload("verify", str(folder)).stdout)["height"] == seen["height"] + 2


def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        pytest.skip("NOT RUN: strace is not here, so no system call can be made to fail")
    probe = subprocess.run([found, "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("NOT RUN: strace may not trace here")
    return found


@pytest.mark.parametrize(
    ("calls", "error"), [("write", "ENOSPC"), ("write", "EIO"), ("fdatasync", "EIO"), ("fsync", "EIO")]
)
def test_a_call_that_fails_ends_the_process_and_loses_nothing(tmp_path: Path, calls: str, error: str) -> None:
    tracer = strace()

    def fail_at(index: int) -> tuple[int, int]:
        folder = tmp_path / f"{index}"
        folder.mkdir()
        inject = f"inject={calls}:error={error}:when={index}"
        ran = workload("run", str(folder), str(BLOCKS), under=(tracer, "-f", "-qq", "-o", "/dev/null", "-e", inject))
        height = acknowledged(ran)
        if ran.returncode == 0:
            assert height == BLOCKS
            return index, 0
        assert ran.returncode == 3, (calls, error, index, ran.stderr.decode())
        assert height < BLOCKS
        require_kept(folder, height, (calls, error, index))
        shutil.rmtree(folder)
        return index, 3

    indexes = range(1, CALLS_MAX) if EVERY else (4, 13, 24)
    ends: Counter[int] = Counter()
    with ThreadPoolExecutor(2) as pool:
        for begin in range(0, len(indexes), 8):
            batch = [end for _, end in pool.map(fail_at, indexes[begin : begin + 8])]
            ends.update(batch)
            if batch.count(0) == len(batch):
                break
    print(f"{calls} {error}: injected {ends[3]} times, never reached {ends[0]} times, lost nothing")
    assert ends[3] >= 2, "the fault was hardly ever injected"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NOT RUN: mounting a small disk needs root and the right to mount")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_is_really_full_ends_the_process_and_loses_nothing(small_disk: Path) -> None:
    injected = 0
    for size_kb in range(300, 700, 50 if EVERY else 200):
        subprocess.run(["mount", "-o", f"remount,size={size_kb}k", str(small_disk)], check=True)
        ran = workload("run", str(small_disk), "1000")
        assert ran.returncode == 3, ran.stderr.decode()
        injected += 1
        height = acknowledged(ran)
        subprocess.run(["mount", "-o", f"remount,size={size_kb + 4000}k", str(small_disk)], check=True)
        seen = json.loads(workload("verify", str(small_disk)).stdout)
        assert seen["height"] >= height
        assert seen["values"] + seen["staged"] >= height
        assert seen["votes"] >= seen["height"]
    print(f"full disk: {injected} times, at height {height} in the end, lost nothing")
    require_kept(small_disk, height, "full disk")

"""A disk for each department: ext4 in a file, mounted by a loop device, that can lose its power, fill up or fail."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import time
from pathlib import Path
from typing import Final

from tests.chaos.machine import ToolError, run

SIZE_BYTES: Final = 512 << 20
_SHUTDOWN: Final = 0x8004587D
"""EXT4_IOC_SHUTDOWN (linux/fs/ext4/ext4.h)."""
_NO_LOG_FLUSH: Final = 2
"""What the journal has not written yet is gone too, as with the power."""
_FILLER: Final = "filler"
_UNMOUNT_S: Final = 15.0


class Disk:
    """`image` is the disk, `place` where it is mounted."""

    def __init__(self, image: Path, place: Path) -> None:
        self.image, self.place = image, place

    def make(self) -> None:
        """Formats it; what is in `place` by then is its first content."""
        before = self.place.with_name(self.place.name + ".before")
        self.place.rename(before)
        self.place.mkdir(mode=0o700)
        self.image.touch()
        os.truncate(self.image, SIZE_BYTES)
        # No blocks kept back for root: the node runs as root here, and a full disk has to be full for it as well.
        run("mkfs.ext4", "-q", "-F", "-m", "0", str(self.image))
        self.mount()
        shutil.copytree(before, self.place, dirs_exist_ok=True)
        self.place.chmod(0o700)
        shutil.rmtree(before)
        os.sync()

    def mount(self) -> None:
        run("mount", "-o", "loop", str(self.image), str(self.place))

    def unmount(self) -> None:
        """Waits for whoever still has a file open. Errors: ToolError."""
        deadline = time.monotonic() + _UNMOUNT_S
        while True:
            try:
                run("umount", str(self.place))
                return
            except ToolError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def cut_power(self) -> None:
        """From now on nothing reaches the disk, and what was not synced never will. Reads and writes fail (EIO)."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def give_power(self) -> None:
        """Mounted anew: the journal is replayed."""
        self.unmount()
        self.mount()

    def fill(self) -> None:
        """Not a byte is free."""
        descriptor = os.open(self.place / _FILLER, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            size = 1 << 26
            while size >= 1:
                try:
                    end = os.fstat(descriptor).st_size
                    os.posix_fallocate(descriptor, end, size)
                except OSError:
                    size //= 2
        finally:
            os.close(descriptor)

    def empty(self) -> None:
        (self.place / _FILLER).unlink(missing_ok=True)

    def abort(self) -> None:
        """As after an error of the journal: the file system is read-only for whoever has it open."""
        run("mount", "-o", "remount,abort", str(self.place))


def remove_all(folder: Path) -> None:
    """Unmounts and forgets every disk whose image or place lies in `folder`."""
    for line in reversed(Path("/proc/mounts").read_text(encoding="utf-8").splitlines()):
        place = line.split()[1]
        if Path(place).is_relative_to(folder):
            with contextlib.suppress(ToolError):
                run("umount", place)
    for line in run("losetup", "-a").splitlines():
        if f"({folder}/" in line:
            with contextlib.suppress(ToolError):
                run("losetup", "-d", line.partition(":")[0])

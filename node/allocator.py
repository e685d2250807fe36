"""What the C library does with memory that was freed, where it is glibc.

By default each thread has an arena of its own, which keeps what was freed in it; and the size from which an object
gets pages of its own, which go back at once, rises to that of the largest one that was ever freed. After a quarter of
an hour at load more than half of what a node had taken that way was free room (docs/reliability.md).
"""

from __future__ import annotations

import ctypes
from typing import Final

# malloc.h; man mallopt(3)
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
SETTINGS: Final = {_ARENA_MAX: 1, _MMAP_THRESHOLD: 288 << 10, _TRIM_THRESHOLD: 1 << 20}
"""The interpreter lets one thread run at a time, so one arena is enough. Bytes; asyncio makes an object of 256 KiB for
every read, and to map and unmap that costs seven times as much as the read."""


def keep_little() -> bool:
    """To be called before there are threads. False: another C library, whose ways these are not."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(mallopt(setting, value) for setting, value in SETTINGS.items())

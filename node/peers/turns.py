"""Large answers to peers, which take threads and the disk: each department has its turn.

Whoever catches up, or takes a snapshot, asks for one piece and works on it before it asks for the next. Somebody who
only asks, for everything and all the time, costs half a thread where a piece takes no more than a second, and never
more than one: the threads store blocks as well.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

REST_MAX_S: Final = 1.0
"""Where the disk is slow, or others are waited for, a rest as long as the work would use up the time for which an
honest department waits for its next piece (node/snapshot/sync.py): this node would count as one that gives nothing."""


class Turns:
    """Answers one request of each department at a time, and rests as long as it worked before that one's next, but no
    longer than `REST_MAX_S`."""

    def __init__(self) -> None:
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._free_s: dict[str, float] = {}

    async def take(self, department: str, work: Callable[[], Awaitable[bytes]]) -> bytes:
        clock_s = asyncio.get_running_loop().time
        async with self._turns[department]:
            await asyncio.sleep(self._free_s.get(department, 0.0) - clock_s())
            begun_s = clock_s()
            try:
                return await work()
            finally:
                ended_s = clock_s()
                self._free_s[department] = ended_s + min(ended_s - begun_s, REST_MAX_S)

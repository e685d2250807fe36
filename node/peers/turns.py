"""Large answers to peers, which take threads and the disk: each department has its turn.

Whoever catches up, or takes a snapshot, asks for one piece and works on it before it asks for the next. Somebody who
only asks, for everything and all the time, costs half a thread at most, and never takes all the threads, which also
store blocks.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable


class Turns:
    """Answers one request of each department at a time, and rests as long as it worked before that one's next."""

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
                self._free_s[department] = 2 * clock_s() - begun_s

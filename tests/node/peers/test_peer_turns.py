"""Large answers have their turn, and who asks for one at a time gets each in the time for which it waits."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from node.peers.turns import Turns
from node.snapshot.sync import REQUEST_S
from tests.node_simulation.loop import SimLoop


@pytest.mark.parametrize("work_s", [0.01, 2.0, 0.8 * REQUEST_S])
def test_where_each_piece_takes_long_none_of_them_comes_too_late(work_s: float) -> None:
    """The rest was as long as the work: of a piece of six seconds each next one took twelve, and was given up."""

    async def work() -> bytes:
        await asyncio.sleep(work_s)
        return b"piece"

    async def take_several() -> float:
        turns = Turns()
        for _ in range(4):
            async with asyncio.timeout(REQUEST_S):
                assert await turns.take("sales", work) == b"piece"
        return asyncio.get_running_loop().time()

    with closing(SimLoop()) as loop:
        took_s = loop.run_until_complete(take_several())
    assert took_s > 4 * work_s + 2 * min(work_s, 1.0)

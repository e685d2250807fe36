"""Several works that only make sense together: when one fails, the others end, and its own error comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def run_together(*works: Callable[[], Awaitable[None]]) -> None:
    """Runs `works` until all have ended, one has failed, or the caller is cancelled; none is left running.

    Unlike a TaskGroup it raises the error itself and not a group of one: whoever runs a node tells a failed disk
    from a broken invariant by the type.
    """
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()

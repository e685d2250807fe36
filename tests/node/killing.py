"""Work that is killed at each of its steps, in a process of its own: what it leaves is what a kill leaves."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any, Final

from node.storage import durable

STEPS: Final[tuple[tuple[object, str], ...]] = (
    (os, "fsync"), (os, "link"), (os, "rename"), (os, "replace"), (os, "unlink"), (durable, "write_fully"),
)  # fmt: skip
"""What changes a folder, but a database: those have threads, which a process that was forked has not."""


def killed_at(count: int, work: Callable[[], object]) -> bool:
    """In a process that is killed at its call number `count` of `STEPS`. False: it came to its end."""
    child = os.fork()
    if child == 0:
        calls = itertools.count()

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def run(*arguments: Any, **named: Any) -> Any:
                if next(calls) == count:
                    os._exit(1)
                return call(*arguments, **named)

            return run

        for owner, name in STEPS:
            setattr(owner, name, counted(getattr(owner, name)))
        try:
            work()
        except BaseException:
            os._exit(2)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code != 2
    return code == 1

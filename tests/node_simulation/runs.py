"""One seed: the same code for the command and the tests. Nothing of a world outlives its run but the outcome."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from unittest.mock import patch

from node.replica import driver
from tests.node_simulation.checkers import ViolationError
from tests.node_simulation.loop import SimLoop
from tests.node_simulation.plan import Plan
from tests.node_simulation.world import World

SHORT_LOG_BYTES: Final = 4_000


@dataclass(slots=True)
class Outcome:
    """What one seed came to. `failure` is empty if every property held; `where` says where it was found."""

    seed: int
    plan: Plan
    trace: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    height: int = 0
    virtual_s: float = 0.0
    convergence_s: float = 0.0
    failure: str = ""
    where: str = ""


def run_seed(seed: int, plan: Plan | None = None) -> Outcome:
    with quiet():
        outcome, loop = _run(seed, plan)
        dispose(loop)
        return outcome


def _run(seed: int, plan: Plan | None) -> tuple[Outcome, SimLoop]:
    with tempfile.TemporaryDirectory(prefix="kehu-simulation-") as folder:
        world = World(seed, Path(folder), plan)
        outcome = Outcome(seed, world.plan)
        try:
            with log_bytes_max(SHORT_LOG_BYTES if world.plan.has_short_logs else driver.LOG_BYTES_MAX):
                world.run()
        except Exception as error:  # every seed is run, whatever one of them finds
            outcome.failure = f"{type(error).__name__}: {error}"
            outcome.where = "".join(traceback.format_exception(error))
        outcome.trace, outcome.counts, outcome.height = world.digest(), world.counts, world.checker.height
        outcome.virtual_s, outcome.convergence_s = world.loop.time(), world.convergence_s
        return outcome, world.loop


def require_seed(seed: int, plan: Plan | None = None) -> Outcome:
    """As `run_seed`; raises what went wrong."""
    outcome = run_seed(seed, plan)
    if outcome.failure:
        raise ViolationError(f"{outcome.failure}\n{outcome.where}\n{replay_command(seed)}")
    return outcome


def replay_command(seed: int) -> str:
    return f"python -m tests.node_simulation --seed {seed}"


def dispose(loop: SimLoop) -> None:
    """What is left of processes that died is collected here, while its loop still takes what it has to say."""
    loop.set_exception_handler(lambda *_: None)
    _let_go(loop)
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    with warnings.catch_warnings(action="ignore"):
        while loop.tidy():
            gc.collect()
    sys.unraisablehook = hook
    loop.close()


def _let_go(loop: SimLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]


@contextmanager
def log_bytes_max(limit: int) -> Iterator[None]:
    """From how large on every node's vote log is shortened."""
    with patch.object(driver, "LOG_BYTES_MAX", limit):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """What the nodes say is of no interest here, and nothing is collected while nodes run: a dead process's coroutines
    would clean up in the name of another."""
    disabled, was_collecting = logging.root.manager.disable, gc.isenabled()
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        yield
    finally:
        if was_collecting:
            gc.enable()
        logging.disable(disabled)

"""The run in figures: what was injected, what was lost, how long it took, how much memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.chaos.plan import SHAPES
from tests.chaos.play import COMMITS_AGAIN_S, FAIL_OVER_S, READY_AGAIN_S, Figures
from tests.chaos.told import Told
from tests.chaos.watch import MEGABYTE, Watch

MEMORY_MAX: Final = 512 * MEGABYTE


def report(figures: Figures, told: Told, watch: Watch, slack: float, kinds: Sequence[str]) -> bool:
    """Prints it; whether every promise was kept."""
    wrongs = [*figures.wrongs, *(f"{name} was never injected" for name in _missing(figures, kinds))]
    if watch.most_bytes() > MEMORY_MAX:
        wrongs.append(f"a node took {watch.most_bytes() // MEGABYTE} MiB, more than {MEMORY_MAX // MEGABYTE}")
    print(f"\n{'fault':24}{'rounds':>8}{'injected':>10}{'lost':>6}")
    for kind in sorted(figures.rounds):
        print(f"{kind:24}{figures.rounds[kind]:>8}{figures.injected[kind]:>10}{_lost(figures):>6}")
    counts = told.counts()
    print(f"\nclients sent {len(told.intents)} transactions: "
          + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))  # fmt: skip
    for what, counted in (("refused or failed by", told.codes()), ("reads", told.reads)):
        print(f"{what}: " + (", ".join(f"{count} {name}" for name, count in sorted(counted.items())) or "none"))
    _distribution("fail-over", figures.fail_over_s, FAIL_OVER_S, slack)
    _distribution("commits again after healing", figures.commit_s, COMMITS_AGAIN_S, slack)
    _distribution("all departments level and ready", figures.ready_s, READY_AGAIN_S, slack)
    print(f"one chain of {figures.height} blocks; audited: {', '.join(figures.audited)}")
    print("resident memory:", *watch.memory(), sep="\n  ")
    print(f"{figures.seconds:.0f} s in all")
    for wrong in wrongs:
        print(f"WRONG: {wrong}")
    print("every promise was kept" if not wrongs else f"{len(wrongs)} broken promises")
    return not wrongs


def _lost(figures: Figures) -> str:
    """The chain is checked once, after everything: a loss cannot be laid at one kind's door."""
    return "?" if any("lost" in wrong for wrong in figures.wrongs) else "0"


def _missing(figures: Figures, kinds: Sequence[str]) -> list[str]:
    wanted = [*kinds, *(f"{kind} (hard)" for kind in kinds if SHAPES[kind].is_hard)]
    return [kind for kind in wanted if not figures.injected[kind]]


def _distribution(what: str, seconds: Sequence[float], bound_s: float, slack: float) -> None:
    if not seconds:
        print(f"{what}: not measured")
        return
    ordered = sorted(seconds)
    beyond = sum(value > bound_s for value in ordered)
    print(f"{what}: median {ordered[len(ordered) // 2]:.2f} s, most {ordered[-1]:.2f} s, {beyond} of {len(ordered)} "
          f"beyond the stated {bound_s:g} s (a run fails at {bound_s * slack:g} s)")  # fmt: skip

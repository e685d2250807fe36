"""What the figures are to reach, as data: the report puts each row beside its figure and says whether it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Target:
    """`path`: where the figure stands, a number or a map with "median". `is_most`: the figure may be at most that."""

    path: tuple[str, ...]
    text: str
    reach: float
    beyond: float
    is_most: bool = False

    def verdict(self, value: float) -> str:
        """ "beyond", "reached" or "not reached"."""
        for limit, word in ((self.beyond, "beyond"), (self.reach, "reached")):
            if value <= limit if self.is_most else value >= limit:
                return word
        return "not reached"


TARGETS: Final = (
    Target(("four", "hundred", "ratio_to_bound"), "four nodes, 100 per request, of the bound", 0.45, 0.6),
    Target(("four", "one", "ratio_to_bound"), "four nodes, one per request, of the bound", 0.25, 0.4),
    Target(("six", "hundred", "ratio_to_bound"), "six nodes, 100 per request, of their bound", 0.45, 0.6),
    Target(("four", "stopped", "ratio"), "one node stopped, of the healthy rate", 0.9, 1.0),
    Target(("many", "ratio"), "many records, of the rate with few", 0.9, 1.0),
    Target(("four", "latency", "unloaded_ms", "p50"), "unloaded commit p50, ms", 5, 2.5, is_most=True),
    Target(("four", "latency", "unloaded_ms", "p99"), "unloaded commit p99, ms", 15, 5, is_most=True),
    Target(("four", "latency", "half_load_ms", "p99"), "half load p99, ms", 100, 30, is_most=True),
    Target(("four", "audit", "one_core_per_second"), "audit on one core, tx/s", 15_000, 20_000),
    Target(("four", "audit", "speed_up"), "audit, speed-up by the other cores", 1.8, 1.9),
    Target(("four", "read_ms", "p50"), "read on the record p50, ms", 8, 4, is_most=True),
    Target(("many", "memory_mb_at_100k_records"), "memory of a node with 100,000 records, MB", 200, 120, is_most=True),
    Target(("blocks", "first_vote_s"), "first vote of a node with a long chain, s", 10, 5, is_most=True),
)


@dataclass(frozen=True, slots=True)
class Judged:
    target: Target
    value: float
    verdict: str


def judged(figures: Mapping[str, Any]) -> list[Judged]:
    """Every target whose figure was measured, in the order of `TARGETS`."""
    found = []
    for target in TARGETS:
        value = figure_at(figures, target.path)
        if value is not None:
            found.append(Judged(target, value, target.verdict(value)))
    return found


def figure_at(figures: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    """A number, or the median of several; None where it was not measured."""
    value: Any = figures
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    value = value.get("median") if isinstance(value, Mapping) else value
    return float(value) if isinstance(value, (int, float)) else None

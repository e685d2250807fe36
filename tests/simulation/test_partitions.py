"""Scenario 19: every way to divide networks of four and seven, healed link by link in any order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations
from random import Random

import pytest

from tests.simulation.faults import Cut
from tests.simulation.plan import Plan
from tests.simulation.runs import decoding_once
from tests.simulation.world import World

BEGIN_MS = 300
LINK_MS = (1_000, 5_000)
"""Each link comes back by itself, this long after it went."""


def splits(names: tuple[str, ...]) -> Iterator[tuple[set[str], set[str]]]:
    """Every pair of groups that all are in."""
    first, *others = names
    for size in range(1, len(names)):
        for group in combinations(others, size):
            yield {first, *others} - set(group), set(group)


def both_ways(one: set[str], other: set[str]) -> Cut:
    return tuple((a, b) for a, b in permutations(one | other, 2) if (a in one) != (b in one))


def shapes(names: tuple[str, ...]) -> Iterator[tuple[str, Cut]]:
    for one, other in splits(names):
        yield f"{sorted(one)} and {sorted(other)}", both_ways(one, other)
        for deaf, heard in ((one, other), (other, one)):
            pairs = tuple((sender, receiver) for sender in sorted(heard) for receiver in sorted(deaf))
            yield f"{sorted(deaf)} do not hear {sorted(heard)}", pairs
    for bridge in names:
        for one, other in splits(tuple(name for name in names if name != bridge)):
            yield f"{bridge} between {sorted(one)} and {sorted(other)}", both_ways(one, other)
    size = len(names)
    near = {(names[at], names[(at + step) % size]) for at in range(size) for step in (1, size - 1)}
    yield "a ring", tuple(pair for pair in permutations(names, 2) if pair not in near)


def divide(world: World, pairs: Cut, rng: Random) -> None:
    world.cuts.update(pairs)
    for link in sorted({(min(pair), max(pair)) for pair in pairs}):
        both = tuple(pair for pair in pairs if (min(pair), max(pair)) == link)
        world.at(rng.randint(*LINK_MS), world.uncut, both)


@pytest.mark.parametrize(("n", "count"), [(4, 34), pytest.param(7, 407, marks=pytest.mark.slow)])
def test_every_partition_heals_whatever_link_comes_back_first_scenario_19(n: int, count: int) -> None:
    """One chain, nothing lost, and all level within the stated time: the world checks that."""
    names = World(0, Plan.fault_free(n, 0)).names
    divided = list(shapes(names))
    assert len(divided) == len({pairs for _, pairs in divided}) == count
    with decoding_once():
        for number, (shape, pairs) in enumerate(divided):
            rng = Random(number)
            world = World(number, Plan(n, chaos_ms=BEGIN_MS + LINK_MS[1], transactions=8))
            world.at(BEGIN_MS, divide, world, pairs, rng)
            try:
                world.run()
            except Exception as error:
                error.add_note(f"{shape}, seed {number}")
                raise
            assert not world.cuts

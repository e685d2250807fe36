"""A node that lost its vote log, and perhaps its chain, while members changed: it says nothing against what it said."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from tests.simulation.checkers import ViolationError
from tests.simulation.plan import CHANGE_KINDS, LOG_LOST, Plan
from tests.simulation.runs import decoding_once
from tests.simulation.world import World

SIZES = (4, 5, 7)


def world_of(seed: int) -> World:
    """One member's log is lost in the middle of changes, beside whatever else the seed draws; with it at most f."""
    rng = Random(f"lost {seed}")
    drawn = Plan.drawn(rng, rng.choice(SIZES))
    kind, changes = rng.choice(LOG_LOST), tuple(rng.choice(CHANGE_KINDS) for _ in range(rng.randint(1, 3)))
    byzantine = drawn.byzantine[: (drawn.n - 1) // 3 - 1]
    plan = replace(drawn, damaged=(kind,), byzantine=byzantine, changes=changes, distance=rng.choice((2, 2, 3)))
    return World(seed, replace(plan, is_storm=False, chaos_ms=6_000, crashes=2))


@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 140), marks=pytest.mark.slow)])
def test_a_lost_log_is_never_contradicted_across_changes_of_membership(seeds: range) -> None:
    lost = changed = 0
    for seed in seeds:
        world = world_of(seed)
        assert set(world.faults.to_damage) <= set(world.checker.said)
        with decoding_once():
            world.run()
        lost += sum(world.counts[kind] for kind in LOG_LOST)
        changed += sum(world.counts[kind] for kind in CHANGE_KINDS)
    assert lost >= len(seeds) // 2
    assert changed >= len(seeds) // 2


@pytest.mark.slow
def test_an_observer_that_votes_at_once_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The property can fail: without R7 the same networks show second votes, or votes of who should observe."""
    monkeypatch.setattr("tests.simulation.disk.Disk.open_log", lambda self: [record for _, record in self.votes])
    caught = 0
    for seed in range(60):
        try:
            with decoding_once():
                world_of(seed).run()
        except ViolationError as violation:
            caught += "twice, differently" in str(violation) or "before it was durable" in str(violation)
    assert caught

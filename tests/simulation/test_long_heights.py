"""Heights that last for many views: shortened vote logs, and certificates of blocks that nobody has any more."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from tests.simulation.cheap_crypto import validators_of
from tests.simulation.disk import Disk
from tests.simulation.plan import Plan
from tests.simulation.runs import decoding_once
from tests.simulation.world import World

SHORT_VIEWS = {"view_timeout_ms": 100, "view_timeout_max_ms": 200, "retransmit_ms": 40, "views_kept": 2}
"""Views follow each other fast, and of few blocks the bodies are kept: six seconds are as hours."""
SOON_MS = 2_000


def long_height(seed: int, plan: Plan) -> World:
    """As many correct members as may be faulty are away until the network heals, beside the faulty ones."""
    world = World(seed, plan)
    world.limits |= SHORT_VIEWS
    away = {node.name for node in world.correct[: (plan.n - 1) // 3]}
    pairs = tuple(pair for pair in permutations(world.names, 2) if away & set(pair))
    world.at(0, world.faults.cut, pairs, plan.chaos_ms)
    with decoding_once():
        world.run()
    return world


@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 80), marks=pytest.mark.slow)])
def test_certificates_shown_when_their_blocks_are_forgotten_hold_nobody_up(seeds: range) -> None:
    """Where they do, some seeds come to an end by luck, and late."""
    shown = 0
    for seed in seeds:
        n = (4, 4, 5, 7)[seed % 4]
        world = long_height(seed, Plan(n, 6_000, 20, byzantine=("late_prover",) * ((n - 1) // 3)))
        shown += world.counts["late_certificate"]
        assert world.counts["view_change"] > 40
        assert world.counts["convergence_ms"] < SOON_MS
    assert shown > 40 * len(seeds)


@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 80), marks=pytest.mark.slow)])
def test_who_goes_on_from_a_shortened_log_is_bound_by_all_it_said(seeds: range) -> None:
    """The checker knows all that was ever durable. Restarts and power cuts come with the shortening."""
    shortened = crashes = 0
    for seed in seeds:
        n = (4, 5, 7)[seed % 3]
        plan = Plan(n, 6_000, 20, loss=0.05, crashes=4, byzantine=("late_prover",) * ((n - 1) // 3))
        world = long_height(seed, replace(plan, has_short_logs=True))
        shortened += world.counts["short_log"]
        crashes += world.counts["crash"]
    assert shortened > 20 * len(seeds)
    assert crashes > 4 * len(seeds)


def test_a_log_that_is_put_back_after_it_was_shortened_is_one_that_there_was() -> None:
    """Seed 1488: what was cut off the end of a shortened log had been its only body of the block that was prepared."""
    disk = Disk(sets=[(0, validators_of(4))])
    disk.all_votes = [(3, b"prepare"), (3, b"commit"), (3, b"prepare again")]
    disk.votes = disk.all_votes[1:]
    disk.roll_back(1)
    assert disk.votes == [(3, b"prepare"), (3, b"commit")]

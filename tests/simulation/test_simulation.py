"""Simulated networks with real replicas: safety throughout, convergence and silence after healing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.__main__ import replay_command, run_seed
from tests.simulation.faults import FAULT_KINDS, Plan
from tests.simulation.world import World

FAST_SEEDS = 200
"""`python -m tests.simulation --seeds 10000` is for the hand; these are for every commit."""

REGRESSIONS = {
    262: "an idle observer that missed the last block was never told of it",
    1020: "an idle replica that caught up to one height short did not ask for the last block",
    2346: "as 262, with a silent member",
    2912: "as 1020, after two crashes",
    3012: "a status about the last block counted as news of the next one, so an idle replica asked for ever",
    3408: "a replica restarted while it observed took its new, empty vote log for a whole one and voted twice",
    5516: "as 3408, in another view",
}
"""Seeds that once failed, and what was wrong. None is ever removed."""


def test_hundreds_of_seeds_keep_every_property_and_inject_every_fault() -> None:
    counts: Counter[str] = Counter()
    for seed in range(FAST_SEEDS):
        try:
            counts.update(run_seed(seed).counts)
        except Exception as error:
            error.add_note(f"replay: {replay_command(seed, None, has_real_crypto=False)}")
            raise
    assert [kind for kind in FAULT_KINDS if not counts[kind]] == []


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_a_seed_that_failed_once_passes(seed: int) -> None:
    run_seed(seed)


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_without_faults_there_is_no_view_change_and_no_accusation(n: int) -> None:
    world = World(n, Plan.fault_free(n, 60))
    world.run()
    assert world.counts["view_change"] == 0
    assert world.accusations == []
    assert world.counts["fetch"] == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_real_signatures_behave_as_cheap_ones(seed: int) -> None:
    run_seed(seed, 4, has_real_crypto=True)


def trace_under(hash_seed: str, seed: int) -> str:
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed)]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("seed", [262, 7, 8])
def test_the_trace_is_the_same_under_any_hash_seed_b39(seed: int) -> None:
    assert trace_under("0", seed) == trace_under("4242", seed)


@pytest.mark.slow
def test_thousands_of_seeds() -> None:
    for seed in range(FAST_SEEDS, 4_000):
        run_seed(seed)

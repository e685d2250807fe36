"""Simulated networks of real nodes: nothing lost, nothing forked, nothing shown or kept that must not be."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest

from chain import execution
from chain.protocol import NEWEST
from node.replica.driver import Driver
from node.vault.keys import RecordKeys
from node.vault.refill import Refill
from node.vault.store import Vault
from tests.node_simulation.__main__ import main
from tests.node_simulation.campaign import HASH_SEEDS, run_campaign, traces_under
from tests.node_simulation.checkers import Checker, ViolationError
from tests.node_simulation.disk import SimVoteLog
from tests.node_simulation.plan import DAMAGE_KINDS, FAULT_KINDS, Plan
from tests.node_simulation.runs import require_seed, run_seed

REGRESSIONS: dict[int, str] = {}
"""Seeds that once failed, and what was wrong. None is ever removed."""


def test_without_faults_everything_commits_and_settles_at_once() -> None:
    outcome = require_seed(1, Plan(4, chaos_s=8.0))
    assert outcome.counts["register"] > 0
    assert outcome.counts["unknown_outcome"] == 0
    assert outcome.convergence_s <= 1.0


def test_a_network_whose_clocks_are_all_set_back_an_hour_goes_on_at_once() -> None:
    outcome = require_seed(1, Plan(4, chaos_s=8.0, ahead_ms=3_600_000))
    assert outcome.counts["clocks_set_back"] == 1
    assert outcome.convergence_s <= 1.0


@pytest.mark.slow
def test_a_small_network_keeps_every_property_under_power_cuts_and_broken_links() -> None:
    outcome = require_seed(2, Plan(4, chaos_s=8.0, operations=8, resets=0.005, kills=1, power_cuts=3))
    assert outcome.counts["power_cut"] > 0
    assert outcome.counts["link_reset"] > 0


@pytest.mark.slow
def test_vote_logs_that_are_shortened_all_the_time_lose_nothing_under_power_cuts() -> None:
    counts = sum((require_seed(seed, SHORT).counts for seed in range(3)), Counter[str]())
    assert counts["short_log"] > 30
    assert counts["power_cut"] + counts["kill"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", DAMAGE_KINDS)
def test_f_members_that_are_faulty_in_one_way_do_no_harm_and_come_back(kind: str) -> None:
    plan = Plan(7, chaos_s=8.0, damaged=(kind, kind))
    counts = sum((require_seed(seed, plan).counts for seed in range(2)), Counter[str]())
    assert counts[{"clock": "clock_step"}.get(kind, kind)] > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", REGRESSIONS)
def test_a_seed_that_failed_once_passes(seed: int) -> None:
    require_seed(seed)


@pytest.mark.slow
def test_seeds_keep_every_property() -> None:
    """`make simulate-nodes` runs more of them, and demands every kind of fault."""
    done = run_campaign(5, 4)
    assert done.failures == []
    assert sum(done.counts[kind] for kind in FAULT_KINDS) > 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trace_under_other_hash_seeds() -> None:
    seeds = range(3, 6)
    here = [run_seed(seed).trace for seed in seeds]
    for hash_seed in HASH_SEEDS:
        assert traces_under(hash_seed, seeds) == here


@pytest.mark.slow
def test_one_seed_can_be_replayed_by_the_command_that_a_failure_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ViolationError("on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(Checker, "check_all", fail)
        patch.setattr(sys, "argv", ["node_simulation", "--seeds", "1", "--from", "7", "--processes", "1"])
        assert main() == 1
    assert "    python -m tests.node_simulation --seed 7\n" in capsys.readouterr().out
    command = [sys.executable, "-m", "tests.node_simulation", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"trace {run_seed(7).trace}"


async def _nothing(*_: object) -> None:
    """Done by nobody."""


def _cleared(log: SimVoteLog, _records: object) -> None:
    log._votes().clear()
    log._recount()


SHORT = Plan(4, chaos_s=8.0, operations=12, kills=4, power_cuts=6, has_short_logs=True)
CAREFUL = Plan(4, chaos_s=8.0, operations=12, resets=0.005, kills=3, power_cuts=6, damaged=("wiped",))
BUSY = Plan(4, chaos_s=8.0, operations=40)
GRABBED = Plan(4, chaos_s=8.0, damaged=("grabber",))
BUGS = {
    "votes are not synced": (Driver, "_flush", _nothing, CAREFUL, "votelog.old|another block"),
    "record keys stay after an erasure": (RecordKeys, "purge", lambda *_: None, BUSY, "bytes of erased"),
    "what was fetched is not kept": (Refill, "_keep", _nothing, CAREFUL, "lacks"),
    "who lost a grant keeps the values": (Vault, "drop", lambda *_: None, BUSY, "still has"),
    "a log that is shortened keeps nothing": (SimVoteLog, "rewrite", _cleared, SHORT, "votelog.old|another block"),
    "others' transactions are used up": (execution, "HOME_ONLY", NEWEST + 1, GRABBED, "people.wrong_node"),
}


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_the_checkers_find_a_node_that_does_wrong(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this the silence of the checkers would show nothing."""
    owner, name, wrong, plan, pattern = BUGS[bug]
    monkeypatch.setattr(owner, name, wrong)
    failures = (run_seed(seed, plan).failure for seed in range(8))
    assert any(re.search(pattern, failure) for failure in failures)

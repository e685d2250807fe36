"""Every bug put in on purpose is found: by a seed of the simulator, or by the named test of its rule."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.consensus import test_new_view, test_ordering, test_recovery, test_view_change
from tests.simulation import mutants
from tests.simulation.__main__ import run_seed

FOUND_BY: dict[str, Callable[[], object]] = {
    "quorum of 2f+1 (B16)": partial(
        test_ordering.test_a_quorum_is_what_the_validator_set_says_for_every_n_b16, n=6, quorum=4
    ),
    "sends before persisting": partial(run_seed, 0),
    "forgets its votes (B20)": partial(run_seed, 0),
    "forgets its PREPAREs": partial(run_seed, 0),
    "forgets its COMMITs": test_recovery.test_a_restart_keeps_the_prepared_certificate,
    "forgets its VIEW-CHANGEs": partial(run_seed, 0),
    "restarts into an asked-for view (B02)": (
        test_recovery.test_a_restart_in_a_view_that_was_only_asked_for_leaves_it_closed_b02
    ),
    "ignores prepared certificates": test_new_view.test_a_prepared_block_is_proposed_again_with_its_id,
    "one bad certificate spoils all (B01)": test_new_view.test_a_garbage_certificate_does_not_hide_a_valid_one_b01,
    "shows no prepared certificate": test_new_view.test_a_prepared_block_is_proposed_again_with_its_id,
    "adopts views after voting (R4)": (
        test_new_view.test_replicas_that_voted_in_the_first_view_enter_a_higher_one_by_new_view_only
    ),
    "follows a single member (B07)": test_view_change.test_one_member_with_a_huge_view_moves_nobody_b07,
    "never repeats itself": partial(run_seed, 0),
    "counts votes for any block": partial(run_seed, 0),
    "votes without its log (B21)": (
        test_recovery.test_a_replica_without_its_log_observes_until_every_height_it_may_have_voted_on_has_passed_b21
    ),
    "takes any block in a new view": test_new_view.test_in_a_view_with_a_required_block_no_other_is_accepted,
    "believes every body": test_ordering.test_a_body_that_is_not_of_the_block_is_not_voted_for,
}


def test_every_mutant_has_a_finder() -> None:
    assert FOUND_BY.keys() == mutants.MUTANTS.keys()


@pytest.mark.parametrize("name", FOUND_BY)
def test_a_bug_put_in_on_purpose_is_found(name: str) -> None:
    FOUND_BY[name]()
    with mutants.MUTANTS[name](), pytest.raises(Exception) as found:
        FOUND_BY[name]()
    assert found.type is not TypeError

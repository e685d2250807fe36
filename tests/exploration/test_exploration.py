"""A small part of the search, every time; `make explore STATES=1000000` is the large one, CI has a million in all."""

from __future__ import annotations

import pytest

from tests.exploration.__main__ import WHO_LIES
from tests.exploration.locals import N, clone, first_local, local_key, with_work
from tests.exploration.reduced import ReducedSearch
from tests.exploration.search import Search

STATES = 1_500
DIVES = 40
STATES_OF_VIEW_0_MAX = 200_000


@pytest.mark.parametrize("who", WHO_LIES)
def test_no_order_of_events_decides_two_blocks_or_leaves_anybody_stuck_b18(who: str) -> None:
    search = Search(WHO_LIES[who])
    search.dive(DIVES)
    result = search.run(STATES)
    assert result.states >= STATES
    assert len(result.decided_views) >= 2


@pytest.mark.parametrize("who", WHO_LIES)
def test_view_0_alone_is_searched_to_its_end(who: str) -> None:
    """Every order, loss and lie of one view: the search ends because there is no further state."""
    result = Search(WHO_LIES[who], views=1).run(STATES_OF_VIEW_0_MAX)
    assert result.is_exhausted
    assert result.decided_views == {0}


def test_views_0_and_1_are_searched_to_their_end() -> None:
    """Here with a lying backup, the smallest of the four; and from every network everybody decides (B18)."""
    result = ReducedSearch(WHO_LIES["a backup"], views=2).run(200_000)
    assert result.is_exhausted
    assert result.decided_views == {0, 1}
    assert result.completed > 1_000


def test_a_copy_of_a_replica_is_equal_and_independent() -> None:
    for who in range(N):
        local, _ = with_work(first_local(who), who)
        other = clone(local.replica)
        assert local_key(local) == local_key(type(local)(other))
        other._state.at.log.view_changes["x"] = None  # type: ignore[assignment]
        other._state.at.bodies[b"x"] = b""
        other._state.timers.clear()
        other._state.future.claim("x", 9)
        assert local_key(local) == local_key(with_work(first_local(who), who)[0])


def test_the_search_finds_the_same_states_each_time() -> None:
    one, other = Search(0).run(400), Search(0).run(400)
    assert (one.states, one.locals_count, one.steps) == (other.states, other.locals_count, other.steps)

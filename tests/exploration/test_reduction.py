"""Whether the reduced search leaves out nothing that matters: against the plain one, and against the core itself."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from tests.exploration.__main__ import WHO_LIES
from tests.exploration.essence import essence, is_dead, visible
from tests.exploration.locals import Local, certified, fired, local_key, message_key, received, step
from tests.exploration.reduced import SEAT_BITS, ReducedSearch
from tests.exploration.search import Network, Search, numbers_in

VARIANTS = 3
PAIRS = 1_500


def shown(local: Local) -> object:
    return visible(local) if local.decided is None else (local.decided, certified(local.certificate))


def shown_by(search: Search, states: tuple[int, ...]) -> tuple[object, ...]:
    return tuple(shown(search.locals[state]) for state in states)


def reduced_networks(search: ReducedSearch) -> set[tuple[object, ...]]:
    """What all networks of an ended search look like."""
    places, mask = range(len(search.correct)), (1 << SEAT_BITS) - 1
    found = {tuple(search.seats[key >> SEAT_BITS * place & mask][1] for place in places) for key in search.seen}
    return {shown_by(search, states) for states in found}


def plain_networks(search: Search) -> set[tuple[object, ...]]:
    """All of them, by nothing but `moves` and `after` of the plain search."""
    first = search.first()
    seen, frontier = {first}, deque([first])
    while frontier:
        network = frontier.popleft()
        for move in search.moves(network):
            reached = search.after(network, move)
            if reached not in seen:
                seen.add(reached)
                frontier.append(reached)
    return {shown_by(search, states) for states, _ in seen}


@pytest.mark.parametrize("who", WHO_LIES)
def test_of_view_0_the_reduced_search_shows_exactly_what_the_plain_one_shows(who: str) -> None:
    reduced = ReducedSearch(WHO_LIES[who], views=1)
    assert reduced.run(100_000).is_exhausted
    assert reduced_networks(reduced) == plain_networks(Search(WHO_LIES[who], views=1))


class Recorded(Search):
    """Dives that write down where they were."""

    def __init__(self, byzantine: int, views: int) -> None:
        super().__init__(byzantine, views)
        self.visited: set[Network] = set()

    def check(self, network: Network) -> None:
        self.visited.add(network)
        super().check(network)

    def complete(self, network: Network) -> None:
        """Further views are not of this search."""


@pytest.mark.slow
def test_no_dive_of_the_plain_search_leads_out_of_the_exhausted_views_0_and_1() -> None:
    """Here with a lying backup, of which the exhausted views are smallest."""
    liar = WHO_LIES["a backup"]
    reduced, plain = ReducedSearch(liar, views=2), Recorded(liar, views=2)
    assert reduced.run(1_000_000).is_exhausted
    plain.dive(140)
    visited = {shown_by(plain, states) for states, _ in plain.visited}
    assert len(visited) > 500
    assert visited <= reduced_networks(reduced)


class Merging(ReducedSearch):
    """Keeps some of the states that were taken for another one."""

    def __init__(self, byzantine: int | None, views: int) -> None:
        super().__init__(byzantine, views)
        self.variants: dict[int, dict[object, Local]] = {}

    def number(self, who: int, local: Local) -> int:
        number = super().number(who, local)
        kept = self.variants.setdefault(number, {})
        if len(kept) < VARIANTS:
            kept.setdefault(local_key(local), local)
        return number


def outcome_of(search: Search, who: int, local: Local, key: object) -> object:
    match key:
        case ("timer", name):
            events = fired(local, str(name))
        case tuple(numbers):
            events = [received(search.messages[number][0], search.messages[number][2]) for number in numbers]
        case _:
            raise TypeError(key)
    after, sent = step(local, who, events)
    return essence(after), {(to, message_key(message)) for to, message in sent}


@pytest.mark.parametrize("byzantine", [None, 0, 3])
def test_states_that_are_taken_for_one_do_the_same_whatever_happens(byzantine: int | None) -> None:
    search = Merging(byzantine, views=2)
    search.run(4_000)
    compared = 0
    made = [(who, before, key) for who, before, key in search.outcomes if key != ("timer", "retransmit")]
    made = [each for each in made if len(search.variants[each[1]]) > 1 and not (each[2] and each[2][0] == "sync")]  # type: ignore[index]
    for who, before, key in Random(1).sample(made, min(len(made), PAIRS // 5)):
        one, *others = search.variants[before].values()
        expected = outcome_of(search, who, one, key)
        for other in others:
            assert outcome_of(search, who, other, key) == expected
            compared += 1
    assert compared > 50


@pytest.mark.parametrize("byzantine", [None, 0, 3])
def test_a_dead_message_does_nothing_and_stays_dead(byzantine: int | None) -> None:
    search = ReducedSearch(byzantine, views=2)
    search.run(4_000)

    def has_died(state: int, number: int) -> bool:
        sender, _, message = search.messages[number]
        return is_dead(search.locals[state], sender, message, sender == byzantine)

    judged = {state: numbers_in(judged) for state, (judged, _) in search.judged.items()}
    dead = {state: [number for number in numbers if has_died(state, number)] for state, numbers in judged.items()}
    pairs = [(state, number) for state, numbers in dead.items() for number in numbers]
    for state, number in Random(1).sample(pairs, min(len(pairs), PAIRS // 3)):
        sender, who, message = search.messages[number]
        after, sent = step(search.locals[state], who, [received(sender, message)])
        assert essence(after) == essence(search.locals[state])
        assert not [to for to, _ in sent if to != byzantine]
    steps = [(before, after) for (_, before, _), (after, _) in search.outcomes.items()]
    followed = [(after, number) for before, after in steps for number in dead.get(before, ())]
    assert len(followed) > PAIRS
    assert all(has_died(after, number) for after, number in followed)

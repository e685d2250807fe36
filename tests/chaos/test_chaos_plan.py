from __future__ import annotations

from itertools import islice

import pytest

from tests.chaos.nemesis import KINDS
from tests.chaos.network import department_names
from tests.chaos.plan import PRIMARY, SHAPES, Round, first_pass, name_victims, rounds

FOUR = ("a", "b", "c", "d")


def drawn(seed: int, departments: tuple[str, ...] = FOUR, count: int = 200) -> list[Round]:
    return list(islice(rounds(seed, departments), count))


def test_the_same_seed_gives_the_same_rounds() -> None:
    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


@pytest.mark.parametrize("seed", range(20))
def test_the_first_pass_has_every_kind_and_every_hard_one(seed: int) -> None:
    first = drawn(seed)[: first_pass(tuple(SHAPES))]
    assert sorted((round_.kind, round_.is_hard) for round_ in first) == sorted(
        [(kind, False) for kind in SHAPES] + [(kind, True) for kind in SHAPES if SHAPES[kind].is_hard]
    )
    assert {round_.kind for round_ in first if PRIMARY in round_.victims} >= {"kill", "power_cut"}


@pytest.mark.parametrize("count", [4, 6, 7, 10])
def test_a_round_that_is_not_hard_leaves_a_quorum(count: int) -> None:
    departments = department_names(count)
    f = (count - 1) // 3
    for round_ in drawn(3, departments, 500):
        assert len(set(round_.victims)) == len(round_.victims)
        if not SHAPES[round_.kind].has_victims:
            assert not round_.victims
        elif round_.is_hard:
            assert f < len(round_.victims) <= count
        else:
            assert 1 <= len(round_.victims) <= f


def test_the_primary_takes_the_place_kept_for_it_and_nobody_is_hit_twice() -> None:
    assert name_victims((PRIMARY,), "b", FOUR) == ("b",)
    assert name_victims((PRIMARY, "b"), "b", FOUR) == ("b", "a")
    assert name_victims(("c", "d"), "b", FOUR) == ("c", "d")


def test_every_planned_kind_is_made_by_a_file_of_its_own() -> None:
    assert set(KINDS) == set(SHAPES)
    assert len({kind.__module__ for kind in KINDS.values()}) == len(KINDS)

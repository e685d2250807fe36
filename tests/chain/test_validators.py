"""Who decides, and why any two quorums share a correct department."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from chain import codec
from chain.crypto import SigningKey
from chain.errors import KehuError
from chain.validators import Validator, ValidatorSet, faults_tolerated, quorum_of


def member(name: str, key: str | None = None) -> Validator:
    return Validator(name, SigningKey(hashlib.sha256((key or name).encode()).digest()).public)


def members(n: int) -> tuple[Validator, ...]:
    return tuple(member(f"d{number:02}") for number in range(n))


@pytest.mark.parametrize("n", range(4, 32))
def test_two_quorums_share_a_correct_department_and_the_correct_ones_are_a_quorum(n: int) -> None:
    f, q = faults_tolerated(n), quorum_of(n)
    assert 3 * f + 1 <= n < 3 * (f + 1) + 1
    assert 2 * q - n >= f + 1
    assert n - f >= q
    assert 2 * (q - 1) - n < f + 1, "a smaller quorum would do"
    found = ValidatorSet(0, members(n))
    assert (found.n, found.f, found.quorum) == (n, f, q)


@pytest.mark.parametrize(
    ("n", "f", "q"), [(4, 1, 3), (5, 1, 4), (6, 1, 4), (7, 2, 5), (8, 2, 6), (9, 2, 6), (10, 3, 7)]
)
def test_the_small_networks_have_the_documented_quorums(n: int, f: int, q: int) -> None:
    assert (faults_tolerated(n), quorum_of(n)) == (f, q)


@pytest.mark.parametrize(
    "wrong",
    [
        members(3),
        (),
        (*members(4), member("d03", "other")),
        tuple(reversed(members(4))),
        (*members(4), member("d04", "d00")),
    ],
    ids=["too few", "none", "a name twice", "out of order", "a key twice"],
)
def test_a_set_that_is_no_set_is_refused(wrong: tuple[Validator, ...]) -> None:
    with pytest.raises(KehuError) as caught:
        ValidatorSet(0, wrong)
    assert caught.value.code == "validators.invalid"


def test_a_member_whose_key_is_of_small_order_is_refused() -> None:
    with pytest.raises(KehuError) as caught:
        ValidatorSet(0, (*members(4), Validator("d04", bytes(32))))
    assert caught.value.code == "key.invalid"


def test_a_set_comes_back_from_its_value_and_its_digest_covers_everything() -> None:
    found = ValidatorSet(3, members(5))
    assert ValidatorSet.from_value(codec.decode(codec.encode(found.to_value()), 1000)) == found
    others = [ValidatorSet(4, members(5)), ValidatorSet(3, members(6)), ValidatorSet(3, members(4))]
    assert len({found.digest, *(other.digest for other in others)}) == 4


@pytest.mark.parametrize(
    "value", [None, [], [0], [-1, []], [True, []], [0, [["a"]]], [0, [["a", "b"]]], [0, [[1, b""]]]]
)
def test_a_malformed_set_is_refused(value: Any) -> None:
    with pytest.raises(KehuError) as caught:
        ValidatorSet.from_value(value)
    assert caught.value.code == "codec.shape"


def test_the_primary_goes_round_in_order_of_department_id() -> None:
    found = ValidatorSet(0, members(4))
    assert [found.primary(view) for view in range(6)] == ["d00", "d01", "d02", "d03", "d00", "d01"]

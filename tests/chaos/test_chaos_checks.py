"""Each broken promise, made by hand, is found; a kept one is not."""

from __future__ import annotations

import pytest

from chain.crypto import SigningKey
from chain.transaction import Call, Transaction, sign_transaction
from tests.chaos.checks import Chain, check_told, compare_chains
from tests.chaos.told import Outcome, Told

KEY = SigningKey(bytes(range(32)))


def transaction(number: int) -> Transaction:
    return sign_transaction(KEY, bytes(32), bytes([number]) * 16, 100, [Call("access.login", {"purpose": "test"})])


def told(*outcomes: Outcome) -> Told:
    """One intent for each outcome, at heights 1, 2 …"""
    said = Told()
    for height, outcome in enumerate(outcomes, start=1):
        code = "ok" if outcome is Outcome.COMMITTED else "record.version_conflict"
        said.settle(said.intend(transaction(height), "sales", 0.0), outcome, 1.0, code, height)
    return said


def chain(*ends: list[tuple[int, str]], ids: bytes = b"") -> Chain:
    """What became of the transactions 1, 2 …; `ids`: one byte per block that makes its id."""
    made = Chain([(bytes([id_]) * 32, bytes([id_]) * 32) for id_ in ids])
    for number, end in enumerate(ends, start=1):
        made.ends[transaction(number).id] = end
    return made


def test_a_chain_that_has_all_that_was_said_is_good() -> None:
    said = told(Outcome.COMMITTED, Outcome.FAILED, Outcome.REFUSED, Outcome.UNKNOWN)
    again = [(1, "ok"), (4, "transaction.duplicate")]
    assert check_told(chain(again, [(2, "record.version_conflict")], [], [(4, "ok")]), said) == []
    assert check_told(chain(again, [(2, "record.version_conflict")], [], []), said) == []


@pytest.mark.parametrize(
    ("outcome", "end", "wrong"),
    [
        (Outcome.COMMITTED, [], "acknowledged and lost: 1"),
        (Outcome.COMMITTED, [(1, "record.version_conflict")], "acknowledged and lost: 1"),
        (Outcome.COMMITTED, [(2, "ok")], "acknowledged and lost: 1"),
        (Outcome.FAILED, [], "said to have failed, and did not: 1"),
        (Outcome.FAILED, [(1, "ok")], "said to have failed, and did not: 1"),
        (Outcome.REFUSED, [(3, "ok")], "refused and applied: 1"),
        (Outcome.UNKNOWN, [(1, "ok"), (2, "ok")], "applied twice: 1"),
    ],
)
def test_a_chain_that_differs_from_what_was_said_is_found(
    outcome: Outcome, end: list[tuple[int, str]], wrong: str
) -> None:
    (found,) = check_told(chain(end), told(outcome))
    assert found.startswith(wrong)


def test_something_acknowledged_and_applied_twice_is_found() -> None:
    found = check_told(chain([(1, "ok"), (2, "ok")]), told(Outcome.COMMITTED))
    assert [wrong.partition(":")[0] for wrong in found] == ["acknowledged and lost", "applied twice"]


def test_departments_with_one_chain_are_good_and_any_difference_is_found() -> None:
    good = chain([(1, "ok")], ids=b"abc")
    assert compare_chains({"a": good, "b": chain([(1, "ok")], ids=b"abc")}) == []
    assert compare_chains({"a": good, "b": chain([(1, "ok")], ids=b"ab")}) == ["b has 2 blocks, a has 3"]
    assert compare_chains({"a": good, "b": chain([(1, "ok")], ids=b"axc")}) == [
        "b and a have another block at height 2"
    ]
    assert compare_chains({"a": good, "b": chain([], ids=b"abc")}) == ["b and a have other receipts"]
    other_root = chain([(1, "ok")], ids=b"abc")
    other_root.blocks[2] = (other_root.blocks[2][0], bytes(32))
    assert compare_chains({"a": good, "b": other_root}) == ["b and a have another state root at height 3"]


def test_the_first_answer_counts_only_what_was_sent_after_the_moment_and_elsewhere() -> None:
    said = Told()
    for number, (department, sent_s, told_s) in enumerate([("a", 1.0, 6.0), ("b", 5.5, 7.0), ("c", 5.6, 8.5)]):
        said.settle(said.intend(transaction(number), department, sent_s), Outcome.COMMITTED, told_s, height=number)
    assert said.first_after(5.0) == 2.0
    assert said.first_after(5.0, ("b",)) == 3.5
    assert said.first_after(9.0) is None


def test_the_first_answer_is_found_however_many_came_after_it() -> None:
    said = Told()
    for number in range(5_000):
        intent = said.intend(transaction(number % 256), "sales", number / 100)
        said.settle(intent, Outcome.COMMITTED, number / 100 + 0.5)
    assert said.first_after(1.0) == 0.5

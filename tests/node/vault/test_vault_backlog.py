"""The backlog: what is due, in which order, and at what cost where much waits."""

from __future__ import annotations

import random

import pytest

from node.vault.backlog import MANY, Backlog
from node.vault.seal import Wanted
from node.vault.values import FieldId

FIRST_S, MAX_S = 1.0, 8.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.now_s


def wanted(number: int) -> Wanted:
    return FieldId("customers", f"c{number}", "name"), number.to_bytes(32, "big")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backlog(clock: Clock) -> Backlog:
    return Backlog(clock, FIRST_S, MAX_S)


def due(backlog: Backlog, count: int = 1_000) -> list[Wanted]:
    return [one for one, _ in backlog.due(count)]


def test_what_is_due_first_comes_first_and_stays_until_it_is_done(clock: Clock, backlog: Backlog) -> None:
    backlog.add([wanted(1), wanted(2)], 2.0)
    backlog.add([wanted(3), wanted(1)], 0.0)  # the first one keeps its time
    assert due(backlog) == [wanted(3)]
    assert backlog.wait_s() == 0.0
    backlog.done([wanted(3)])
    assert (due(backlog), backlog.wait_s()) == ([], 2.0)
    clock.now_s += 2.0
    assert due(backlog) == due(backlog) == [wanted(1), wanted(2)]
    assert due(backlog, 1) == [wanted(1)]
    backlog.done([wanted(1), wanted(2)])
    assert (len(backlog), backlog.wait_s()) == (0, None)


def test_each_failure_puts_it_off_for_twice_as_long_and_who_comes_back_makes_all_due(
    clock: Clock, backlog: Backlog
) -> None:
    backlog.add([wanted(1), wanted(2)], 0.0)
    waits: list[float | None] = []
    for _ in range(5):
        backlog.put_off([wanted(1), wanted(2)], in_vain=True)
        waits.append(backlog.wait_s())
        clock.now_s += backlog.wait_s() or 0.0
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0]
    assert backlog.hopeful == 0
    backlog.put_off([wanted(1)])
    backlog.hurry()
    assert backlog.due(9) == [(wanted(1), 0), (wanted(2), 0)]
    assert backlog.hopeful == 2


def test_what_somebody_waits_for_is_due_at_once(clock: Clock, backlog: Backlog) -> None:
    backlog.add([wanted(1), wanted(2)], 60.0)
    backlog.urge([wanted(2), wanted(3)])
    assert due(backlog) == [wanted(2), wanted(3)]
    backlog.put_off([wanted(2)])
    assert due(backlog) == [wanted(3)]
    clock.now_s += FIRST_S
    assert due(backlog) == [wanted(3), wanted(2)]


def test_it_says_what_a_look_at_every_value_would_say(clock: Clock, backlog: Backlog) -> None:
    draw, known = random.Random(7), dict[Wanted, tuple[float, int]]()
    for _ in range(2_000):
        chosen = [wanted(draw.randrange(30)) for _ in range(3)]
        match draw.randrange(6):
            case 0:
                backlog.add(chosen, 1.5)
                known = dict.fromkeys(chosen, (clock.now_s + 1.5, 0)) | known
            case 1:
                backlog.urge(chosen)
                known |= {one: (clock.now_s, known.get(one, (0.0, 0))[1]) for one in chosen}
            case 2:
                backlog.done(chosen)
                known = {one: task for one, task in known.items() if one not in chosen}
            case 3:
                backlog.put_off(chosen[:1])
                if (task := known.get(chosen[0])) is not None:
                    known[chosen[0]] = (clock.now_s + min(MAX_S, FIRST_S * 2.0 ** task[1]), task[1] + 1)
            case 4 if draw.random() < 0.1:
                backlog.hurry()
                known = dict.fromkeys(known, (clock.now_s, 0))
            case _:
                clock.now_s += draw.choice([0.25, 1.0])
        expected = {one: attempts for one, (due_s, attempts) in known.items() if due_s <= clock.now_s}
        assert dict(backlog.due(1_000)) == expected
        assert sorted(backlog.items()) == sorted(known)
        first_s = min((due_s for due_s, _ in known.values()), default=None)
        assert backlog.wait_s() == (None if first_s is None else max(0.0, first_s - clock.now_s))


def test_to_ask_for_some_of_very_many_looks_at_those_only(backlog: Backlog) -> None:
    backlog.add(map(wanted, range(10 * MANY)), 0.0)
    looked: list[Wanted] = []

    class Watched(dict[Wanted, object]):
        def get(self, one: Wanted, default: object = None) -> object:
            looked.append(one)
            return super().get(one, default)

        def items(self) -> object:  # type: ignore[override]
            raise AssertionError("all of them are looked at")

        values = items  # type: ignore[assignment]

    backlog._tasks = Watched(backlog._tasks)  # type: ignore[assignment]
    for _ in range(3):
        found = due(backlog, 10)
        backlog.put_off(found[:5])
        backlog.done(found[5:])
        assert backlog.wait_s() == 0.0
    assert len(looked) < 100


def test_however_often_a_value_is_urged_and_put_off_nothing_of_it_piles_up(backlog: Backlog) -> None:
    backlog.add(map(wanted, range(10)), 60.0)
    for _ in range(1_000):
        backlog.urge([wanted(3)])
        backlog.put_off([wanted(3), wanted(4)])
        backlog.add([wanted(99)], 3_600.0)
        backlog.done([wanted(99)])
    assert len(backlog._order) < 200

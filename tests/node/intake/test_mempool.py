"""The mempool keeps count, bounds everybody's share, and holds only what the next block could run."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import integers, sampled_from

from chain.batch import Batch
from chain.errors import KehuError
from chain.transaction import Transaction
from node.intake.mempool import MEMPOOL_FULL, MEMPOOL_SENDER_LIMIT, Mempool, Window
from tests.node.node_kit import EXPIRY_HEIGHTS_MAX, admitted, batch_of, transact

PEOPLE = {name: [transact(sender=name, expires=20) for _ in range(6)] for name in ("li", "wang", "wu")}
LI, WANG = PEOPLE["li"], PEOPLE["wang"]


def anywhere(_transaction: Transaction, _department: str) -> bool:
    return False


def window(height: int = 1, *executed: Transaction) -> Window:
    return Window(height, {item.id for item in executed}, EXPIRY_HEIGHTS_MAX, anywhere)


def refusal(mempool: Mempool, transaction: Transaction) -> object:
    with pytest.raises(KehuError) as caught:
        mempool.reserve(transaction)
    assert transaction.id not in mempool
    return caught.value.spec


def test_one_key_gets_no_more_places_than_the_sender_limit() -> None:
    mempool = Mempool("sales", 100, 2)
    admitted(mempool, LI[0], LI[1])
    assert refusal(mempool, LI[2]) is MEMPOOL_SENDER_LIMIT
    admitted(mempool, WANG[0])
    assert mempool.transactions == 3


def test_a_reserved_place_counts_until_it_is_given_up() -> None:
    mempool = Mempool("sales", 100, 1)
    mempool.reserve(LI[0])
    assert refusal(mempool, LI[1]) is MEMPOOL_SENDER_LIMIT
    mempool.release(LI[0])
    mempool.release(LI[0])
    assert mempool.transactions == 0
    admitted(mempool, LI[1])


def test_a_full_mempool_refuses_own_transactions_by_number_and_by_bytes() -> None:
    mempool = Mempool("sales", 2, 100)
    admitted(mempool, LI[0], WANG[0])
    assert refusal(mempool, WANG[1]) is MEMPOOL_FULL
    small = Mempool("sales", 100, 100, bytes_max=len(LI[0].raw) + 10)
    admitted(small, LI[0])
    assert refusal(small, LI[1]) is MEMPOOL_FULL


def test_each_other_department_has_a_share_of_its_own() -> None:
    mempool = Mempool("sales", 2, 100)
    assert mempool.add(batch_of(LI[0], LI[1], department="finance"))
    assert not mempool.add(batch_of(LI[2], department="finance"))
    assert mempool.add(batch_of(LI[3], department="after_sales"))
    admitted(mempool, WANG[0], WANG[1])
    assert mempool.transactions == 5


def test_a_departments_share_is_bounded_in_bytes_too() -> None:
    one = batch_of(LI[0], department="finance")
    mempool = Mempool("sales", 100, 100, bytes_max=len(one.raw) + 10)
    assert mempool.add(one)
    assert not mempool.add(batch_of(LI[1], department="finance"))


def test_a_transaction_or_batch_that_is_here_already_is_not_taken_twice() -> None:
    mempool = Mempool("sales", 100, 100)
    admitted(mempool, LI[0])
    mempool.reserve(LI[0])
    assert not mempool.admit(LI[0], window())
    batch = batch_of(LI[1], department="finance")
    assert [mempool.add(batch), mempool.add(batch)] == [True, False]
    assert mempool.transactions == 2


def test_what_expired_or_was_executed_since_it_got_its_place_is_not_queued() -> None:
    mempool = Mempool("sales", 100, 100)
    for transaction in LI[:2]:
        mempool.reserve(transaction)
    assert not mempool.admit(LI[0], window(21))
    assert not mempool.admit(LI[1], window(2, LI[1]))
    assert mempool.take_queued(9) == []
    for transaction in LI[:2]:
        mempool.release(transaction)
    assert mempool.transactions == 0


def test_queued_transactions_are_taken_oldest_first_and_once() -> None:
    mempool = Mempool("sales", 100, 100)
    admitted(mempool, *LI[:3])
    assert mempool.take_queued(2) == LI[:2]
    assert mempool.take_queued(2) == LI[2:3]
    assert mempool.take_queued(2) == []
    assert LI[0].id in mempool


def test_candidates_come_in_order_of_arrival_up_to_the_size() -> None:
    mempool = Mempool("sales", 100, 100)
    batches = [batch_of(item, department="finance") for item in LI]
    for batch in batches:
        mempool.add(batch)
    room = sum(len(batch.raw) for batch in batches[:3])
    assert mempool.candidates(window(), room) == batches[:3]
    assert mempool.candidates(window(), room - 1) == batches[:2]
    assert mempool.candidates(window(), 10 * room) == batches


def test_a_small_batch_does_not_overtake_a_large_one_that_waits_longer() -> None:
    mempool = Mempool("sales", 100, 100)
    large, small = batch_of(*LI, department="finance"), batch_of(WANG[0], department="finance")
    mempool.add(large)
    mempool.add(small)
    assert mempool.candidates(window(), len(large.raw) - 1) == []


def test_a_batch_with_nothing_new_is_no_candidate() -> None:
    mempool = Mempool("sales", 100, 100)
    first = batch_of(LI[0], LI[1], department="finance")
    same = batch_of(LI[1], department="after_sales")
    partly = batch_of(LI[1], LI[2], department="after_sales")
    for batch in (first, same, partly):
        mempool.add(batch)
    assert mempool.candidates(window(), 1 << 20) == [first, partly]
    assert mempool.candidates(window(1, LI[1], LI[2]), 1 << 20) == [first]


def test_expired_and_too_early_transactions_make_no_candidates() -> None:
    mempool = Mempool("sales", 100, 100)
    mempool.add(batch_of(transact(expires=4), department="finance"))
    assert len(mempool.candidates(window(4), 1 << 20)) == 1
    assert mempool.candidates(window(5), 1 << 20) == []
    early = Mempool("sales", 100, 100)
    early.add(batch_of(transact(expires=EXPIRY_HEIGHTS_MAX + 2), department="finance"))
    assert early.candidates(window(1), 1 << 20) == []
    assert len(early.candidates(window(2), 1 << 20)) == 1


def test_settling_keeps_a_batch_until_its_last_transaction_is_through() -> None:
    mempool = Mempool("sales", 100, 100)
    batch = batch_of(LI[0], LI[1], department="finance")
    mempool.add(batch)
    mempool.settle(window(2, LI[0]))
    assert mempool.holds(batch.id)
    mempool.settle(window(3, LI[0], LI[1]))
    assert not mempool.holds(batch.id)
    assert not mempool.has_batches
    assert mempool.transactions == 0


def test_settling_leaves_nothing_that_no_primary_could_propose() -> None:
    """A batch that stays though it can't be executed would have every backup blame its primary."""
    mempool = Mempool("sales", 100, 100)
    far = transact(expires=EXPIRY_HEIGHTS_MAX + 9)
    mempool.add(batch_of(LI[0], far, department="finance"))
    mempool.settle(window(2, LI[0]))
    assert not mempool.has_batches


def test_settling_forgets_queued_transactions_that_came_in_through_another_node() -> None:
    mempool = Mempool("sales", 100, 100)
    admitted(mempool, LI[0], LI[1])
    mempool.settle(window(2, LI[0]))
    assert mempool.take_queued(10) == [LI[1]]
    assert LI[0].id not in mempool
    assert mempool.transactions == 1


def test_an_own_batch_that_comes_back_after_a_restart_is_pending_again_and_counts() -> None:
    mempool = Mempool("sales", 100, 3)
    mempool.add(batch_of(LI[0], LI[1], department="sales"))
    assert LI[0].id in mempool
    assert mempool.transactions == 2
    admitted(mempool, LI[2])
    assert refusal(mempool, LI[3]) is MEMPOOL_SENDER_LIMIT
    mempool.settle(window(2, *LI))
    assert mempool.transactions == 0


class MempoolCounts(RuleBasedStateMachine):
    """Whatever happens in whatever order, the counters say what is held."""

    def __init__(self) -> None:
        super().__init__()
        self.mempool = Mempool("sales", 8, 4)
        self.height = 1
        self.executed: set[bytes] = set()
        self.pool = [transact(sender=name, expires=4 + place) for name in PEOPLE for place in range(8)]

    def pick(self, place: int) -> Transaction:
        return self.pool[place % len(self.pool)]

    @rule(place=integers(0, 23))
    def reserve(self, place: int) -> None:
        try:
            self.mempool.reserve(self.pick(place))
        except KehuError:
            assert self.mempool.transactions >= 1

    @rule(place=integers(0, 23))
    def admit(self, place: int) -> None:
        self.mempool.admit(self.pick(place), self.window())

    @rule(place=integers(0, 23))
    def release(self, place: int) -> None:
        self.mempool.release(self.pick(place))

    @rule(count=integers(1, 5))
    def sign(self, count: int) -> None:
        taken = self.mempool.take_queued(count)
        if taken:
            self.mempool.add(batch_of(*taken, department="sales"))

    @rule(place=integers(0, 23), count=integers(1, 4), department=sampled_from(("sales", "finance", "after_sales")))
    def gossip(self, place: int, count: int, department: str) -> None:
        chosen = [self.pick(place + step) for step in range(count)]
        batch = batch_of(*chosen, department=department)
        if self.window().admits_any(batch):
            self.mempool.add(batch)

    @precondition(lambda self: self.mempool.has_batches)
    @rule(room=integers(200, 2_000))
    def append(self, room: int) -> None:
        for batch in self.mempool.candidates(self.window(), room):
            self.executed |= self.window().executable(batch)
        self.height += 1
        self.mempool.settle(self.window())

    def window(self) -> Window:
        return Window(self.height, self.executed, EXPIRY_HEIGHTS_MAX, anywhere)

    @invariant()
    def counters_say_what_is_held(self) -> None:
        mempool = self.mempool
        own = list(mempool._own.values()) + list(mempool._reserved.values())
        assert len({item.id for item in own}) == len(own)
        batches: list[Batch] = [item for item in mempool._batches.values() if item.department != "sales"]
        assert mempool.transactions == len(own) + sum(len(item.transactions) for item in batches)
        assert mempool._by_sender == Counter(item.key for item in own)
        sizes = Counter({"sales": sum(len(item.raw) for item in own)})
        for batch in batches:
            sizes[batch.department] += len(batch.raw)
        assert {name: share.size for name, share in mempool._shares.items() if share.size} == dict(+sizes)

    @invariant()
    def every_batch_is_work(self) -> None:
        assert self.mempool.has_batches == bool(self.mempool.candidates(self.window(), 1 << 22))


TestMempoolCounts = MempoolCounts.TestCase
TestMempoolCounts.settings = settings(max_examples=40, stateful_step_count=30)

"""Changing a primary that is alive and slow: rules P1 to P4 of docs/spec/consensus.md (B26, B43, B44)."""

from __future__ import annotations

import pytest

from consensus.messages import Complaint, PrePrepare, ViewChange
from consensus.slowness import COMPLAINT_HEIGHTS
from tests.consensus.cluster import Cluster

TIMEOUT_MS = 2_000


def decide_one(cluster: Cluster, waited_ms: int, agreed_ms: int = 10) -> None:
    """One block whose proposal comes `waited_ms` after the work, and whose votes take `agreed_ms`."""
    cluster.work()
    proposals = [entry for entry in cluster.queue if isinstance(entry[2], PrePrepare)]
    rest = [entry for entry in cluster.queue if not isinstance(entry[2], PrePrepare)]
    cluster.queue = []
    cluster.now_ms += waited_ms
    for sender, receiver, message in proposals:
        cluster[receiver].receive(sender, message)
    cluster.queue = rest + cluster.queue
    cluster.now_ms += agreed_ms
    cluster.deliver()


def views(cluster: Cluster) -> list[int]:
    return [bench.replica.view for bench in cluster]


@pytest.mark.parametrize("n", [4, 5, 6, 7, 9])
def test_a_primary_that_delays_nine_tenths_of_the_timeout_is_left_after_two_blocks_b26(n: int) -> None:
    cluster = Cluster(n)
    decide_one(cluster, TIMEOUT_MS * 9 // 10)
    assert views(cluster) == [0] * n
    decide_one(cluster, TIMEOUT_MS * 9 // 10)
    assert views(cluster) == [1] * n
    for _ in range(5):
        decide_one(cluster, 10)
    assert (views(cluster), cluster.heights()) == ([1] * n, [7] * n)


def test_delay_spread_over_the_blocks_adds_up() -> None:
    """Every second block is late: on average it is more than is allowed."""
    cluster = Cluster()
    for _ in range(3):
        decide_one(cluster, TIMEOUT_MS * 9 // 10)
        decide_one(cluster, 10)
    assert views(cluster) == [1] * 4


def test_one_long_pause_is_forgiven() -> None:
    cluster = Cluster()
    for _ in range(5):
        decide_one(cluster, TIMEOUT_MS * 9 // 10)
        for _ in range(4):
            decide_one(cluster, 10)
    assert views(cluster) == [0] * 4


def test_a_slow_agreement_does_not_pay_for_a_proposal_at_another_height() -> None:
    """The primary can make one: by withholding its proposal from as many as are needed, until they ask others (O7)."""
    cluster = Cluster()
    for view in (0, 1):
        decide_one(cluster, 0, TIMEOUT_MS // 4)
        decide_one(cluster, TIMEOUT_MS * 9 // 10)
        assert views(cluster) == [view] * 4


def test_waiting_is_compared_with_what_the_replicas_need_themselves() -> None:
    """Large blocks on a slow network: proposals take long, and so does the agreement on them."""
    cluster = Cluster()
    for _ in range(30):
        decide_one(cluster, 1_500, 400)
    assert views(cluster) == [0] * 4


def test_delays_within_the_allowance_change_nothing_b44() -> None:
    cluster = Cluster()
    for _ in range(200):
        decide_one(cluster, TIMEOUT_MS // 4)
    assert views(cluster) == [0] * 4
    assert not any(bench.said(Complaint) or bench.said(ViewChange) for bench in cluster)


def test_one_complainer_moves_nobody_and_f_plus_one_do() -> None:
    cluster = Cluster(7)
    for who in (3, 4):
        cluster[0].receive(cluster.names[who], Complaint(1, 0))
    assert cluster[0].replica.view == 0
    cluster[0].receive(cluster.names[5], Complaint(1, 0))
    assert (cluster[0].replica.view, cluster[0].replica.is_active) == (1, False)


def test_complaints_about_another_view_or_a_distant_height_count_for_nothing() -> None:
    cluster = Cluster()
    for height, view in ((1, 1), (1 << 62, 0), (1, 1 << 62), (1 + COMPLAINT_HEIGHTS, 0)):
        for who in (1, 2, 3):
            cluster[0].receive(cluster.names[who], Complaint(height, view))
    assert cluster[0].replica.view == 0
    assert set(cluster[0].replica._state.watch.complaints.values()) == {(1, 1 << 62)}


def test_old_complaints_are_forgotten() -> None:
    cluster = Cluster()
    for bench in cluster:
        bench.receive(cluster.names[(cluster.names.index(bench.name) + 1) % 4], Complaint(1, 0))
    for _ in range(COMPLAINT_HEIGHTS):
        decide_one(cluster, 10)
    for who in (1, 2):
        cluster[who].receive(cluster.names[0], Complaint(9, 0))
    assert views(cluster) == [0] * 4


def test_when_all_primaries_are_slow_the_network_gets_patient() -> None:
    cluster = Cluster()
    for _ in range(60):
        decide_one(cluster, TIMEOUT_MS * 9 // 10)
    calm = views(cluster)[0]
    assert 4 < calm <= 12
    for _ in range(60):
        decide_one(cluster, TIMEOUT_MS * 9 // 10)
    assert views(cluster) == [calm] * 4


def test_patience_ends_after_a_calm() -> None:
    cluster = Cluster()
    for _ in range(60):
        decide_one(cluster, TIMEOUT_MS * 9 // 10)
    for _ in range(70):
        decide_one(cluster, 10)
    assert all(bench.replica._state.watch.views_left == 0 for bench in cluster)
    before = views(cluster)[0]
    for _ in range(3):
        decide_one(cluster, TIMEOUT_MS * 9 // 10)
    assert views(cluster) == [before + 1] * 4


def test_a_clock_that_jumps_back_makes_no_primary_slow() -> None:
    cluster = Cluster()
    for _ in range(20):
        decide_one(cluster, -5_000, -5_000)
        decide_one(cluster, 10)
    assert views(cluster) == [0] * 4


def append_all(cluster: Cluster, overtaken: list[int]) -> None:
    """One block, with which each member is told by how many blocks work that waits there was overtaken."""
    for bench, count in zip(cluster, overtaken, strict=True):
        bench.overtaken = count
    decide_one(cluster, 10)


def test_a_primary_whose_blocks_pass_over_what_waits_is_left_after_nine_of_them_p5_b43() -> None:
    cluster = Cluster()
    for height in range(1, 9):
        append_all(cluster, [height] * 4)
    assert views(cluster) == [0] * 4
    append_all(cluster, [9] * 4)
    assert views(cluster) == [1] * 4
    for height in range(10, 17):
        append_all(cluster, [height] * 4)
    assert views(cluster) == [1] * 4


def test_what_one_member_alone_finds_overtaken_moves_nobody_p5() -> None:
    cluster = Cluster()
    for height in range(1, 30):
        append_all(cluster, [0, height, 0, 0])
    assert views(cluster) == [0] * 4

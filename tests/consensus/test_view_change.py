"""Leaving a primary: rules V1 to V4, T1 and T2 of docs/spec/consensus.md."""

from __future__ import annotations

from itertools import permutations

import pytest

from consensus import evidence
from consensus.config import ReplicaConfig
from consensus.effects import Broadcast, Persist, SetTimer
from consensus.messages import NewView, PrePrepare, ViewChange, VoteMessage
from tests.consensus.cluster import CHAIN_ID, Cluster, without_phase


def view_change(cluster: Cluster, who: int, view: int, height: int = 1) -> ViewChange:
    bench = cluster[who]
    return ViewChange.signed(bench.signer, CHAIN_ID, 0, height, view, None, bench.name)


def test_a_stopped_primary_costs_one_timeout_and_is_not_asked_again() -> None:
    cluster = Cluster(6)
    cluster[0].is_up = False
    cluster.work()
    cluster.deliver()
    cluster.fire("view")
    cluster.deliver()
    assert cluster.heights() == [0, 1, 1, 1, 1, 1]
    for _ in range(12):
        cluster.work()
        cluster.deliver()
    assert cluster.heights() == [0] + [13] * 5
    assert {bench.replica.view for bench in cluster if bench.is_up} == {1}


def test_work_known_to_backups_only_is_decided_after_the_primary_dies_b28() -> None:
    cluster = Cluster()
    cluster[0].is_up = False
    for who in (1, 2, 3):
        cluster[who].work()
    cluster.deliver()
    cluster.fire("view")
    cluster.deliver()
    assert cluster.heights() == [0, 1, 1, 1]


def test_a_view_change_is_durable_before_it_is_sent() -> None:
    cluster = Cluster()
    cluster[1].work()
    effects = cluster[1].fire("view")
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Persist) < kinds.index(Broadcast)


def test_after_its_view_change_a_replica_votes_no_more_in_the_old_view() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver(lambda _s, receiver, m: receiver != cluster.names[3])
    cluster[3].fire("view")
    cluster[3].receive(cluster.names[0], cluster[0].said(PrePrepare)[0])
    for message in cluster[0].said(VoteMessage) + cluster[1].said(VoteMessage) + cluster[2].said(VoteMessage):
        if message.vote.phase == "prepare":  # type: ignore[union-attr]
            cluster[3].receive(message.vote.department, message)  # type: ignore[union-attr]
    assert cluster[3].votes_said("prepare") == cluster[3].votes_said("commit") == []


@pytest.mark.parametrize("order", list(permutations((0, 1, 2, "timer"))))
def test_decide_and_leaving_the_view_may_coincide_b11(order: tuple[int | str, ...]) -> None:
    """All orders of the COMMITs and the timer: the block is decided and the next one follows, in view 0."""
    cluster = Cluster()
    cluster.work()
    last = cluster.names[3]
    cluster.deliver(lambda _s, r, m: r != last or not isinstance(m, VoteMessage) or m.vote.phase != "commit")
    block_id = cluster[0].blocks[0][0]
    for what in order:
        if isinstance(what, int):
            cluster[3].receive(cluster.names[what], cluster.vote("commit", what, 1, 0, block_id))
        elif "view" in cluster[3].timers:
            cluster[3].fire("view")
    cluster.deliver()
    assert cluster.heights() == [1, 1, 1, 1]
    cluster.work()
    cluster.deliver()
    assert cluster.heights() == [2, 2, 2, 2]
    assert cluster[3].replica.view == 0


def test_one_member_with_a_huge_view_moves_nobody_b07() -> None:
    cluster = Cluster()
    for view in (1, 7, 1 << 12, (1 << 63)):
        for who in (0, 1, 2):
            cluster[who].receive(cluster.names[3], view_change(cluster, 3, view))
    assert [cluster[who].replica.view for who in (0, 1, 2)] == [0, 0, 0]
    cluster[3].is_up = False
    cluster.work()
    cluster.deliver()
    assert cluster.heights() == [1, 1, 1, 0]


def test_views_beyond_the_window_are_dropped_b07() -> None:
    cluster = Cluster()
    for who in (1, 2, 3):
        cluster[0].receive(cluster.names[who], view_change(cluster, who, (1 << 16) + 1))
    assert cluster[0].replica.view == 0
    assert cluster[0].replica._state.at.log.view_changes == {}


def test_f_plus_one_members_are_followed_to_a_view_that_a_correct_one_has_reached() -> None:
    cluster = Cluster()
    cluster[0].receive(cluster.names[1], view_change(cluster, 1, 9))
    assert cluster[0].replica.view == 0
    cluster[0].receive(cluster.names[2], view_change(cluster, 2, 3))
    assert (cluster[0].replica.view, cluster[0].replica.is_active) == (3, False)


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_members_in_as_many_views_as_there_are_members_converge_b04(n: int) -> None:
    cluster = Cluster(n)
    for who, bench in enumerate(cluster):
        bench.work()
        for _ in range(who + 1):
            bench.replica._state.at.is_suspect = True
            bench.work()
    cluster.queue.clear()
    assert [bench.replica.view for bench in cluster] == list(range(1, n + 1))
    cluster.settle(rounds=2)
    assert cluster.heights() == [1] * n


def test_the_timer_of_an_asked_for_view_waits_for_a_quorum() -> None:
    cluster = Cluster()
    cluster[1].work()
    cluster[1].fire("view")
    assert "view" not in cluster[1].timers
    cluster[1].receive(cluster.names[2], view_change(cluster, 2, 1))
    assert "view" not in cluster[1].timers
    cluster[2].work()
    cluster[2].fire("view")
    cluster[2].receive(cluster.names[1], view_change(cluster, 1, 1))
    cluster[2].receive(cluster.names[3], view_change(cluster, 3, 1))
    assert cluster[2].timers["view"][1] == 4_000


def test_timeouts_double_with_a_cap_and_start_over_after_a_block_b14() -> None:
    config = ReplicaConfig("sales", CHAIN_ID)
    assert [config.timeout_ms(tried) for tried in (0, 1, 2, 3, 50, 10**9)] == [2_000, 4_000, 8_000] + [10_000] * 3
    cluster = Cluster()
    cluster[0].is_up = cluster[1].is_up = False
    cluster.work()
    cluster.settle(rounds=12)
    cluster[0].is_up = cluster[1].is_up = True
    cluster[0].boot()
    cluster[1].boot()
    cluster.settle()
    assert cluster.heights() == [1, 1, 1, 1]
    cluster.work()
    assert {effect.delay_ms for effect in cluster[2].effects[-3:] if isinstance(effect, SetTimer)} <= {2_000, 500}


def test_a_stuck_replica_repeats_its_view_change() -> None:
    cluster = Cluster()
    cluster[1].work()
    cluster[1].fire("view")
    said = cluster[1].said(ViewChange)
    cluster[1].receive(cluster.names[2], view_change(cluster, 2, 1))
    cluster[1].fire("retransmit")
    assert cluster[1].said(ViewChange) == said * 2
    assert len(cluster[1].records) == 1


def test_two_different_view_changes_for_one_view_are_evidence() -> None:
    cluster = Cluster()
    one = view_change(cluster, 1, 2)
    certificate = cluster.certificate("prepare", 1, 0, bytes(32), range(3))
    other = ViewChange.signed(cluster[1].signer, CHAIN_ID, 0, 1, 2, certificate, cluster.names[1])
    cluster[0].receive(cluster.names[1], one)
    cluster[0].receive(cluster.names[1], other)
    assert cluster[0].offences() == [(cluster.names[1], evidence.VIEW_CHANGE_EQUIVOCATION)]


def test_a_view_change_from_another_sender_is_refused_b37() -> None:
    cluster = Cluster()
    cluster[0].receive(cluster.names[1], view_change(cluster, 2, 1))
    assert cluster[0].offences() == [(cluster.names[1], evidence.NOT_SENDER)]


def test_a_primary_cut_off_after_its_proposal_does_not_stop_the_others() -> None:
    """B18: one replica is in the old view with votes said, the others change views; nobody is stuck afterwards."""
    cluster = Cluster()
    cluster.work()
    names = cluster.names
    cluster.deliver(lambda sender, receiver, _: names[0] not in (sender, receiver) or sender == names[0])
    cluster.settle(rounds=9, keep=lambda sender, receiver, _: names[0] not in (sender, receiver))
    assert cluster.heights()[1:] == [1, 1, 1]
    cluster[0].sync_from(cluster[1])
    for _ in range(3):
        cluster.work()
        cluster.deliver()
    assert cluster.heights() == [4, 4, 4, 4]


def test_one_decided_the_others_changed_views_b18_b10() -> None:
    """One replica decides in view 0, the others only prepared; in view 1 they decide the same block, each once."""
    cluster = Cluster()
    cluster.work()
    names = cluster.names
    cluster.deliver(lambda _s, r, m: not isinstance(m, VoteMessage) or m.vote.phase == "prepare" or r == names[3])
    assert cluster.heights() == [0, 0, 0, 1]
    cluster[3].is_up = False
    cluster.fire("view")
    cluster.deliver()
    assert cluster.heights() == [1, 1, 1, 1]
    assert len({bench.blocks[0][0] for bench in cluster}) == 1
    assert cluster[0].blocks[0][2].view == 1
    assert cluster[3].blocks[0][2].view == 0
    cluster[3].is_up = True
    cluster[0].is_up = False
    cluster.work()
    cluster.settle(rounds=6)
    assert cluster.heights()[1:] == [2, 2, 2]


def test_a_thousand_view_changes_then_normal_speed_b30() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver(without_phase("prepare"))
    for _ in range(1000):
        cluster.fire("view")
        cluster.deliver(without_phase("prepare"))
    assert cluster[0].replica.view == 1000
    assert all(1 < len(bench.replica._state.at.bodies) <= 8 for bench in cluster)
    cluster.settle(rounds=3)
    assert cluster.heights() == [1, 1, 1, 1]
    cluster.work()
    cluster.deliver()
    assert cluster.heights() == [2, 2, 2, 2]
    assert cluster[0].said(NewView)

"""Coming back: rules R1 to R7 of docs/spec/consensus.md."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.errors import InvariantError, KehuError
from consensus import evidence
from consensus.effects import Broadcast, FetchBlocks, ForgetVotes, ObserverChanged, Persist, Send
from consensus.events import Appended, PeerConnected, WorkDone
from consensus.messages import NewView, PrePrepare, Status, ViewChange, VoteMessage
from consensus.votes import decode_record
from tests.consensus.cluster import CHAIN_ID, Bench, Cluster, without_phase


def test_a_restart_repeats_the_same_votes_and_no_others_b20() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver(without_phase("commit"))
    bench = cluster[2]
    before = bench.said(VoteMessage)
    bench.effects.clear()
    bench.boot()
    assert bench.said(VoteMessage) == before
    assert not any(isinstance(effect, Persist) for effect in bench.effects)
    bench.receive(cluster.names[0], cluster.pre_prepare(0, 1, 0, b"another"))
    assert bench.said(VoteMessage) == before


def test_a_crash_between_persist_and_send_is_made_good_at_the_restart_b20() -> None:
    """The vote was durable and never left: it is said after the restart, and no other in its place."""
    cluster = Cluster()
    cluster[0].work()
    cluster.deliver(lambda _s, r, m: r == cluster.names[1] and isinstance(m, PrePrepare))
    assert [decode_record(record).kind for record in cluster[1].records] == ["prepare"]
    voted_for = cluster[1].votes_said("prepare")
    cluster[1].effects.clear()
    cluster[1].boot()
    cluster[1].receive(cluster.names[0], cluster.pre_prepare(0, 1, 0, b"another"))
    assert cluster[1].votes_said("prepare") == voted_for
    cluster.settle(rounds=3)
    assert cluster.heights() == [1, 1, 1, 1]


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_a_restart_at_every_effect_of_a_view_change_never_says_two_things_b02_b22(n: int) -> None:
    """Each replica in turn dies after each of its records; the network goes on and nobody contradicts itself."""
    for victim in range(1, n):
        for records_kept in range(4):
            cluster = Cluster(n)
            cluster.work()
            cluster.deliver(without_phase("commit"))
            cluster[0].is_up = False
            cluster.fire("view")
            bench = cluster[victim]
            del bench.records[records_kept:]
            cluster.queue = [entry for entry in cluster.queue if entry[0] != bench.name]
            bench.boot()
            assert (bench.replica.view, bench.replica.is_active) == ((1, False) if records_kept == 3 else (0, True))
            cluster.settle(rounds=12)
            assert cluster.heights() == [0] + [1] * (n - 1)


def test_a_restart_in_a_view_that_was_only_asked_for_leaves_it_closed_b02() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.queue.clear()
    cluster[2].fire("view")
    cluster[2].boot()
    assert (cluster[2].replica.view, cluster[2].replica.is_active) == (1, False)
    cluster[2].receive(cluster.names[1], cluster.pre_prepare(1, 1, 1, b"not yet"))
    assert [vote for vote in cluster[2].votes_said("prepare") if vote.view == 1] == []


def test_a_restart_keeps_the_prepared_certificate() -> None:
    """Whoever voted COMMIT shows in every later VIEW-CHANGE what it committed to, also after a restart."""
    cluster = Cluster()
    cluster.work()
    cluster.deliver(without_phase("commit"))
    committed = cluster[2].votes_said("commit")[0]
    cluster[2].boot()
    cluster[2].fire("view")
    shown = [message.prepared for message in cluster[2].said(ViewChange)]  # type: ignore[union-attr]
    assert [certificate.block_id for certificate in shown if certificate] == [committed.block_id]
    assert len(cluster[2].records) == 3


def test_an_idle_replica_that_hears_others_work_at_its_height_asks_where_they_are() -> None:
    """Seeds 262 and 1020: it had missed the last block, and nobody told it."""
    cluster = Cluster()
    block_id = bytes([1]) * 32
    cluster[3].receive(cluster.names[0], cluster.vote("prepare", 0, 1, 0, block_id))
    assert cluster[3].timers == {}
    cluster[3].receive(cluster.names[1], cluster.vote("prepare", 1, 1, 0, block_id))
    assert set(cluster[3].timers) == {"retransmit"}


def test_after_a_view_change_without_work_nobody_asks_for_ever() -> None:
    """Seed 3274: everybody had heard that everybody works at this height, and nobody did."""
    cluster = Cluster()
    for who in (1, 2, 3):
        cluster[who].work()
    cluster.queue.clear()
    cluster.fire("view", cluster[1], cluster[2], cluster[3])
    for who in (1, 2, 3):
        cluster[who].has_work = False
        cluster[who].step(WorkDone())
    cluster.deliver()
    assert [bench.replica.view for bench in cluster] == [1, 1, 1, 1]
    cluster.settle(rounds=3)
    assert [set(bench.timers) for bench in cluster] == [set()] * 4


def test_a_status_about_the_last_block_is_no_news_of_the_next_one() -> None:
    """Seed 3012: an idle replica that had caught up asked for ever."""
    cluster = Cluster()
    cluster[3].is_up = False
    cluster.work()
    cluster.deliver()
    cluster[3].boot()
    cluster.deliver()
    for who in (0, 1, 2):
        status = Status(1, 0, True, False, False, cluster[0].blocks[0][2])
        cluster[3].receive(cluster.names[who], status)
    cluster[3].sync_from(cluster[0])
    assert cluster[3].timers == {}


def test_a_restarted_primary_opens_its_view_again_with_the_same_new_view() -> None:
    cluster = Cluster()
    cluster[0].is_up = False
    for who in (1, 2, 3):
        cluster[who].work()
    cluster.fire("view")
    cluster.deliver(lambda _s, _r, m: isinstance(m, ViewChange))
    opened = cluster[1].said(NewView)
    assert len(opened) == 1
    cluster[1].boot()
    cluster.settle(rounds=3)
    assert all(message == opened[0] for message in cluster[1].said(NewView))
    assert cluster.heights() == [0, 1, 1, 1]


@pytest.mark.parametrize("n", [4, 7])
def test_all_restart_at_once_and_go_on_b19(n: int) -> None:
    for lost in ("prepare", "commit"):
        cluster = Cluster(n)
        cluster.work()
        cluster.deliver(without_phase(lost))
        cluster.queue.clear()
        for bench in cluster:
            bench.has_work = False
            bench.boot()
        cluster.settle(rounds=6)
        assert cluster.heights() == [1] * n
        assert cluster[0].replica.view == 0


def test_records_of_appended_heights_are_obsolete() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    assert ForgetVotes(1) in cluster[0].effects
    said = len(cluster[0].said(VoteMessage))
    cluster[0].boot()
    assert len(cluster[0].said(VoteMessage)) == said


def test_a_damaged_vote_log_is_an_error_not_a_shorter_log_b23() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver(without_phase("commit"))
    cluster[1].records[0] = cluster[1].records[0][:-1]
    with pytest.raises(KehuError):
        cluster[1].boot()


def test_a_replica_without_its_log_observes_until_every_height_it_may_have_voted_on_has_passed_b21() -> None:
    cluster = Cluster()
    for _ in range(5):
        cluster.work()
        cluster.deliver()
    bench = cluster[3]
    bench.boot(has_log=False)
    assert bench.replica.is_observer
    cluster.deliver()
    assert ObserverChanged(is_observer=True, votes_from_height=8) in bench.effects
    bench.effects.clear()
    for _ in range(2):
        cluster.work()
        cluster.deliver()
        assert bench.said(VoteMessage) == []
    assert not bench.replica.is_observer
    assert bench.effects[-1] != ObserverChanged(is_observer=True, votes_from_height=0)
    cluster.work()
    cluster.deliver()
    assert cluster.heights() == [8, 8, 8, 8]
    assert {vote.height for vote in bench.votes_said("commit")} == {8}


def test_members_wiped_one_after_the_other_all_vote_again_b15() -> None:
    cluster = Cluster()
    for victim in (3, 0, 2, 1):
        cluster.work()
        cluster.deliver()
        cluster[victim].boot(has_log=False)
        for _ in range(5):
            cluster.work()
            cluster.settle(rounds=6)
        assert not cluster[victim].replica.is_observer
    assert len(set(cluster.heights())) == 1


def test_a_lying_status_cannot_keep_an_observer_observing_b40() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    bench = cluster[3]
    bench.boot(has_log=False)
    certificate = cluster.certificate("commit", 1 << 40, 0, bytes(32), range(3))
    forged = replace(certificate, signatures=certificate.signatures[:2])
    bench.receive(cluster.names[0], Status(1 << 40, 0, True, False, False, forged))
    bench.receive(cluster.names[0], Status(1 << 40, 0, True, False, False, None))
    assert bench.offences() == [(cluster.names[0], evidence.STATUS_CERTIFICATE)]
    assert not any(isinstance(effect, FetchBlocks) for effect in bench.effects)


def test_a_replica_that_is_behind_catches_up_after_a_connection_b06() -> None:
    cluster = Cluster()
    cluster[3].is_up = False
    for _ in range(30):
        cluster.work()
        cluster.deliver()
    cluster[3].boot()
    cluster.queue.clear()
    cluster[3].step(PeerConnected(cluster.names[1]))
    cluster.deliver()
    assert FetchBlocks(1, 30, (cluster.names[1],)) in cluster[3].effects
    cluster[3].sync_from(cluster[1])
    cluster.work()
    cluster.deliver()
    assert cluster.heights() == [31, 31, 31, 31]
    assert [vote.height for vote in cluster[3].votes_said("commit")] == [31]


def test_catch_up_during_a_view_change_and_a_late_decision_append_once_b10() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver(lambda _s, r, m: r != cluster.names[3] or not isinstance(m, VoteMessage))
    cluster[3].fire("view")
    late = [message for who in (0, 1, 2) for message in cluster[who].said(VoteMessage)]
    cluster[3].sync_from(cluster[0])
    for message in late:
        cluster[3].receive(message.vote.department, message)  # type: ignore[union-attr]
    cluster[3].report()
    assert (cluster[3].replica.height, cluster[3].replica.view, cluster[3].replica.is_active) == (2, 0, True)
    assert cluster.heights() == [1, 1, 1, 1]


def test_an_append_that_reports_an_old_height_is_ignored_b10() -> None:
    cluster = Cluster()
    for _ in range(2):
        cluster.work()
        cluster.deliver()
    block_id, _, certificate = cluster[0].blocks[0]
    assert cluster[0].step(Appended(1, block_id, certificate, cluster.validators, False)) == ()
    assert cluster[0].replica.height == 3


def test_an_append_with_the_certificate_of_another_block_stops_the_node() -> None:
    cluster = Cluster()
    certificate = cluster.certificate("commit", 1, 0, bytes(32), range(3))
    with pytest.raises(InvariantError):
        cluster[0].step(Appended(1, bytes([1]) * 32, certificate, cluster.validators, False))


def test_f_plus_one_members_at_a_later_height_are_reason_to_catch_up_one_is_not() -> None:
    cluster = Cluster()
    cluster[0].receive(cluster.names[1], cluster.vote("prepare", 1, 9, 0, bytes(32)))
    assert cluster[0].timers == {}
    cluster[0].receive(cluster.names[2], cluster.vote("prepare", 2, 7, 0, bytes(32)))
    cluster[0].fire("retransmit")
    fetches = [effect for effect in cluster[0].effects if isinstance(effect, FetchBlocks)]
    assert fetches == [FetchBlocks(1, 6, cluster.names[1:3])]


def test_a_status_of_one_who_is_behind_is_answered_with_the_certificate() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver(lambda _s, r, _m: r != cluster.names[3])
    cluster[0].receive(cluster.names[3], Status(0, 0, True, False, False, None))
    replies = [effect.message for effect in cluster[0].effects if isinstance(effect, Send)]
    assert replies == [Status(1, 0, True, False, False, cluster[0].blocks[0][2])]


def test_a_lost_new_view_is_sent_again_to_one_who_asks() -> None:
    cluster = Cluster()
    names = cluster.names
    cluster[0].is_up = False
    for who in (1, 2, 3):
        cluster[who].work()
    cluster.fire("view")
    cluster.deliver(lambda _s, r, m: not (r == names[3] and isinstance(m, NewView | PrePrepare)))
    assert not cluster[3].replica.is_active
    cluster[3].fire("retransmit")
    cluster.deliver()
    assert cluster[3].replica.is_active
    assert cluster.heights() == [0, 1, 1, 1]


def test_a_lost_proposal_is_sent_again_to_one_who_asks_but_not_to_a_flood() -> None:
    cluster = Cluster()
    cluster[0].work()
    cluster.queue.clear()
    for _ in range(100):
        cluster[0].receive(cluster.names[1], Status(0, 0, True, False, False, None))
    sent = [effect for effect in cluster[0].effects if isinstance(effect, Send)]
    assert len([effect for effect in sent if isinstance(effect.message, PrePrepare)]) == 1
    cluster.now_ms += 1_000
    cluster[0].receive(cluster.names[1], Status(0, 0, True, False, False, None))
    sent = [effect for effect in cluster[0].effects if isinstance(effect, Send)]
    assert len([effect for effect in sent if isinstance(effect.message, PrePrepare)]) == 2


def test_a_status_never_starts_a_conversation_that_does_not_end() -> None:
    cluster = Cluster()
    for bench in cluster:
        for other in cluster:
            if bench is not other:
                bench.step(PeerConnected(other.name))
    cluster.deliver()
    assert cluster.queue == []


def test_the_next_height_begins_in_the_view_that_decided_b13() -> None:
    cluster = Cluster()
    cluster[0].is_up = False
    cluster.work()
    cluster.fire("view")
    cluster.deliver()
    cluster[0].boot()
    cluster[0].sync_from(cluster[1])
    assert [bench.replica.view for bench in cluster] == [1, 1, 1, 1]
    cluster.work()
    cluster.deliver()
    assert cluster.heights() == [2, 2, 2, 2]


def test_an_untouched_replica_adopts_a_higher_view_of_the_same_head_r4() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    genuine = cluster.certificate("commit", 1, 6, cluster[0].blocks[0][0], range(3))
    cluster[0].receive(cluster.names[1], Status(1, 6, True, False, False, genuine))
    assert cluster[0].replica.view == 6
    cluster[3].work()
    cluster[3].fire("view")
    cluster[3].receive(cluster.names[1], Status(1, 6, True, False, False, genuine))
    assert cluster[3].replica.view == 1


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xc0", b"\x90", b"\x91\xa4vote", bytes(1000), b"\xdd\xff\xff\xff\xff"]
)
def test_garbage_is_an_accusation_not_an_exception_b42(data: bytes) -> None:
    bench: Bench = Cluster()[0]
    from consensus.events import MessageReceived

    bench.step(MessageReceived(bench.cluster.names[1], data))
    assert bench.offences() == [(bench.cluster.names[1], evidence.MALFORMED)]


def test_a_message_of_another_chain_or_epoch_counts_for_nothing_b34() -> None:
    cluster = Cluster()
    bench = cluster[1]
    other_chain = ViewChange.signed(bench.signer, bytes(32), 0, 1, 1, None, bench.name)
    other_epoch = ViewChange.signed(bench.signer, CHAIN_ID, 1, 1, 1, None, bench.name)
    cluster[0].receive(bench.name, other_chain)
    cluster[2].receive(bench.name, other_epoch)
    assert cluster[0].offences() == cluster[2].offences() == [(bench.name, evidence.SIGNATURE)]


def test_broadcasts_go_out_only_after_the_record_of_the_same_step() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    for bench in cluster:
        votes = [effect for effect in bench.effects if isinstance(effect, Persist | Broadcast)]
        assert isinstance(next(e for e in votes if not _is_status(e)), Persist)


def _is_status(effect: Persist | Broadcast) -> bool:
    return isinstance(effect, Broadcast) and isinstance(effect.message, Status)


def test_the_view_changes_though_no_block_can_be_fetched_b12() -> None:
    """The replica knows that it is behind, nobody answers, and the primary is silent: its view still changes."""
    cluster = Cluster()
    bench = cluster[3]
    for who in (1, 2):
        bench.receive(cluster.names[who], cluster.vote("prepare", who, 3, 0, bytes(32)))
    bench.fire("retransmit")
    assert any(isinstance(effect, FetchBlocks) for effect in bench.effects)
    bench.work()
    assert "view" in bench.replica._state.timers
    bench.fire("view")
    assert (bench.replica.view, bench.replica.is_active) == (1, False)

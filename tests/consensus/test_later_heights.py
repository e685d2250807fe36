"""Working off what was kept of later heights: by one who was away, and comes back among faulty members."""

from __future__ import annotations

from dataclasses import replace

from consensus import evidence
from consensus.effects import FetchBlocks, ValidateProposal
from consensus.messages import Complaint, Message, NewView, PrePrepare, Status, VoteMessage
from consensus.slowness import COMPLAINT_HEIGHTS
from tests.consensus.cluster import Bench, Cluster, Keep, block_id_of

HEIGHTS = 5


def hearing(cluster: Cluster, *kinds: type[Message]) -> Keep:
    """Member 3 gets these kinds only, and is not heard."""
    return lambda sender, receiver, message: (
        sender != cluster.names[3] and (receiver != cluster.names[3] or isinstance(message, kinds))
    )


def left_behind(cluster: Cluster) -> Bench:
    """Member 3 lacks block 1, and has the votes of the next heights without the proposals."""
    cluster.work()
    cluster.deliver(hearing(cluster))
    for _ in range(HEIGHTS - 1):
        cluster.work()
        cluster.deliver(hearing(cluster, VoteMessage))
    assert cluster.heights() == [HEIGHTS] * 3 + [0]
    bench = cluster[3]
    bench.effects.clear()
    return bench


def catch_up_by_one(cluster: Cluster, bench: Bench) -> None:
    bench.blocks.append(cluster[0].blocks[len(bench.blocks)])
    bench.report()


def validated(bench: Bench) -> list[int]:
    return [effect.height for effect in bench.effects if isinstance(effect, ValidateProposal)]


def fetched(bench: Bench) -> list[int]:
    return [effect.to_height for effect in bench.effects if isinstance(effect, FetchBlocks)]


def test_a_block_whose_proposal_was_withheld_is_asked_for_at_once() -> None:
    cluster = Cluster()
    bench = left_behind(cluster)
    catch_up_by_one(cluster, bench)
    assert (validated(bench), fetched(bench)) == ([], [2])


def test_other_proposals_of_decided_heights_cost_neither_a_validation_nor_a_view_change() -> None:
    """The primary has shown the others' blocks to them only, and garbage for each height to whoever was away."""
    cluster = Cluster()
    bench = left_behind(cluster)
    for height in range(2, HEIGHTS + 1):
        bench.receive(cluster.names[0], cluster.pre_prepare(0, height, 0, b"garbage"))
    for _ in range(HEIGHTS):
        if len(bench.blocks) < HEIGHTS:
            catch_up_by_one(cluster, bench)
    assert (validated(bench), fetched(bench)) == ([], [2, 3, 4, 5])
    assert (bench.replica.view, bench.replica.is_active, bench.votes_said("prepare")) == (0, True, [])


def test_heights_decided_in_a_later_view_are_worked_off_from_what_was_kept() -> None:
    """The others change views at height 2. Who was away begins it in view 0, and has kept the NEW-VIEW."""
    cluster = Cluster()
    keep = hearing(cluster, PrePrepare, VoteMessage, NewView)
    cluster.work()
    cluster.deliver(hearing(cluster))
    cluster.work()
    cluster.deliver(lambda s, r, m: not isinstance(m, PrePrepare | VoteMessage) and keep(s, r, m))
    cluster.fire("view", *(cluster[who] for who in range(3)))
    cluster.deliver(lambda s, r, m: s != cluster.names[3] and (r != cluster.names[3] or keep(s, r, m)))
    cluster.work()
    cluster.deliver(keep)
    assert cluster.heights() == [3, 3, 3, 0]
    assert cluster[0].blocks[1][2].view == 1
    catch_up_by_one(cluster, cluster[3])
    assert cluster.heights() == [3, 3, 3, 3]


def test_what_a_member_kept_itself_counts_once_though_it_comes_again() -> None:
    cluster = Cluster()
    vote = cluster.vote("commit", 1, 2, 0, block_id_of(b"x"))
    for _ in range(4):
        cluster[3].receive(cluster.names[1], vote)
    cluster.work()
    cluster.deliver()
    cluster[3].receive(cluster.names[1], vote)
    state = cluster[3].replica._state
    assert state.at.log.matching_votes("commit", 0, block_id_of(b"x")) == [vote.vote]
    assert state.at.commit_certificate is None


def test_statuses_of_one_at_the_same_height_bring_it_the_new_view_once_in_a_while() -> None:
    """A NEW-VIEW may be a megabyte and a status has fifty bytes: who asks all the time must not cost more (R5)."""
    cluster = Cluster()
    cluster.work()
    cluster.queue.clear()
    cluster.fire("view")
    cluster.deliver(lambda _s, _r, message: not isinstance(message, PrePrepare | VoteMessage))
    asker, bench = cluster.names[3], cluster[2]
    assert (bench.replica.view, bench.replica.is_active) == (1, True)
    bench.effects.clear()
    behind = Status(0, 0, True, False, True, None)
    for _ in range(100):
        bench.receive(asker, behind)
    assert len(bench.said(NewView)) == 1
    cluster.now_ms += bench.replica._state.config.retransmit_ms // 2
    bench.receive(asker, behind)
    assert len(bench.said(NewView)) == 2


def test_complaints_count_as_long_as_they_are_near_whichever_side_they_are_on() -> None:
    for height, is_near in ((1 + COMPLAINT_HEIGHTS, False), (COMPLAINT_HEIGHTS, True)):
        cluster = Cluster()
        for who in (1, 2):
            cluster[0].receive(cluster.names[who], Complaint(height, 0))
        assert (cluster[0].replica.view == 1) is is_near


def test_a_kept_message_that_was_not_its_senders_is_found_when_its_height_begins() -> None:
    cluster = Cluster()
    stolen = cluster.vote("commit", 2, 2, 0, block_id_of(b"x"))
    forged = replace(stolen.vote, department=cluster.names[1])
    cluster[3].receive(cluster.names[0], stolen)
    cluster[3].receive(cluster.names[1], VoteMessage(forged))
    assert cluster[3].offences() == []
    cluster.work()
    cluster.deliver()
    assert set(cluster[3].offences()) == {
        (cluster.names[0], evidence.NOT_SENDER),
        (cluster.names[1], evidence.SIGNATURE),
    }

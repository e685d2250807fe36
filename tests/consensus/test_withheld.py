"""A primary that shows its proposals to some only: rule O7 of docs/spec/consensus.md (B26, B43)."""

from __future__ import annotations

import pytest

from consensus import evidence
from consensus.events import ProposalValidated
from consensus.messages import Message, PrePrepare, ProposalReply, ProposalRequest, VoteMessage
from tests.consensus.cluster import Cluster, Keep, block_id_of

BODY = b"shown to the others only"
BLOCK_ID = block_id_of(BODY)


def withholding_from(cluster: Cluster, *left_out: int) -> Keep:
    """Their PRE-PREPAREs are lost, and all that the primary votes: its vote is needed, and it takes its time."""
    primary, names = cluster.names[0], {cluster.names[who] for who in left_out}

    def keep(sender: str, receiver: str, message: Message) -> bool:
        if sender != primary:
            return True
        return not isinstance(message, VoteMessage) and not (isinstance(message, PrePrepare) and receiver in names)

    return keep


def late_with_prepares(cluster: Cluster, *voters: int) -> list[tuple[str, Message]]:
    """Member 3 hears these PREPARE, and its retransmission time runs out: whom it asks for the block."""
    bench = cluster[3]
    bench.work()
    for who in voters:
        bench.receive(cluster.names[who], cluster.vote("prepare", who, 1, 0, BLOCK_ID))
    assert bench.said(ProposalRequest) == []
    cluster.queue.clear()
    bench.fire("retransmit")
    return asked_by_3(cluster)


def asked_by_3(cluster: Cluster) -> list[tuple[str, Message]]:
    asked = [(to, message) for _, to, message in cluster.queue if isinstance(message, ProposalRequest)]
    cluster.queue.clear()
    return asked


@pytest.mark.parametrize("n", [4, 5, 7, 10])
def test_who_was_left_out_takes_the_proposal_from_those_who_prepare_it_o7(n: int) -> None:
    """As many as may be left out: without them and the primary there is no quorum."""
    cluster = Cluster(n)
    left_out = range(cluster.validators.quorum, n)
    keep = withholding_from(cluster, *left_out)
    cluster.work()
    cluster.deliver(keep)
    assert cluster.heights() == [0] * n
    for who in left_out:
        cluster[who].fire("retransmit")
    cluster.deliver(keep)
    assert cluster.heights() == [1] * n
    assert {bench.blocks[0][2].view for bench in cluster} == {0}
    assert not any(bench.offences() for bench in cluster)


def test_after_a_retransmission_time_it_asks_as_soon_as_f_plus_one_prepare_o7() -> None:
    """So a primary gains nothing by proposing just after that time either."""
    cluster = Cluster()
    assert late_with_prepares(cluster) == []
    cluster[3].receive(cluster.names[1], cluster.vote("prepare", 1, 1, 0, BLOCK_ID))
    assert asked_by_3(cluster) == []
    cluster[3].receive(cluster.names[2], cluster.vote("prepare", 2, 1, 0, BLOCK_ID))
    assert len(asked_by_3(cluster)) == 1


def test_f_members_and_the_primary_make_nobody_ask_o7() -> None:
    assert late_with_prepares(Cluster(), 0, 2) == []


def test_one_is_asked_at_a_time_another_one_each_time_and_never_the_primary_o7() -> None:
    cluster = Cluster()
    asked = late_with_prepares(cluster, 0, 1, 2)
    for _ in range(3):
        cluster[3].fire("retransmit")
        asked += asked_by_3(cluster)
    assert {to for to, _ in asked[:2]} == {to for to, _ in asked[2:]} == {cluster.names[1], cluster.names[2]}
    assert {message for _, message in asked} == {ProposalRequest(1, BLOCK_ID)}


def test_a_wrong_body_costs_neither_the_primary_its_view_nor_the_height_o7() -> None:
    cluster = Cluster()
    bench = cluster[3]
    (liar, _), *_ = late_with_prepares(cluster, 1, 2)
    bench.receive(liar, ProposalReply(1, BLOCK_ID, b"something else"))
    assert (bench.offences(), bench.replica.view, bench.replica.is_active) == ([], 0, True)
    bench.fire("retransmit")
    ((other, _),) = asked_by_3(cluster)
    assert other != liar
    bench.receive(other, ProposalReply(1, BLOCK_ID, BODY))
    assert [vote.block_id for vote in bench.votes_said("prepare")] == [BLOCK_ID]


def test_what_another_sent_is_not_laid_at_the_primarys_door_o7(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proposal arrives while another member's answer is being looked at."""
    cluster = Cluster()
    bench = cluster[3]
    (liar, _), *_ = late_with_prepares(cluster, 1, 2)
    monkeypatch.setattr(bench, "perform", lambda _effect: None)
    bench.receive(liar, ProposalReply(1, BLOCK_ID, b"something else"))
    bench.receive(cluster.names[0], cluster.pre_prepare(0, 1, 0, BODY))
    bench.step(ProposalValidated(1, 0, BLOCK_ID, is_valid=False, problem="block.id"))
    assert (bench.offences(), bench.replica.view) == ([], 0)
    bench.step(ProposalValidated(1, 0, BLOCK_ID, is_valid=True))
    assert [vote.block_id for vote in bench.votes_said("prepare")] == [BLOCK_ID]


def test_a_body_that_was_not_asked_for_is_not_looked_at_o7() -> None:
    cluster = Cluster()
    cluster[3].receive(cluster.names[1], ProposalReply(1, BLOCK_ID, BODY))
    assert cluster[3].replica._state.at.bodies == {}


def test_a_primary_that_showed_another_block_than_a_quorum_took_is_accused_o6() -> None:
    """Whoever was shown the other one has no second signature for evidence, and knows it for certain."""
    cluster = Cluster()
    names = cluster.names
    cluster[3].receive(names[0], cluster.pre_prepare(0, 1, 0, b"for you alone"))
    cluster.queue.clear()
    cluster.work()
    cluster.deliver(lambda sender, receiver, m: receiver != names[3] and sender != names[3])
    cluster[3].sync_from(cluster[0])
    assert cluster[3].offences() == [(names[0], evidence.PROPOSAL_EQUIVOCATION)]
    assert cluster[3].replica.height == 2

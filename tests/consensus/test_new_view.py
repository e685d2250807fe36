"""Opening a view: rules N1 to N3 of docs/spec/consensus.md. What may have been decided must survive."""

from __future__ import annotations

from dataclasses import replace

from chain.certificate import Certificate
from consensus import evidence
from consensus.effects import ValidateProposal
from consensus.messages import NewView, PrePrepare, ProposalReply, ProposalRequest, ViewChange, VoteMessage
from tests.consensus.cluster import CHAIN_ID, Cluster, block_id_of, without_phase


def view_change(cluster: Cluster, who: int, view: int, prepared: Certificate | None = None) -> ViewChange:
    bench = cluster[who]
    return ViewChange.signed(bench.signer, CHAIN_ID, 0, 1, view, prepared, bench.name)


def new_view(cluster: Cluster, view: int, block_id: bytes | None, *changes: ViewChange) -> NewView:
    primary = cluster[view % len(cluster.names)]
    return NewView.signed(primary.signer, CHAIN_ID, 0, 1, view, block_id, changes, primary.name)


def prepared_everywhere(n: int = 4) -> tuple[Cluster, bytes]:
    """A network in which everybody has prepared the block of view 0 and nobody has decided it."""
    cluster = Cluster(n)
    cluster.work()
    cluster.deliver(without_phase("commit"))
    return cluster, cluster[0].votes_said("commit")[0].block_id


def test_a_prepared_block_is_proposed_again_with_its_id() -> None:
    cluster, block_id = prepared_everywhere()
    cluster[0].is_up = False
    cluster.fire("view")
    cluster.deliver()
    assert cluster.heights() == [0, 1, 1, 1]
    assert cluster[1].blocks[0][0] == block_id
    assert cluster[1].blocks[0][2].view == 1


def test_a_garbage_certificate_does_not_hide_a_valid_one_b01() -> None:
    cluster, block_id = prepared_everywhere()
    certificate = cluster.certificate("prepare", 1, 0, block_id, range(3))
    garbage = replace(certificate, block_id=bytes(32), view=7)
    changes = [view_change(cluster, 0, 9, garbage), view_change(cluster, 2, 9), view_change(cluster, 3, 9, certificate)]
    primary = cluster[1]
    for who, change in zip((0, 2, 3), changes, strict=True):
        primary.receive(cluster.names[who], change)
    opened = primary.said(NewView)
    assert [message.block_id for message in opened] == [block_id]  # type: ignore[union-attr]
    assert (cluster.names[0], evidence.VIEW_CHANGE_CERTIFICATE) in primary.offences()
    cluster[2].receive(cluster.names[1], opened[0])
    assert (cluster[2].replica.view, cluster[2].replica.is_active) == (9, True)


def test_a_certificate_of_the_asked_for_view_or_a_later_one_is_garbage() -> None:
    cluster = Cluster()
    for view in (2, 3):
        later = cluster.certificate("prepare", 1, view, bytes(32), range(3))
        bench = Cluster()[1]
        bench.receive(cluster.names[0], view_change(cluster, 0, 2, later))
        assert bench.offences() == [(cluster.names[0], evidence.VIEW_CHANGE_CERTIFICATE)]


def test_the_certificate_of_the_highest_view_wins_b17() -> None:
    """Prepared in view 0 by one, in view 1 by another: only the later one can have been decided."""
    cluster = Cluster()
    old = cluster.certificate("prepare", 1, 0, bytes([1]) * 32, range(3))
    late = cluster.certificate("prepare", 1, 1, bytes([2]) * 32, range(3))
    primary = cluster[2]
    primary.receive(cluster.names[0], view_change(cluster, 0, 2, old))
    primary.receive(cluster.names[1], view_change(cluster, 1, 2, late))
    assert [message.block_id for message in primary.said(NewView)] == [bytes([2]) * 32]  # type: ignore[union-attr]


def test_a_new_view_that_leaves_out_a_certificate_it_shows_is_refused() -> None:
    cluster, block_id = prepared_everywhere()
    certificate = cluster.certificate("prepare", 1, 0, block_id, range(3))
    changes = (view_change(cluster, 0, 1, certificate), view_change(cluster, 1, 1), view_change(cluster, 2, 1))
    for wrong in (None, bytes(32)):
        bench = prepared_everywhere()[0][3]
        bench.receive(cluster.names[1], new_view(cluster, 1, wrong, *changes))
        assert bench.replica.view == 0
        assert bench.offences() == [(cluster.names[1], evidence.NEW_VIEW_INVALID)]


def test_a_new_view_needs_a_quorum_of_distinct_members_for_exactly_this_view() -> None:
    cluster = Cluster()
    one, two, three = (view_change(cluster, who, 1) for who in (0, 1, 2))
    stale = view_change(cluster, 2, 2)
    forged = replace(three, signature=bytes(64))
    for changes in ((one, two), (one, two, two), (two, one, three), (one, two, stale), (one, two, forged)):
        bench = Cluster()[3]
        bench.receive(cluster.names[1], new_view(cluster, 1, None, *changes))
        assert bench.replica.view == 0
        assert bench.offences() == [(cluster.names[1], evidence.NEW_VIEW_INVALID)]


def test_a_new_view_of_another_than_its_primary_is_refused() -> None:
    cluster = Cluster()
    changes = tuple(view_change(cluster, who, 1) for who in (0, 1, 2))
    forged = NewView.signed(cluster[2].signer, CHAIN_ID, 0, 1, 1, None, changes, cluster.names[2])
    cluster[3].receive(cluster.names[2], forged)
    assert cluster[3].offences() == [(cluster.names[2], evidence.SIGNATURE)]


def test_a_new_view_may_be_passed_on_by_anybody() -> None:
    cluster = Cluster()
    changes = tuple(view_change(cluster, who, 1) for who in (0, 1, 2))
    cluster[3].receive(cluster.names[2], new_view(cluster, 1, None, *changes))
    assert (cluster[3].replica.view, cluster[3].replica.is_active) == (1, True)


def test_in_a_view_with_a_required_block_no_other_is_accepted() -> None:
    cluster, block_id = prepared_everywhere()
    certificate = cluster.certificate("prepare", 1, 0, block_id, range(3))
    changes = (view_change(cluster, 0, 1, certificate), view_change(cluster, 1, 1), view_change(cluster, 2, 1))
    cluster[3].receive(cluster.names[1], new_view(cluster, 1, block_id, *changes))
    cluster[3].receive(cluster.names[1], cluster.pre_prepare(1, 1, 1, b"another"))
    assert (cluster.names[1], evidence.PROPOSAL_INVALID) in cluster[3].offences()
    assert all(vote.view == 0 for vote in cluster[3].votes_said("prepare"))
    assert cluster[3].replica.view == 2


def test_a_primary_that_lacks_the_prepared_body_fetches_it_b29() -> None:
    cluster = Cluster()
    names = cluster.names
    cluster.work()
    commits_lost = without_phase("commit")
    cluster.deliver(lambda s, r, m: commits_lost(s, r, m) and not (r == names[1] and isinstance(m, PrePrepare)))
    cluster[0].is_up = False
    cluster.fire("view")
    cluster.deliver()
    assert cluster[1].said(ProposalRequest)
    assert cluster.heights() == [0, 1, 1, 1]
    assert cluster[1].blocks[0][0] == cluster[2].votes_said("commit")[0].block_id


def test_a_liar_cannot_keep_the_prepared_body_from_the_new_primary() -> None:
    cluster = Cluster()
    names = cluster.names
    cluster.work()
    commits_lost = without_phase("commit")
    cluster.deliver(lambda s, r, m: commits_lost(s, r, m) and not (r == names[1] and isinstance(m, PrePrepare)))
    block_id = cluster[2].votes_said("commit")[0].block_id
    cluster.fire("view", cluster[1], cluster[2], cluster[3])
    cluster.deliver(lambda _s, _r, m: not isinstance(m, ProposalReply))
    cluster[1].receive(names[0], ProposalReply(1, block_id, b"wrong"))
    assert cluster[1].offences() == [(names[0], evidence.BODY_INVALID)]
    cluster.now_ms += 10_000
    cluster[1].fire("retransmit")
    assert names[0] not in [receiver for _, receiver, m in cluster.queue if isinstance(m, ProposalRequest)]
    cluster.deliver()
    assert cluster.heights() == [1, 1, 1, 1]


def test_a_block_prepared_earlier_is_validated_without_the_clock_b05() -> None:
    """Its time was checked when it was fresh; after a pause of half an hour it is as good as before."""
    cluster = Cluster()
    names = cluster.names
    cluster.work()
    commits_lost = without_phase("commit")
    cluster.deliver(lambda s, r, m: commits_lost(s, r, m) and not (r == names[3] and isinstance(m, PrePrepare)))
    cluster[0].is_up = False
    cluster.fire("view")
    cluster.deliver()
    asked = [effect for effect in cluster[3].effects if isinstance(effect, ValidateProposal)]
    assert [effect.is_prepared for effect in asked] == [True]
    assert cluster.heights() == [0, 1, 1, 1]


def test_without_a_prepared_block_the_new_primary_proposes_its_own() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver(without_phase("prepare"))
    cluster[0].is_up = False
    cluster.fire("view")
    cluster.deliver()
    assert cluster[1].blocks[0][1] == f"{cluster.names[1]} 1 1".encode()


def test_replicas_that_voted_in_the_first_view_enter_a_higher_one_by_new_view_only() -> None:
    """R4: a parent certificate of a higher view opens that view only for one who has said nothing at this height."""
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    block_id = cluster[0].blocks[0][0]
    parent = cluster.certificate("commit", 1, 1, block_id, range(3))
    body = b"of view 1"
    bench = cluster[1]
    late = PrePrepare.signed(bench.signer, CHAIN_ID, 0, 2, 1, block_id_of(body), bench.name, body, parent)
    cluster[0].work()
    cluster.queue.clear()
    for who in (0, 3):
        cluster[who].receive(cluster.names[1], late)
    assert cluster[0].replica.view == 0
    assert cluster[3].replica.view == 1
    assert [vote.view for vote in cluster[3].votes_said("prepare") if vote.height == 2] == [1]
    assert [vote.view for vote in cluster[0].votes_said("prepare") if vote.height == 2] == [0]


def test_a_forged_parent_certificate_opens_no_view() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    genuine = cluster.certificate("commit", 1, 1, cluster[0].blocks[0][0], range(3))
    other_block = cluster.certificate("commit", 1, 1, bytes(32), range(3))
    forged = replace(genuine, signatures=tuple((name, bytes(64)) for name, _ in genuine.signatures))
    bench = cluster[1]
    for parent in (forged, other_block, cluster.certificate("prepare", 1, 1, genuine.block_id, range(3))):
        message = PrePrepare.signed(bench.signer, CHAIN_ID, 0, 2, 1, block_id_of(b"x"), bench.name, b"x", parent)
        cluster[3].receive(bench.name, message)
        assert cluster[3].replica.view == 0


def test_commits_of_a_view_never_entered_decide_as_well() -> None:
    cluster, block_id = prepared_everywhere()
    for who in (0, 1, 2):
        cluster[3].receive(cluster.names[who], VoteMessage(cluster.vote("commit", who, 1, 5, block_id).vote))
    assert len(cluster[3].blocks) == 1
    assert cluster[3].replica.view == 5

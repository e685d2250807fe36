"""A faulty member shows a prepared certificate only when nobody has the block any more."""

from __future__ import annotations

import pytest

from chain.certificate import Certificate
from consensus.messages import NewView, ProposalRequest, ViewChange
from tests.consensus.cluster import CHAIN_ID, Cluster, block_id_of

FAULTY = 3


def ask(cluster: Cluster, prepared: Certificate | None) -> None:
    """The time of the view is up; the faulty member's VIEW-CHANGE is with everybody before any other's."""
    cluster.now_ms += 10_000
    cluster.fire("view")
    faulty, view = cluster[FAULTY], max(bench.replica.view for bench in cluster if bench.is_up)
    change = ViewChange.signed(faulty.signer, CHAIN_ID, 0, 1, view, prepared, faulty.name)
    for bench in cluster:
        if bench.is_up:
            bench.receive(faulty.name, change)


def without_the_third(views: int) -> tuple[Cluster, Certificate]:
    """One member is down, and the faulty one takes part in all but the votes, of which it keeps a certificate: so no
    view decides, and each correct primary makes another block. This is one fault too many, but only for a while."""
    cluster = Cluster(4)
    cluster[2].is_up = cluster[FAULTY].is_up = False
    cluster.work()
    for _ in range(views):
        cluster.deliver()
        ask(cluster, None)
    cluster.deliver()
    certificate = cluster.certificate("prepare", 1, 0, block_id_of(f"{cluster.names[0]} 1 0".encode()), (0, 1, FAULTY))
    return cluster, certificate


def test_a_certificate_of_a_block_that_nobody_has_any_more_does_not_stop_the_network_for_ever() -> None:
    cluster, certificate = without_the_third(40)
    assert len({vote.block_id for vote in cluster[0].votes_said("prepare")}) > 16
    cluster[2].boot()
    cluster[2].work()
    for _ in range(12):
        ask(cluster, certificate)
        cluster.deliver()
        cluster.fire("retransmit")
        cluster.deliver()
    assert cluster.heights()[:3] == [1, 1, 1]


def test_in_a_height_that_lasts_a_missing_block_is_demanded_where_no_quorum_can_do_without() -> None:
    cluster = Cluster(4)
    certificate = cluster.certificate("prepare", 1, 0, bytes(32), (0, 2, 3))
    primary = cluster[1]
    for who in (0, 3):
        change = ViewChange.signed(cluster[who].signer, CHAIN_ID, 0, 1, 5, certificate, cluster.names[who])
        primary.receive(cluster.names[who], change)
    assert (primary.replica.view, primary.said(NewView)) == (5, [])
    primary.fire("retransmit")
    (opened,) = primary.said(NewView)
    assert isinstance(opened, NewView)
    assert opened.block_id == certificate.block_id
    assert primary.said(ProposalRequest)


@pytest.mark.parametrize("retransmit_ms", [500, 10_000])
def test_however_seldom_a_node_repeats_itself_it_waits_for_other_view_changes_no_longer_than_its_view(
    retransmit_ms: int,
) -> None:
    """With a repetition as late as the end of the view every such view was left before it was opened."""
    cluster = Cluster(4, retransmit_ms=retransmit_ms)
    certificate = cluster.certificate("prepare", 1, 0, bytes(32), (0, 2, 3))
    primary = cluster[1]
    for who in (0, 3):
        change = ViewChange.signed(cluster[who].signer, CHAIN_ID, 0, 1, 5, certificate, cluster.names[who])
        primary.receive(cluster.names[who], change)
    primary.fire(min(primary.timers, key=lambda timer: primary.timers[timer][1]))
    assert (primary.replica.view, len(primary.said(NewView))) == (5, 1)

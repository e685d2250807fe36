"""A member whose VIEW-CHANGEs are as large as a message may be: nobody keeps them, and nobody passes them on."""

from __future__ import annotations

import pytest

from chain.certificate import Certificate
from chain.crypto import ZERO_DIGEST
from consensus.effects import Accuse
from consensus.messages import NewView, ViewChange
from consensus.votes import decode_record
from tests.consensus.cluster import CHAIN_ID, Cluster

MIB = 1 << 20


def with_a_faulty_member() -> Cluster:
    """Four with work to do; the first says what it likes, by our hand."""
    cluster = Cluster()
    cluster[0].is_up = False
    for honest in (1, 2, 3):
        cluster[honest].work()
    return cluster


def large(cluster: Cluster, view: int, size: int) -> ViewChange:
    """Signed by the first member, with a prepared certificate by somebody whose name is `size` long."""
    liar = cluster[0]
    junk = Certificate("prepare", 0, 1, view - 1, ZERO_DIGEST, (("x" * size, bytes(64)),))
    return ViewChange.signed(liar.signer, CHAIN_ID, 0, 1, view, junk, liar.name)


@pytest.mark.parametrize("size", [100, 12 * MIB - 400])
def test_large_view_changes_do_not_keep_a_view_from_being_opened(size: int) -> None:
    cluster = with_a_faulty_member()
    for view in range(1, 4):  # to each primary-to-be the one for its own view, before anybody's time is up
        cluster[view].receive(cluster.names[0], large(cluster, view, size))
    cluster.fire("view")
    cluster.deliver()
    assert cluster.heights()[1:] == [1, 1, 1]


@pytest.mark.parametrize("size", [100, 4 * MIB])
def test_a_new_view_that_was_written_down_can_be_read_again(size: int) -> None:
    cluster = with_a_faulty_member()
    cluster[1].receive(cluster.names[0], large(cluster, 1, size))
    cluster.fire("view")
    cluster.deliver(lambda _sender, _receiver, message: isinstance(message, ViewChange))
    assert cluster[1].said(NewView)
    for record in cluster[1].records:
        decode_record(record)


def test_what_is_remembered_of_certificates_stays_small() -> None:
    cluster = Cluster()
    for view in range(1, 30):
        cluster[1].receive(cluster.names[0], large(cluster, view, MIB))
    assert sum(map(len, cluster[1].replica._state.at.checked)) < MIB


def test_what_a_member_is_accused_by_fits_into_a_transaction() -> None:
    cluster = Cluster()
    cluster[1].receive(cluster.names[0], large(cluster, 3, 5 * MIB))
    cluster[1].receive(cluster.names[0], large(cluster, 3, 6 * MIB))
    accusations = [effect for effect in cluster[1].effects if isinstance(effect, Accuse)]
    assert {effect.department for effect in accusations} == {cluster.names[0]}
    assert all(len(effect.evidence.to_bytes()) < 1 << 16 for effect in accusations if effect.evidence)

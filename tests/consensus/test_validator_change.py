"""Certificates and observers where the validator set has changed, or a certificate is not what it seems."""

from __future__ import annotations

from dataclasses import replace

from chain.validators import ValidatorSet
from consensus import evidence
from consensus.events import Appended
from consensus.messages import Status
from tests.consensus.cluster import Cluster
from tests.simulation.cheap_crypto import validators_of
from tests.simulation.plan import Plan
from tests.simulation.world import World


def after_a_change(cluster: Cluster, changed: ValidatorSet | None = None, view: int = 0) -> ValidatorSet:
    """Height 1 is decided by the four (shown in `view`), height 2 will be by `changed` (six, if nothing is said)."""
    cluster.work()
    cluster.deliver()
    changed = changed or validators_of(6, 1)
    block_id = cluster[0].blocks[0][0]
    certificate = cluster.certificate("commit", 1, view, block_id, range(3))
    for bench in cluster:
        bench.boot()
        bench.blocks.clear()
        bench.boot()
        bench.effects.clear()
        bench.step(Appended(1, block_id, certificate, changed, False))
    return changed


def test_the_heads_certificate_is_verified_under_the_set_that_signed_it_b33() -> None:
    """Three signatures are a quorum of the old four, not of the new six; the view they show is taken up."""
    cluster = Cluster()
    after_a_change(cluster)
    block_id = cluster[0].replica._state.head.block_id
    higher = cluster.certificate("commit", 1, 5, block_id, range(3))
    bench = cluster[0]
    bench.receive(cluster.names[1], Status(1, 5, True, False, False, higher))
    assert bench.replica.view == 5
    assert bench.offences() == []


def test_a_quorum_is_counted_in_the_set_of_the_height_b33() -> None:
    cluster = Cluster()
    changed = after_a_change(cluster)
    state = cluster[0].replica._state
    assert state.validators == changed
    assert state.validators.quorum == 4
    three_of_six = replace(cluster.certificate("commit", 2, 0, bytes(32), range(3)), epoch=1)
    assert not state.is_commit_certificate(three_of_six, 2, None)


def test_one_signer_repeated_is_no_quorum_b36() -> None:
    cluster = Cluster()
    honest = cluster.certificate("commit", 1, 0, bytes(32), (1,))
    repeated = replace(honest, signatures=honest.signatures * 4)
    cluster[0].receive(cluster.names[1], Status(1, 0, True, False, False, repeated))
    assert cluster[0].offences() == [(cluster.names[1], evidence.STATUS_CERTIFICATE)]
    assert cluster[0].replica._state.at.commit_certificate is None


def test_a_certificate_with_one_bogus_signature_more_is_refused_b35() -> None:
    cluster = Cluster()
    honest = cluster.certificate("commit", 1, 0, bytes(32), range(3))
    more = replace(honest, signatures=(*honest.signatures, (cluster.names[3], bytes(64))))
    cluster[0].receive(cluster.names[1], Status(1, 0, True, False, False, more))
    assert cluster[0].offences() == [(cluster.names[1], evidence.STATUS_CERTIFICATE)]


def test_an_observer_that_restarts_observes_on() -> None:
    """Seeds 3408 and 5516: the driver had begun a new, empty log, and the next life took it for a whole one."""
    world = World(1, Plan(4, transactions=0))
    world.is_healed = True
    for node in world.nodes:
        node.start()
    node = world.nodes[3]
    node.disk.is_log_lost = True
    for _ in range(2):
        node.replica = None
        node.start()
        assert node.replica is not None
        assert node.replica.is_observer

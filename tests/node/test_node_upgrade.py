"""Real nodes at the height of a new version: who speaks it goes on, who doesn't stops before it, with all its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain import protocol
from chain.errors import KehuError
from chain.execution import HOME_ONLY
from chain.transaction import Call
from contracts.departments.changes import effect_of
from node.folder.opening import open_home
from node.members.protocol import Outdated
from tests.node.cluster import PATIENCE_S, Cluster, eventually, running

NEWEST = protocol.NEWEST
BEFORE = NEWEST - 1


async def agree(cluster: Cluster, version: int = NEWEST) -> int:
    """Proposed and approved by three departments; the height from which it counts."""
    change = {"kind": "protocol", "version": version}
    signed = effect_of(cluster.any.view(), change)
    args = {"proposal": "p1", "change": change, "effect": signed}
    await cluster.commit(cluster.sign("boss", Call("governance.propose", args)), via="administration")
    for person, department in (("boss", "administration"), ("li", "sales"), ("qian", "finance")):
        call = Call("governance.approve", {"proposal": "p1", "effect": signed})
        await cluster.commit(cluster.sign(person, call), via=department)
    ledgers = [node.ledger for node in cluster.nodes.values()]
    await eventually(lambda: all(protocol.last_version(ledger.protocol_schedule())[1] == version for ledger in ledgers))
    return protocol.last_version(ledgers[0].protocol_schedule())[0]


@pytest.mark.slow
async def test_nodes_tell_each_other_what_they_speak_and_pass_the_height_by_themselves(tmp_path: Path) -> None:
    async with running(tmp_path, HOME_ONLY - 1) as cluster:
        node = cluster.nodes["sales"]
        await eventually(lambda: all(row["speaks"] == [1, NEWEST] for row in node.protocol()["nodes"]))
        wrong = cluster.login("qian")
        await cluster.submit([wrong], "sales")
        committed = await node.wait_committed(wrong.id, PATIENCE_S)
        assert committed is not None
        assert committed.receipt.code == "people.wrong_node"
        height = await agree(cluster, HOME_ONLY)
        assert node.height >= height or node.protocol()["next"] == {"version": HOME_ONLY, "activation_height": height}
        await eventually(lambda: all(one.height >= height for one in cluster.nodes.values()))
        assert node.blocks.block(height - 1).header.version == HOME_ONLY - 1
        assert node.blocks.block(height).header.version == HOME_ONLY
        assert (node.protocol()["version"], node.protocol()["next"]) == (HOME_ONLY, None)
        (admission,) = await node.submit([cluster.login("qian").raw], [])
        assert admission.error is not None
        assert admission.error.code == "transaction.elsewhere"


@pytest.mark.slow
async def test_a_node_that_speaks_less_stops_before_the_height_and_goes_on_once_it_speaks_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, protocol=BEFORE)
    monkeypatch.setattr(protocol, "NEWEST", BEFORE)
    await cluster.start()
    await cluster.ready()
    height = await agree(cluster)
    nodes = dict(cluster.nodes)
    await eventually(lambda: len(cluster.failures) == len(nodes))
    for failure in cluster.failures:
        assert isinstance(failure, Outdated)
        assert failure.details == {"height": height, "needs": NEWEST, "speaks": BEFORE}
    assert {node.height for node in nodes.values()} == {height - 1}
    with pytest.raises(Outdated):
        await cluster.stop()
    with pytest.raises(Outdated):
        open_home(cluster.homes["sales"])
    cluster.failures.clear()
    monkeypatch.setattr(protocol, "NEWEST", NEWEST)
    await cluster.start()
    await cluster.ready()
    await cluster.commit(cluster.login("li"), via="sales")
    assert cluster.nodes["sales"].blocks.block(height).header.version == NEWEST
    await cluster.stop()
    monkeypatch.setattr(protocol, "NEWEST", BEFORE)  # the older release again: it refuses, and touches nothing
    with pytest.raises(KehuError) as caught:
        open_home(cluster.homes["sales"])
    assert caught.value.code == "protocol.too_new"
    assert not (cluster.homes["sales"].path / "damaged").exists()
    monkeypatch.setattr(protocol, "NEWEST", NEWEST)
    open_home(cluster.homes["sales"]).closing.close()

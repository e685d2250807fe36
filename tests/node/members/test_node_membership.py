"""Four departments' real nodes become five, change a key and become four again, while clients commit."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from chain.errors import KehuError
from chain.ledger import Ledger
from chain.transaction import Call
from contracts.deciding.subjects import POSSESSION_PURPOSE, possession_payload
from contracts.departments.changes import effect_of
from contracts.registry import contract_table
from node.folder.config import Home
from node.keys.files import create_key_file, read_public
from node.members.membership import describe
from tests.node.cluster import CHEAP, PASSPHRASE, Cluster, eventually, free_ports, key_of, make_home

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]
NEW = "technical"


def node_key(cluster: Cluster, department: str, name: str) -> dict[str, Any]:
    """Key and possession for a change."""
    key = key_of(name)
    payload = possession_payload(department, key.public.hex())
    return {"key": key.public.hex(), "possession": key.sign(POSSESSION_PURPOSE, cluster.chain_id, payload)}


async def accept(cluster: Cluster, change: dict[str, Any], *people: str) -> int:
    """Proposed and approved by these people, each through the own department's node; the height of activation."""
    proposal = f"p{secrets.token_hex(4)}"
    effect = effect_of(cluster.any.view(), change)
    call = Call("governance.propose", {"proposal": proposal, "change": change, "effect": effect})
    await cluster.commit(cluster.sign("boss", call), via="administration")
    for person, department in (("boss", "administration"), *((name, DESKS[name]) for name in people)):
        call = Call("governance.approve", {"proposal": proposal, "effect": effect})
        await cluster.commit(cluster.sign(person, call), via=department)
    row = cluster.nodes[department].view().get("proposals", proposal)
    assert row is not None
    height: int = row["activation_height"]
    return height


DESKS = {"li": "sales", "qian": "finance", "wu": "after_sales", "sun": NEW}


def add_home(cluster: Cluster, folder: Path, more: str = "") -> int:
    """The folder of a department that genesis does not know, with an introduction; its peer port."""
    peer, api = free_ports(2)
    home = make_home(folder / NEW, NEW, cluster.genesis.value, peer, api, more)
    told = describe(cluster.any.ledger)
    home.members.write_text(json.dumps({"format": 1, "members": told["members"]}))
    cluster.homes[NEW] = home
    return peer


def give_next_key(home: Home, name: str) -> None:
    create_key_file(home.next_key, "node", home.path.name, PASSPHRASE, key_of(name).seed, CHEAP)


def audit(cluster: Cluster) -> int:
    """Replays one node's whole chain with every signature; how many heights."""
    (ledger, _), node = Ledger.at_genesis(cluster.genesis, contract_table()), cluster.any
    for height in range(1, node.height + 1):
        certificate = node.blocks.certificate(height)
        assert certificate is not None
        certificate.verify(ledger.validators(height), cluster.chain_id)
        executed = ledger.check(
            node.blocks.block(height), lambda batch, members: batch.verify(members, cluster.chain_id)
        )
        ledger.advance(executed, certificate)
    assert ledger.state.root == node.ledger.state.root
    return node.height


async def test_departments_come_go_and_change_keys_while_one_is_down(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    try:
        await cluster.start("administration", "finance", "sales")
        await cluster.ready()
        peer = add_home(cluster, tmp_path)
        change = {"kind": "add", "department": NEW, "name": "技术", "address": f"127.0.0.1:{peer}"}
        height = await accept(cluster, {**change, **node_key(cluster, NEW, f"node {NEW}")}, "li", "qian")
        await cluster.start(NEW)
        await eventually(lambda: cluster.nodes[NEW].height >= height)
        assert cluster.nodes[NEW].ledger.validators(height).quorum == 4
        await eventually(lambda: cluster.nodes[NEW].is_ready)
        # Four of five are a quorum only with the newcomer's vote.
        await cluster.commit(cluster.login("li"), via="sales")
        await cluster.start("after_sales")
        await cluster.ready()
        await cluster.commit(cluster.login("wu"), via="after_sales")
        await cluster.agree(height + 1)

        await enrol(cluster, "sun", NEW)

        # A key changes while another department is down.
        await cluster.stop("finance")
        registration, values = cluster.register("c1")
        await cluster.commit(registration, via="sales", values=values)
        give_next_key(cluster.homes["sales"], "node sales 2")
        change = {"kind": "rotate", "department": "sales", **node_key(cluster, "sales", "node sales 2")}
        height = await accept(cluster, change, "li", "wu", "sun")
        await eventually(lambda: cluster.nodes["administration"].height >= height)
        await eventually(lambda: "sales" in cluster.nodes["administration"].peers.connected)
        assert read_public(cluster.homes["sales"].node_key).public == key_of("node sales 2").public
        await cluster.ready()
        await cluster.commit(cluster.login("li"), via="sales")
        assert cluster.nodes["sales"].status()["vault"]  # the vault opens under the new key
        await cluster.start("finance")
        await cluster.ready()
        await cluster.agree(height)

        # One goes while it is up; what its people send is refused from then on.
        change = {"kind": "remove", "department": "after_sales"}
        height = await accept(cluster, change, "li", "qian", "wu")
        await eventually(lambda: cluster.nodes["administration"].height >= height)
        gone = cluster.nodes["after_sales"]
        await eventually(lambda: not gone.status()["is_member"])
        with pytest.raises(KehuError) as caught:
            await cluster.submit([cluster.login("wu")], via="after_sales")
        assert caught.value.code == "node.not_member"
        await cluster.stop("after_sales")
        await cluster.ready()
        await cluster.stop("finance")  # three of four
        await cluster.commit(cluster.login("boss"), via="administration")
        await cluster.agree(height + 1)
        assert audit(cluster) > height
        assert [row["epoch"] for row in describe(cluster.any.ledger)["changes"]] == [1, 2, 3]
    finally:
        await cluster.stop()


async def test_a_department_removed_while_away_is_told_so_with_proof_and_stops(tmp_path: Path) -> None:
    """Its name comes last, so nobody dials it any more and it never dials: it has to ask by itself."""
    cluster = Cluster(tmp_path)
    try:
        await cluster.start()
        await cluster.ready()
        peer = add_home(cluster, tmp_path)
        change = {"kind": "add", "department": NEW, "name": "技术", "address": f"127.0.0.1:{peer}"}
        height = await accept(cluster, {**change, **node_key(cluster, NEW, f"node {NEW}")}, "li", "qian")
        await cluster.start(NEW)
        await eventually(lambda: cluster.nodes[NEW].height >= height)
        await eventually(lambda: cluster.nodes[NEW].is_ready)
        await cluster.stop(NEW)
        height = await accept(cluster, {"kind": "remove", "department": NEW}, "li", "qian", "wu")
        await eventually(lambda: cluster.nodes["administration"].height >= height)
        await cluster.start(NEW)
        await eventually(lambda: cluster.failures)
        (end,) = cluster.failures
        assert isinstance(end, KehuError)
        assert (end.code, end.details["height"]) == ("membership.removed", height)
        assert cluster.nodes[NEW].height < height
        with pytest.raises(KehuError, match=r"membership\.removed"):
            await cluster.stop(NEW)
        await cluster.commit(cluster.login("li"), via="sales")
    finally:
        await cluster.stop()


async def test_a_newcomer_far_behind_takes_a_snapshot_and_votes(tmp_path: Path) -> None:
    settings = "[snapshot]\nbehind_blocks = 20\ninterval_blocks = 50\n"
    cluster = Cluster(tmp_path, settings, expiry_heights_max=210)
    try:
        await cluster.start()
        await cluster.ready()
        while cluster.any.height < 320:
            await cluster.commit(cluster.login("li"), via="sales")
        peer = add_home(cluster, tmp_path, settings)
        change = {"kind": "add", "department": NEW, "name": "技术", "address": f"127.0.0.1:{peer}"}
        height = await accept(cluster, {**change, **node_key(cluster, NEW, f"node {NEW}")}, "li", "qian")
        await cluster.start(NEW)
        await eventually(lambda: cluster.nodes[NEW].height >= 300)
        assert cluster.nodes[NEW].blocks.first()[1] >= 300
        await eventually(lambda: cluster.nodes[NEW].height >= height)
        await cluster.ready()
        await cluster.stop("after_sales")
        await cluster.commit(cluster.login("li"), via="sales")  # four of five, the newcomer among them
        await cluster.agree(height)
        assert cluster.nodes[NEW].ledger.validators(height).quorum == 4
    finally:
        await cluster.stop()


async def enrol(cluster: Cluster, person: str, department: str) -> None:
    payload = possession_payload(person, key_of(person).public.hex())
    args = {
        "person": person,
        "department": department,
        "role": "operator",
        "key": key_of(person).public.hex(),
        "possession": key_of(person).sign(POSSESSION_PURPOSE, cluster.chain_id, payload),
        "fields": {},
    }
    await cluster.commit(cluster.sign("boss", Call("people.enrol", args)), via="administration")

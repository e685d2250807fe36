"""A chain that comes again, block by block or as a snapshot, takes nothing out of a vault that is ahead of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chain.ledger import Ledger
from chain.store import MemoryStore
from chain.transaction import Call
from contracts.deciding.policy import default_policy
from contracts.registry import contract_table
from node.folder.config import Home, Snapshots
from node.snapshot.incoming import install
from node.snapshot.offers import OFFERS_KIND, PIECE_KIND, SnapshotOffers
from node.snapshot.past import answer_past
from node.snapshot.sync import SnapshotSync
from node.storage.leveldb import LevelStore
from tests.node.cluster import eventually
from tests.node.peer_kit import until
from tests.node.vault_network import Network, VaultNode, network

REMEMBERED = 110
"""Blocks: for as long as which transactions may wait, and that come with a snapshot."""


def only_the_administration_holds_notes() -> dict[str, Any]:
    policy = default_policy()
    fields = [field for field in policy["tables"]["customers"] if field not in ("note", "identifier")]
    return {
        "rules": [rule | {"fields": fields} if rule["table"] == "customers" else rule for rule in policy["rules"]],
    }


async def test_a_value_that_nobody_else_may_hold_outlives_the_loss_of_the_chains_folder(tmp_path: Path) -> None:
    async with network(tmp_path, policy=only_the_administration_holds_notes()) as net:
        assert (await net.submit(net.registration())).is_ok
        for version, text in enumerate(("first", "second", "third"), 1):
            assert (await net.submit(net.update(version, sender="boss", note=text), via="administration")).is_ok
        await net.stop("administration")

        net.stores["administration"] = MemoryStore()  # damaged and set aside, or put back from an old copy
        node = await net.start("administration", catch_up=False)
        await net.catch_up(node)
        assert node.ledger.height == len(net.chain)
        assert node.live()["note"] == "third"
        node.level.reach()
        await until(lambda: not node.exchange.refill.is_walking)
        assert node.live()["note"] == "third"

        assert (await net.submit(net.update(4, sender="boss", note="fourth"), via="administration")).is_ok
        assert node.live()["note"] == "fourth"
        assert sorted(name.field for name, _ in node.vault.live("customers", "c1")) == sorted(node.live())


async def take_snapshot(net: Network, department: str, giver: VaultNode, home: Home) -> LevelStore:
    """The chain's store of a node of `department` that took one, opened anew."""
    offers = SnapshotOffers(giver.ledger, giver.blocks, 1, lambda: 0.0)

    async def request(_department: str, kind: str, payload: bytes, _timeout_s: float) -> bytes:
        if kind == OFFERS_KIND:
            return await offers.answer_offers(department, payload)
        if kind == PIECE_KIND:
            return await offers.answer_piece(department, payload)
        return answer_past(giver.blocks, giver.ledger.height, payload)

    failures: list[BaseException] = []
    behind, blocks = Ledger.open(net.genesis, contract_table(), MemoryStore())
    settings = Snapshots(behind_blocks=1)
    sync = SnapshotSync(home, department, behind, blocks, settings, request, lambda: None, failures.append)
    assert sync.takes_over(giver.ledger.height)
    await eventually(lambda: not sync.is_running)
    assert not failures
    assert install(home)
    return LevelStore(home.chain)


async def test_a_value_that_only_this_node_had_staged_outlives_a_snapshot_without_the_block_of_its_transaction(
    tmp_path: Path,
) -> None:
    limits = {"expiry_heights_max": REMEMBERED}
    async with network(tmp_path, policy=only_the_administration_holds_notes(), limits=limits) as net:
        assert (await net.submit(net.registration())).is_ok
        (kept, value), (failed, other) = [net.update(1, sender="boss", note=text) for text in ("kept", "lost")]
        await net.nodes["administration"].exchange.safeguard_all([(kept, value), (failed, other)])
        await net.stop("administration")
        receipts = await net.append([kept, failed], via="administration")
        assert [receipt.is_ok for receipt in receipts] == [True, False]
        for _ in range(REMEMBERED + 5):
            await net.commit("li", Call("nobody.knows", {}), via="sales")

        store = await take_snapshot(net, "administration", net.nodes["sales"], Home(tmp_path))
        net.stores["administration"] = store
        node = await net.start("administration")
        assert node.blocks.first()[0] > 2
        await until(lambda: not node.exchange.refill.is_walking)
        assert node.staged() == []
        assert node.live()["note"] == "kept"
        await net.stop("administration")
        store.close()

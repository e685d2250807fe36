"""A chain that comes again block by block takes nothing out of a vault that is ahead of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chain.store import MemoryStore
from contracts.deciding.policy import default_policy
from tests.node.peer_kit import until
from tests.node.vault_network import network


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

"""What a vault says of itself: counts by table, what it lacks, who may hold that and who says that they do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from node.vault.planning import TURN
from node.vault.seal import Wanted
from node.vault.values import FieldId
from tests.node.peer_kit import until
from tests.node.vault_network import Network, network

TOTALS = {"live_values": 3, "staged_transactions": 0, "staged_values": 0, "erased_records": 0}


async def lose(net: Network, department: str) -> None:
    """The department's vault is gone, and nobody whom it may ask is up."""
    await net.stop(department)
    (net.folder / department).rename(net.folder / "lost")
    for other in list(net.nodes):
        await net.stop(other)
    await net.start(department)


async def test_a_whole_vault_lacks_nothing_and_counts_by_table(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.holds("sales", "name", "phone", "position")
        refill = net.nodes["sales"].exchange.refill
        await until(lambda: not (refill.is_walking or refill.missing.items() or refill.surplus.items()))
        said = await net.nodes["sales"].exchange.report(None, 10)
        counts = {"customers": {"live": 3, "missing": 0, "surplus": 0}}
        head = {"department": "sales", "height": len(net.chain), "is_examined": True, "tables": counts}
        assert said == head | TOTALS | {"missing": [], "next": None}


async def test_a_lost_vault_names_each_missing_value_its_holders_and_who_is_silent(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.submit(net.registration("c2", name="李四", phone="+8613800000002"))
        await net.holds("finance", "name", "phone", "position", record="c2")
        await lose(net, "finance")
        finance = net.nodes["finance"].exchange
        await until(lambda: len(finance.refill.missing) == 6)
        first = await finance.report(None, 4)
        assert first["tables"] == {"customers": {"live": 0, "missing": 6, "surplus": 0}}
        assert [(row["record"], row["field"]) for row in first["missing"]] == [
            ("c1", "name"),
            ("c1", "phone"),
            ("c1", "position"),
            ("c2", "name"),
        ]
        row = first["missing"][0]
        assert (row["entitled"], row["held_by"]) == (["administration", "sales"], [])
        assert (row["silent"], row["version"]) == (["administration", "sales"], 1)
        second = await finance.report(first["next"], 4)
        assert [(row["record"], row["field"]) for row in second["missing"]] == [("c2", "phone"), ("c2", "position")]
        assert second["next"] is None
        assert "张三" not in repr(first)


async def test_holders_that_are_up_say_what_they_hold(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.holds("finance", "name", "phone", "position")
        await lose(net, "finance")
        finance = net.nodes["finance"].exchange
        await until(lambda: len(finance.refill.missing) == 3)
        net.liars["sales", "vault.fetch"] = net.liars["administration", "vault.fetch"] = lambda _answer: b""
        await net.start("sales")
        await net.start("administration")
        said = await finance.report(None, 10)
        held = {(row["field"], tuple(row["held_by"]), tuple(row["silent"])) for row in said["missing"]}
        assert held == {(field, ("administration", "sales"), ()) for field in ("name", "phone", "position")}


async def test_who_looks_at_one_page_of_very_much_that_is_lacking_lets_others_have_their_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        sales = net.nodes["sales"]
        asked, in_a_turn, is_current = [], list[int](), sales.exchange.duties.is_current

        def counted(wanted: Wanted) -> bool:
            asked.append(wanted)
            return is_current(wanted)

        async def watch() -> None:
            while True:
                in_a_turn.append(len(asked))
                asked.clear()
                await asyncio.sleep(0)

        lost = [(FieldId("customers", f"x{number}", "name"), bytes(32)) for number in range(4 * TURN)]
        sales.exchange.refill.missing.add(lost, 3_600.0)
        monkeypatch.setattr(sales.exchange.duties, "is_current", counted)
        watching = asyncio.create_task(watch())
        said = await sales.exchange.report(None, 10)
        watching.cancel()
        assert said["missing"] == []
        assert sum(in_a_turn) >= len(lost)
        assert max(in_a_turn) <= 2 * TURN  # others ask too

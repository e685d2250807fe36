"""A policy concerns every record: all are looked at again, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.state import View
from contracts.deciding.policy import load_policy
from node.search.index import RecordIndex
from tests.node.peer_kit import until
from tests.node.vault_network import network

RECORDS = [f"c{number}" for number in range(1, 10)]
BATCH = 2


async def test_a_policy_has_every_record_looked_at_again_and_no_list_made_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.search.index.BATCH", BATCH)
    monkeypatch.setattr("node.vault.duty.KEYS_AT_ONCE", BATCH)
    async with network(tmp_path) as net:
        for name in RECORDS:
            await net.submit(net.registration(name))
        sales = net.nodes["sales"]
        state, index = sales.ledger.state, RecordIndex(sales.ledger, sales.vault)
        await index.walk()
        keys_at_once, looked_at, keys, refresh = [], list[str](), state.keys, index._refresh

        def counted(table: str, after: str = "") -> Iterator[str]:
            keys_at_once.append(0)
            for key in keys(table, after):
                keys_at_once[-1] += 1
                yield key

        async def watched(touched: list[object]) -> None:
            looked_at.extend(one.record.record for one in touched if one.record.table == "customers")  # type: ignore[attr-defined]
            await refresh(touched)  # type: ignore[arg-type]

        monkeypatch.setattr(state, "keys", counted)
        monkeypatch.setattr(index, "_refresh", watched)
        follow = sales.exchange.on_block

        async def on_block(executed: object) -> None:
            await follow(executed)  # type: ignore[arg-type]
            index.on_block(executed)  # type: ignore[arg-type]

        monkeypatch.setattr(sales.exchange, "on_block", on_block)
        await net.boss("permissions.set_policy", policy=load_policy(View(state.get)) | {"vault_holders_min": 1})
        await net.submit(net.update(1, name="赵五"))
        await index.catch_up()
        await until(lambda: not sales.exchange.refill.is_walking)
        assert set(looked_at) == set(RECORDS)
        assert len(looked_at) <= len(RECORDS) + 1
        assert max(keys_at_once) <= BATCH

"""A holder that does not answer keeps nobody from a value that another one has."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.node.peer_kit import until
from tests.node.vault_network import network

FETCH = "vault.fetch"


async def test_a_reader_has_a_value_from_another_holder_while_the_first_one_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.vault.refill.PATIENCE_S", 0.01)
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.holds("finance", "name", "phone", "position")
        await net.stop("finance")
        (tmp_path / "finance").rename(tmp_path / "lost")
        slow = net.nodes["administration"].links.handlers
        has_been_asked, answers, real = asyncio.Event(), asyncio.Event(), slow[FETCH]

        async def hesitate(department: str, payload: bytes) -> bytes:
            has_been_asked.set()
            await answers.wait()
            return await real(department, payload)

        slow[FETCH] = hesitate
        node = await net.start("finance")
        await has_been_asked.wait()
        name = net.value("c1", "name", "张三")
        await node.exchange.obtain([(name.id, name.digest(net.chain_id))])
        assert node.live()["name"] == "张三"
        asked = [other for own, other, kind in net.requests if (own, kind) == ("finance", FETCH)]
        assert asked == ["administration", "sales"], "nobody is asked twice at a time"

        answers.set()
        await net.holds("finance", "name", "phone", "position")
        await until(lambda: node.exchange.status()["missing"] == 0)

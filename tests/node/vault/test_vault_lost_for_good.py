"""A vault that came to grief: what nobody has any more keeps nobody from having the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.peer_kit import until
from tests.node.vault_network import network

CUSTOMERS = 30


async def test_however_many_values_nobody_has_any_more_every_other_value_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.vault.refill.BACKLOG_MAX", 5)
    async with network(tmp_path) as net:
        names = [f"c{number}" for number in range(1, CUSTOMERS + 1)]
        for name in names:
            await net.submit(net.registration(name))
        await net.stop("administration")
        (tmp_path / "administration").rename(tmp_path / "lost")  # and with it all identifiers, which only it may hold
        node = await net.start("administration")
        for name in names:
            await net.holds("administration", "name", "phone", "position", record=name)
        await until(lambda: not node.exchange.refill.is_walking)
        assert node.exchange.status()["missing"] == CUSTOMERS

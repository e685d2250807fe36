"""`kehu status`: one node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.exits import Exit
from cli.output import Answer, Screen
from cli.root import app
from cli.run import Run

OTHER_NETWORK = define(
    "proof.other_network",
    "the node is another network's: its chain id is not that of the genesis file here",
    "check the URL in network.json or --node",
)


@command(
    app,
    "status",
    needs=Needs.NODE,
    example="kehu status --node finance",
    json_keys=(
        "url",
        "network",
        "chain_id",
        "department",
        "height",
        "block_id",
        "block_time_ms",
        "state_root",
        "now_ms",
        "node",
    ),
    exits=(Exit.UNKNOWN, Exit.UNVERIFIED, Exit.MACHINE),
)
async def status(run: Run) -> Answer:
    """Show what one node says of itself."""
    async with run.reader() as client:
        said = await client.status()
        expected = client.genesis.chain_id.hex()
    if said.get("chain_id") != expected:
        raise KehuError(OTHER_NETWORK, expected=expected, actual=str(said.get("chain_id")))
    keys = ("network", "chain_id", "department", "height", "block_id", "block_time_ms", "state_root", "now_ms", "node")
    data = {"url": client.url, **{key: said.get(key) for key in keys}}
    own = said.get("node")
    shown = {key: value for key, value in data.items() if key != "node"}
    shown |= own if isinstance(own, dict) else {}
    return Answer(data, lambda screen: _show(screen, shown))


def _show(screen: Screen, shown: dict[str, Any]) -> None:
    """Facts, those of a part of the node under the part's name; then its links."""
    screen.facts(pair for name, value in shown.items() if name != "peers" for pair in _named(name, value))
    peers = shown.get("peers") or []
    columns = list(dict.fromkeys(name for peer in peers for name in peer))
    if peers:
        screen.table(columns, [[peer.get(column) for column in columns] for peer in peers])


def _named(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield name, value
        return
    for part, below in value.items():
        yield from _named(f"{name}.{part}", below)

"""Homes of a network that has worked, and every way to damage one of their files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from chain.errors import KehuError
from node.folder.config import Home
from node.folder.opening import Opened, open_home
from node.soundness.scrub import follow_links
from node.soundness.setting_aside import heal, list_aside
from node.vault.rows import LIVE, parse_live_key
from tests.node.cluster import Cluster

CUSTOMERS = 6
NAME = "sales"


async def work(cluster: Cluster, folder: Path) -> None:
    """Lets a network work and stops it. `folder`/older: a home halfway; `folder`/logged: one whose newest rows lie in
    LevelDB's log; in the homes themselves they lie in tables, as an opening leaves them."""
    await cluster.start()
    await cluster.ready()
    for number in range(CUSTOMERS):
        if number == CUSTOMERS // 2:
            await cluster.agree()
            await cluster.stop()
            shutil.copytree(cluster.homes[NAME].path, folder / "older")
            await cluster.start()
            await cluster.ready()
        transaction, values = cluster.register(f"c{number}")
        await cluster.commit(transaction, via=NAME, values=values)
    await cluster.agree(CUSTOMERS)
    await cluster.stop()
    shutil.copytree(cluster.homes[NAME].path, folder / "logged")
    open_home(cluster.homes[NAME]).closing.close()


def first(folder: Path, pattern: str) -> Path:
    return max(folder.glob(pattern), key=lambda path: path.stat().st_size)


def flip(place: float, bit: int = 3) -> Callable[[Path], None]:
    """One bit at a share of the file's length."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[min(int(place * len(data)), len(data) - 1)] ^= 1 << bit
        path.write_bytes(data)

    return damage


def truncate(share: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])

    return damage


def delete(path: Path) -> None:
    path.unlink() if path.is_file() else shutil.rmtree(path)


BYTE_DAMAGE: dict[str, Callable[[Path], None]] = {
    **{f"flip at {place}": flip(place) for place in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)},
    "cut to nothing": truncate(0.0),
    "cut in half": truncate(0.5),
    "cut by its end": truncate(0.98),
    "deleted": delete,
}


def content(opened: Opened) -> tuple[object, ...]:
    """What a user would get: the chain's blocks, receipts and state, and every value, opened."""
    blocks, height = opened.blocks, opened.ledger.height
    values = []
    for key, _ in opened.vault.stores[0].scan(LIVE):
        record = parse_live_key(key)
        for name, digest in opened.vault.live(record.table, record.record):
            values.append(opened.vault.get(record.table, record.record, name.field, digest))
    chain = [(blocks.block_bytes(at), blocks.receipts_raw(at), blocks.certificate(at)) for at in range(height + 1)]
    return height, opened.ledger.state.root, chain, values, opened.records is None


def scrub(opened: Opened) -> int:
    """What a scrub does in the end, at once; how many values it set aside."""
    for store in (opened.chain_store, *opened.vault.stores):
        after: bytes | None = b""
        while after is not None:
            after, _, _ = store.read_through(after, 1 << 20)
    height = opened.ledger.height
    follow_links(opened.blocks, height, opened.ledger.head.block_id, height + 1)
    unsound, place = 0, b""
    while place is not None:
        place, found = opened.vault.look_through(place, 100)
        unsound += found
    return unsound


def evidence(home: Home) -> Iterator[str]:
    """Codes by which parts were set aside."""
    return (one.code for one in list_aside(home.path))


def live_through(home: Home) -> str:
    """What becomes of a home at start and under a scrub: "set aside CODE", "values CODE", or "nothing found"."""
    opened = open_home(home)
    try:
        unsound = scrub(opened)
    except KehuError as error:
        opened.closing.close()
        if not heal(home.path, error):
            raise
        open_home(home).closing.close()
    else:
        opened.closing.close()
        if unsound:
            return "values"
    codes = list(evidence(home))
    return f"set aside {codes[0]}" if codes else "nothing found"

"""How long a snapshot of many records takes, how many bytes, how much memory: python -m tools.measure_snapshot
[RECORDS]

One giver and one taker in this process, real LevelDB on both sides, no network between: what hashing, checking and the
disk cost. A record is a customer as contracts/ writes one: 5 field digests, about 350 bytes, and its key.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from chain import codec
from chain.blocks import BlockStore
from chain.crypto import digest
from chain.execution import CallContext
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.state import View
from chain.store import MemoryStore
from chain.transaction import Call
from node.folder.config import Home, Snapshots
from node.snapshot.incoming import install
from node.snapshot.offers import OFFERS_KIND, PIECE_KIND, SnapshotOffers
from node.snapshot.past import answer_past
from node.snapshot.sync import SnapshotSync
from node.storage.leveldb import LevelStore
from tools.sample_chain import Notes, SampleChain

AT_ONCE: Final = 1_000
FIELDS: Final = ("name", "phone", "note", "identifier", "address")


class Customers(Notes):
    """`fill` writes `AT_ONCE` customers."""

    def call(self, context: CallContext, view: View, call: Call) -> codec.Value:  # noqa: ARG002
        for number in range(call.args["from"], call.args["from"] + AT_ONCE):
            fields = {name: [digest("field", f"{number}{name}".encode()), 1] for name in FIELDS}
            row = {"version": 1, "fields": fields, "status": "temporary", "number": number}
            view.put("customers", f"c{number}", row)
        return None


class Giver(SampleChain):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.store: Any = LevelStore(folder, create=True)
        self.ledger, self.blocks = Ledger.open(self.genesis, Customers(), self.store)


def memory_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def take(giver: Giver, genesis: Genesis, home: Home) -> dict[str, Any]:
    offers = SnapshotOffers(giver.ledger, giver.blocks, 10, time.monotonic)

    async def request(_department: str, kind: str, payload: bytes, _timeout_s: float) -> bytes:
        if kind == OFFERS_KIND:
            return await offers.answer_offers("x", payload)
        if kind == PIECE_KIND:
            return await offers.answer_piece("x", payload)
        return answer_past(giver.blocks, giver.ledger.height, payload)

    ledger, _ = Ledger.at_genesis(genesis, Customers())
    done = asyncio.Event()
    errors: list[BaseException] = []
    blocks, settings = BlockStore(MemoryStore()), Snapshots(behind_blocks=1)
    sync = SnapshotSync(home, "sales", ledger, blocks, settings, request, done.set, errors.append)
    sync.takes_over(giver.ledger.height)
    async with asyncio.timeout(600):
        await done.wait()
    await sync.stop()
    return sync.status()


def main(records: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        giver = Giver(Path(folder) / "giver")
        for first in range(0, records, AT_ONCE):
            giver.append(giver.batch(giver.transact(Call("bulk.fill", {"from": first}))))
        home = Home(Path(folder) / "taker")
        home.path.mkdir()
        before_mib, began = memory_mib(), time.perf_counter()
        status = asyncio.run(take(giver, giver.genesis, home))
        took_s, taking_mib = time.perf_counter() - began, memory_mib()
        install(home)
        began = time.perf_counter()
        store = LevelStore(home.chain)
        ledger, _ = Ledger.open(giver.genesis, Customers(), store)
        opened_s = time.perf_counter() - began
        store.close()
        same = ledger.state.root == giver.ledger.state.root
        facts = {
            "values": status["values"],
            "received_mb": round(status["bytes"] / 1e6, 1),
            "taking_s": round(took_s, 1),
            "opening_s": round(opened_s, 1),
            "more_memory_mib_giver_and_taker": round(taking_mib - before_mib),
            "roots_equal": same,
        }
        sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

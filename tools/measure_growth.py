"""What a state of many records costs one node: `python -m tools.measure_growth 10000 100000 [--updates 20000]`.

Customers are registered through the contracts into a real folder, without signatures being checked. Then a process of
its own opens the folder, fills the index of searches with made-up values, and executes and appends blocks of updates
of customers drawn at random. Printed are its memory after each step and the processor time of each part; the vault, the
links and HTTP are not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chain.batch import sign_batch
from chain.certificate import Certificate, sign_vote
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.transaction import NONCE_BYTES, Call, sign_transaction
from contracts.registry import contract_table
from node.search.index import RecordIndex
from node.storage.scratch import ScratchRows
from tests.contracts.office import genesis_value, key_of
from tools.bench.grown import HastyStore
from tools.measure_search import Values

PER_BLOCK = 500
FIELDS = ("name", "phone", "organisation", "position")
SENDER, DEPARTMENT = "li", "sales"
EXPIRY_HEIGHTS = 100


class Chain:
    """A ledger in a folder that one department continues alone."""

    def __init__(self, folder: Path) -> None:
        self.genesis = Genesis.from_value(genesis_value(policy={}))
        self.store = HastyStore(folder, create=True)
        scratch = ScratchRows(folder.parent)
        self.ledger, self.blocks = Ledger.open(self.genesis, contract_table(), self.store, scratch)
        self.spent_s = {"execute and trie": 0.0, "append": 0.0, "advance": 0.0}

    def add(self, calls: Sequence[Call]) -> None:
        """A block with one transaction for each call."""
        height, chain_id = self.ledger.height, self.genesis.chain_id
        transactions = [
            sign_transaction(key_of(SENDER), chain_id, random.randbytes(NONCE_BYTES), height + EXPIRY_HEIGHTS, [call])
            for call in calls
        ]
        batch = sign_batch(key_of(f"node {DEPARTMENT}"), chain_id, DEPARTMENT, transactions)
        begin = time.process_time()
        executed = self.ledger.build(DEPARTMENT, self.ledger.head.header.time_ms + 20, [batch])
        built = time.process_time()
        if refused := [receipt.code for receipt in executed.receipts if not receipt.is_ok]:
            raise RuntimeError(f"refused: {refused[0]}")
        votes = self._votes(executed.block.id)
        voted = time.process_time()
        self.blocks.append(executed, votes)
        appended = time.process_time()
        self.ledger.advance(executed, votes)
        for part, spent in zip(
            self.spent_s, (built - begin, appended - voted, time.process_time() - appended), strict=True
        ):
            self.spent_s[part] += spent

    def _votes(self, block_id: bytes) -> Certificate:
        height = self.ledger.height + 1
        members = self.ledger.validators(height)
        at = (self.genesis.chain_id, "commit", members.epoch, height, 0, block_id)
        return Certificate.of(
            [sign_vote(key_of(f"node {name}"), *at, name) for name in members.departments[: members.quorum]]
        )


def digests(number: int, fields: Sequence[str], version: int) -> dict[str, bytes]:
    return {field: hashlib.sha256(f"{number} {field} {version}".encode()).digest() for field in fields}


def register(number: int) -> Call:
    fields = digests(number, FIELDS, 1)
    args: Mapping[str, Any] = {"customer": f"c{number:07d}", "fields": fields, "attestation": None, "temporary": True}
    return Call("customers.register", dict(args))


def make(folder: Path, records: int) -> None:
    chain = Chain(folder)
    for first in range(0, records, PER_BLOCK):
        chain.add([register(number) for number in range(first, min(records, first + PER_BLOCK))])
    chain.store.close()


def memory_mb(what: str = "VmRSS") -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024, 1)


async def examine(folder: Path, records: int, updates: int) -> dict[str, Any]:
    found: dict[str, Any] = {"records": records, "memory before, MB": memory_mb()}
    begin, wall = time.process_time(), time.monotonic()
    chain = Chain(folder)
    found["opening, s of processor and wall"] = [
        round(time.process_time() - begin, 2), round(time.monotonic() - wall, 2)
    ]  # fmt: skip
    found["values"] = len(chain.ledger.state)
    found["memory opened, MB"], found["at most, MB"] = memory_mb(), memory_mb("VmHWM")
    begin = time.process_time()
    index = RecordIndex(chain.ledger, Values())
    await index.walk()
    found["index, s of processor"] = round(time.process_time() - begin, 2)
    found["memory with index, MB"] = memory_mb()
    draw = random.Random(records)
    versions: dict[int, int] = {}
    for _ in range(0, updates, PER_BLOCK):
        chain.add([_update(number, versions) for number in draw.sample(range(records), PER_BLOCK)])
    found["us per update"] = {part: round(spent / max(1, updates) * 1e6, 1) for part, spent in chain.spent_s.items()}
    found["memory after updates, MB"] = memory_mb()
    found["of these files, MB"] = memory_mb("RssFile")
    chain.store.close()
    return found


def _update(number: int, versions: dict[int, int]) -> Call:
    version = versions.get(number, 1)
    versions[number] = version + 1
    fields = digests(number, ("position", "note"), version + 1)
    return Call("customers.update", {"customer": f"c{number:07d}", "version": version, "fields": fields})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.measure_growth", description=__doc__)
    parser.add_argument("records", type=int, nargs="+")
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--made", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.made is not None:
        print(json.dumps(asyncio.run(examine(given.made, given.records[0], given.updates)), indent=2))
        return
    for records in given.records:
        with tempfile.TemporaryDirectory(prefix="kehu-growth-") as name:
            folder = Path(name) / "chain"
            make(folder, records)
            arguments = [str(records), "--updates", str(given.updates), "--made", str(folder)]
            subprocess.run([sys.executable, "-m", "tools.measure_growth", *arguments], check=True)


if __name__ == "__main__":
    main()

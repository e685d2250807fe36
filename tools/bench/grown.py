"""A large network quickly: the chain and the vaults that real clients would have left, made offline by whoever has all
keys.

Every transaction is signed and runs through the same contracts, `Ledger.build` and `BlockStore.append` as in a node;
every block has the commit certificate of a quorum; every value lies sealed in the vaults of the departments that
the contracts name. Left out is only what says the same again: the sending, and four nodes checking one another. So an
auditor finds nothing, and a node that lacks the blocks can catch up on them.

What the n-th transaction is follows from n (`Story`), so that each vault is filled by a process of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chain.batch import sign_batch
from chain.block import Block
from chain.blocks import ExecutedBlock
from chain.certificate import Certificate, sign_vote
from chain.crypto import SigningKey
from chain.ledger import Ledger
from chain.state import View
from chain.transaction import NONCE_BYTES, Call, Transaction, sign_transaction
from cli.records import seal_fields
from consensus.votes import CommitRecord
from contracts.deciding.holders import holders_of
from contracts.registry import contract_table
from node.folder.config import Home
from node.folder.reading import read_home
from node.storage.leveldb import LevelStore
from node.storage.scratch import ScratchRows
from node.storage.wal import VoteLog
from node.vault.store import Vault
from node.vault.values import VaultValue
from tools.bench.network import Network

EXPIRY_HEIGHTS = 100
"""Blocks made here are larger than usual ones: as many ids are remembered as by usual clients in usual blocks."""
VAULT_RECORDS = 500
"""Put into a vault at a time."""
BLOCK_MS = 20


@dataclass(frozen=True, slots=True)
class Story:
    """The first `records` transactions register customers, one each; those after update them in turn."""

    chain_id: bytes
    name: str
    departments: tuple[str, ...]
    records: int

    def customer(self, number: int) -> str:
        return f"{self.name}-{number % self.records}"

    def department(self, number: int) -> str:
        """Whose operator does it: whoever registered the customer."""
        return self.departments[number % self.records % len(self.departments)]

    def fields(self, number: int) -> dict[str, str]:
        if number < self.records:
            return {"name": f"王小明{number}", "phone": f"+86138{number % 10**8:08d}"}
        return {"position": f"采购经理 {number}", "note": f"第 {number} 次回访：对方案满意，下月再联系"}

    def sealed(self, number: int) -> tuple[dict[str, bytes], list[VaultValue]]:
        fields = self.fields(number)
        salts = {field: hashlib.sha256(f"{self.name} {number} {field}".encode()).digest() for field in fields}
        return seal_fields(self.chain_id, "customers", self.customer(number), fields, salts)

    def call(self, number: int) -> Call:
        args = {"customer": self.customer(number), "fields": self.sealed(number)[0]}
        if number < self.records:
            return Call("customers.register", {**args, "attestation": None, "temporary": True})
        return Call("customers.update", {**args, "version": number // self.records})

    def transaction(self, number: int, key: SigningKey, height: int) -> Transaction:
        nonce = hashlib.sha256(f"{self.name} {number}".encode()).digest()[:NONCE_BYTES]
        return sign_transaction(key, self.chain_id, nonce, height + EXPIRY_HEIGHTS, [self.call(number)])

    def version(self, customer: int, transactions: int) -> int:
        """A customer's, after so many transactions."""
        return (transactions - 1 - customer) // self.records + 1

    def lasting(self, customer: int, transactions: int) -> list[VaultValue]:
        """The values that are current of a customer after so many transactions."""
        last = customer + (self.version(customer, transactions) - 1) * self.records
        values = self.sealed(customer)[1]
        return values if last == customer else values + self.sealed(last)[1]


class HastyStore(LevelStore):
    """Doesn't wait for the disk at each block: a power cut would cost the whole run in any case."""

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        with self._handle("write") as database:
            batch = database.write_batch(sync=False)
            for key, value in puts.items():
                batch.put(key, value)
            for key in deletes:
                batch.delete(key)
            batch.write()


class Maker:
    """Continues the chain in one home. The nodes must not run, and those `behind` vote on nothing."""

    def __init__(self, network: Network, behind: Sequence[str] = ()) -> None:
        self._network = network
        self.homes = {name: Home(network.profile.node_home(name)) for name in network.departments}
        self._keys = {name: read_home(home).node_key for name, home in self.homes.items()}
        self._voters = {name: key for name, key in self._keys.items() if name not in behind}
        self._primary = network.departments[0]
        self._store = HastyStore(self.homes[self._primary].chain)
        self._scratch = ScratchRows(self.homes[self._primary].path)
        self.ledger, self._blocks = Ledger.open(network.profile.genesis, contract_table(), self._store, self._scratch)
        self.first = self.ledger.height + 1

    def make(self, story: Story, first: int, last: int, per_block: int) -> None:
        """Transactions `first` to `last` - 1 in blocks of `per_block`."""
        for begin in range(first, last, per_block):
            self._append(story, range(begin, min(last, begin + per_block)))

    def _append(self, story: Story, numbers: Sequence[int]) -> None:
        height, operators = self.ledger.height, self._network.operators
        made: dict[str, list[Transaction]] = {}
        for number in numbers:
            department = story.department(number)
            made.setdefault(department, []).append(story.transaction(number, operators[department], height))
        batches = [sign_batch(self._keys[name], story.chain_id, name, found) for name, found in made.items()]
        executed = self.ledger.build(self._primary, self.ledger.head.header.time_ms + BLOCK_MS, batches)
        _require_ok(executed)
        certificate = self._certify(executed.block)
        self._blocks.append(executed, certificate)
        self.ledger.advance(executed, certificate)

    def _certify(self, block: Block) -> Certificate:
        chain_id, height = self._network.chain_id, block.header.height
        epoch = self.ledger.validators(height).epoch
        commits = [
            sign_vote(key, chain_id, "commit", epoch, height, 0, block.id, name) for name, key in self._voters.items()
        ]
        return Certificate.of(commits)

    def close(self) -> None:
        """Closes the store and writes every vote log as it is after the last vote."""
        head = self.ledger.head
        epoch = self.ledger.validators(head.height).epoch
        self._store.close()
        self._scratch.close()
        at = (self._network.chain_id, epoch, head.height, 0, head.block_id)
        prepares = [sign_vote(key, at[0], "prepare", *at[1:], name) for name, key in self._voters.items()]
        for name, key in self._voters.items():
            vote = sign_vote(key, at[0], "commit", *at[1:], name)
            log = VoteLog(self.homes[name].votes, self._network.chain_id, name)
            try:
                log.rewrite([CommitRecord(vote, Certificate.of(prepares)).to_bytes()])
            finally:
                log.close()

    def copy(self, names: Sequence[str]) -> None:
        """The chain as it lies in the first home, to these; after `close`."""
        for name in names:
            shutil.rmtree(self.homes[name].chain)
            shutil.copytree(self.homes[self._primary].chain, self.homes[name].chain)

    def holders(self, story: Story) -> dict[str, dict[str, tuple[str, ...]]]:
        """Whose customers' fields lie in whose vaults: {registered by: {field: departments}}, by the contracts."""
        view, now_ms = View(self.ledger.state.get), self.ledger.head.header.time_ms
        found = {}
        for number, name in enumerate(story.departments):
            fields = ["name", "phone", "position", "note"]
            found[name] = dict(holders_of(view, "customers", story.customer(number), fields, now_ms))
        return found


def _require_ok(executed: ExecutedBlock) -> None:
    for receipt in executed.receipts:
        if not receipt.is_ok:
            raise RuntimeError(f"a made transaction was refused: {receipt.code}")


@dataclass(frozen=True, slots=True)
class VaultTask:
    """What one department's vault gets: customers `first` to `last` - 1 as they are after `transactions`."""

    home: Path
    department: str
    story: Story
    holders: dict[str, dict[str, tuple[str, ...]]]
    first: int
    last: int
    transactions: int


def fill_vault(task: VaultTask) -> None:
    vault = Vault.open(task.home, task.story.chain_id, read_home(Home(task.home)).node_key)
    try:
        for begin in range(task.first, task.last, VAULT_RECORDS):
            vault.put_live(list(_values(task, range(begin, min(task.last, begin + VAULT_RECORDS)))))
    finally:
        vault.close()


def _values(task: VaultTask, customers: Sequence[int]) -> Iterator[tuple[VaultValue, bytes]]:
    for customer in customers:
        of = task.holders[task.story.department(customer)]
        for value in task.story.lasting(customer, task.transactions):
            if task.department in of[value.field]:
                yield value, value.digest(task.story.chain_id)


@dataclass(frozen=True, slots=True)
class Grown:
    """Blocks `first` to `height` were made; how long it took."""

    first: int
    height: int
    state_entries: int
    chain_s: float
    vaults_s: float


def grow(network: Network, name: str, records: int, transactions: int, per_block: int,
         behind: Sequence[str] = (), lag: int | None = None) -> Grown:  # fmt: skip
    """To be called while no node runs and all are level. `behind`: departments that get no values, and the chain only
    without the last `lag` transactions (None: without all of them)."""
    story = Story(network.chain_id, name, network.editors, records)
    begin = time.monotonic()
    common = 0 if lag is None else transactions - lag
    if common:
        maker = Maker(network)
        try:
            maker.make(story, 0, common, per_block)
        finally:
            maker.close()
        maker.copy(network.departments[1:])
    maker = Maker(network, behind)
    try:
        maker.make(story, common, transactions, per_block)
        holders = maker.holders(story)
    finally:
        maker.close()
    kept = [name for name in network.departments if name not in behind]
    maker.copy(kept[1:])
    made = time.monotonic()
    first, height, entries = maker.first, maker.ledger.height, len(maker.ledger.state)
    tasks = [
        VaultTask(maker.homes[name].path, name, story, holders, 0, min(records, transactions), transactions)
        for name in kept
    ]
    del maker  # a large state: not to be held beside the nodes'
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(fill_vault, tasks, chunksize=1)
    return Grown(first, height, entries, round(made - begin, 1), round(time.monotonic() - made, 1))


async def start_grown(network: Network, name: str, records: int, transactions: int, per_block: int,
                      behind: Sequence[str] = (), lag: int | None = None) -> tuple[Story, Grown]:  # fmt: skip
    """Starts the network, has everybody enrolled, stops it, lets it `grow`, and starts all but `behind` again."""
    await network.start()
    await network.wait_level(network.departments)
    await network.stop()
    grown = await asyncio.to_thread(grow, network, name, records, transactions, per_block, behind, lag)
    await network.restart(*(one for one in network.departments if one not in behind))
    return Story(network.chain_id, name, network.editors, records), grown

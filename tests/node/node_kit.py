"""A ledger on real LevelDB with the real contracts, and blocks that a quorum certifies at once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path

from chain.batch import Batch, sign_batch
from chain.block import Block
from chain.blocks import ExecutedBlock
from chain.certificate import Certificate, sign_vote
from chain.crypto import SigningKey
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.transaction import Call, Transaction, sign_transaction
from contracts.registry import contract_table
from node.intake.mempool import Mempool, Window
from node.storage.leveldb import LevelStore
from tests.node.cluster import DEPARTMENTS, PEOPLE, genesis_value

EXPIRY_HEIGHTS_MAX = 50
GENESIS = Genesis.from_value(
    genesis_value(dict(zip(DEPARTMENTS, range(7001, 7005), strict=True)), expiry_heights_max=EXPIRY_HEIGHTS_MAX)
)
CHAIN = GENESIS.chain_id
LOGIN = Call("access.login", {})


def key_of(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


def node_key(department: str) -> SigningKey:
    return key_of(f"node {department}")


def transact(
    *calls: Call, sender: str = "li", expires: int = 20, nonce: bytes = b"", chain: bytes = CHAIN
) -> Transaction:
    nonce = nonce or secrets.token_bytes(16)
    return sign_transaction(key_of(sender), chain, nonce, expires, list(calls) or [LOGIN])


def batch_of(*transactions: Transaction, department: str | None = None) -> Batch:
    """Signed by a department's node, that of the first sender unless told; with one transaction if none is given."""
    if not transactions:
        department = department or "sales"
        transactions = (transact(sender=next(name for name, (home, _) in PEOPLE.items() if home == department)),)
    homes = {key_of(name).public: home for name, (home, _) in PEOPLE.items()}
    department = department or homes.get(transactions[0].key, "sales")
    return sign_batch(node_key(department), CHAIN, department, transactions)


def certify(block: Block, view: int = 0, members: Sequence[str] = DEPARTMENTS[:3], epoch: int = 0) -> Certificate:
    height = block.header.height
    return Certificate.of(
        sign_vote(node_key(name), CHAIN, "commit", epoch, height, view, block.id, name) for name in members
    )


def admitted(mempool: Mempool, *transactions: Transaction) -> None:
    for transaction in transactions:
        mempool.reserve(transaction)
        assert mempool.admit(transaction, Window(1, (), 1 << 32, lambda _transaction, _department: False))


class Chain:
    """A ledger with its store, appending as a node does."""

    def __init__(self, folder: Path) -> None:
        self.store = LevelStore(folder / "chain", create=True)
        self.ledger, self.blocks = Ledger.open(GENESIS, contract_table(), self.store)

    @property
    def time_ms(self) -> int:
        return GENESIS.time_ms + 1_000 * (1 + self.ledger.height)

    def build(self, *batches: Batch, primary: str = "administration") -> ExecutedBlock:
        return self.ledger.build(primary, self.time_ms, batches or [batch_of(transact(expires=self.ledger.height + 9))])

    def append(self, *batches: Batch) -> ExecutedBlock:
        executed = self.build(*batches)
        certificate = certify(executed.block)
        self.blocks.append(executed, certificate)
        self.ledger.advance(executed, certificate)
        return executed

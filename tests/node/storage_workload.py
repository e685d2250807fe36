"""What a node writes, without its network: votes, staged values, blocks. Run as a process whose disk is made to fail.

    python -m tests.node.storage_workload run FOLDER BLOCKS     tells "ack HEIGHT" after each block; 3: the disk failed
    python -m tests.node.storage_workload verify FOLDER         tells what is there as JSON

Acknowledgements leave by writev, so that a fault injected into write hits files only.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from chain.batch import sign_batch
from chain.blocks import BlockStore
from chain.certificate import Certificate, sign_vote
from chain.errors import KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from consensus.votes import PrepareRecord
from contracts.registry import contract_table
from node.soundness.scrub import follow_links
from node.storage.durable import StorageFailure
from node.storage.leveldb import LevelStore
from node.storage.wal import VoteLog
from node.vault.store import Vault
from node.vault.values import VaultValue
from tests.node.cluster import DEPARTMENTS, genesis_value
from tests.node.node_kit import node_key, transact

GENESIS = Genesis.from_value(
    {**genesis_value(dict(zip(DEPARTMENTS, range(7001, 7005), strict=True))), "time_ms": 1_800_000_000_000}
)
CHAIN = GENESIS.chain_id

PADDING = "x" * 2_000
"""So that a small disk is full soon."""


def open_votes(folder: Path) -> VoteLog:
    path = folder / "votes.log"
    return VoteLog(path, CHAIN, "sales") if path.exists() else VoteLog.create(path, CHAIN, "sales")


def value_at(height: int) -> VaultValue:
    return VaultValue("customers", f"c{height}", "name", bytes(32), PADDING)


def open_chain(folder: Path) -> tuple[Ledger, BlockStore]:
    return Ledger.open(GENESIS, contract_table(), LevelStore(folder / "chain", create=True))


def run(folder: Path, blocks: int) -> None:
    (ledger, store), votes = open_chain(folder), open_votes(folder)
    vault = Vault.open(folder, CHAIN, node_key("sales"))
    for height in range(ledger.height + 1, blocks + 1):
        transaction = transact(expires=height + 10, chain=CHAIN)
        vault.stage(transaction.id, [value_at(height)], height + 10)
        batch = sign_batch(node_key("sales"), CHAIN, "sales", [transaction])
        executed = ledger.build("sales", GENESIS.time_ms + height, [batch])
        block_id = executed.block.id
        vote = sign_vote(node_key("sales"), CHAIN, "prepare", 0, height, 0, block_id, "sales")
        votes.append([PrepareRecord(vote, executed.block.raw).to_bytes()])
        votes.sync()
        certificate = Certificate.of(
            sign_vote(node_key(name), CHAIN, "commit", 0, height, 0, block_id, name) for name in DEPARTMENTS[:3]
        )
        store.append(executed, certificate)
        ledger.advance(executed, certificate)
        vault.settle(transaction.id)
        os.writev(1, [b"ack %d\n" % height])


def verify(folder: Path) -> dict[str, int]:
    """Everything is read: the chain by its links and roots, votes by their frames, values opened."""
    (ledger, store), votes = open_chain(folder), open_votes(folder)
    vault = Vault.open(folder, CHAIN, node_key("sales"))
    height = ledger.height
    follow_links(store, height, ledger.head.block_id, height + 1)
    values = 0
    for at in range(1, height + 2):
        value = value_at(at)
        values += vault.get(value.table, value.record, value.field, value.digest(CHAIN)) is not None
    staged = vault.status()["staged_values"]
    return {"height": height, "values": values, "staged": staged, "votes": len(votes.read_all())}


def main() -> int:
    try:
        if sys.argv[1] == "verify":
            os.writev(1, [json.dumps(verify(Path(sys.argv[2]))).encode()])
        else:
            run(Path(sys.argv[2]), int(sys.argv[3]))
    except StorageFailure:
        return 3
    except KehuError:
        return 2
    return 0


if __name__ == "__main__":
    os._exit(main())  # as a power cut would: nothing is closed in good order

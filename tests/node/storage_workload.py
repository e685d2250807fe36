"""What a node writes, without its network: votes, staged values, blocks, erasures. Run as a process whose disk is made
to fail.

    python -m tests.node.storage_workload run FOLDER BLOCKS     tells "ack HEIGHT" after each block; 3: the disk failed
    python -m tests.node.storage_workload verify FOLDER         tells what is there as JSON
    python -m tests.node.storage_workload serve                 runs such commands in forks (tests/node/failing_disk.py)

Acknowledgements leave by writev, so that a fault injected into write hits files only.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
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
from node.vault.seal import RecordId
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
TURN = 3
"""At every so many blocks the vote log is written anew and a record is erased."""


def open_votes(folder: Path) -> VoteLog:
    path = folder / "votes.log"
    return VoteLog(path, CHAIN, "sales") if path.exists() else VoteLog.create(path, CHAIN, "sales")


def value_at(height: int) -> VaultValue:
    return VaultValue("customers", f"c{height}", "name", bytes(32), PADDING)


def erased_at(height: int) -> RecordId:
    """The record that is erased with that block: the one before the last."""
    return RecordId("customers", f"c{height - 1}")


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
        if height % TURN == 0:
            votes.rewrite(votes.read_all())
            vault.erase([erased_at(height)])
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
    staged, erased = vault.status()["staged_values"], len(vault.erased())
    return {"height": height, "values": values, "staged": staged, "erased": erased, "votes": len(votes.read_all())}


def main(arguments: Sequence[str]) -> int:
    try:
        if arguments[0] == "verify":
            os.writev(1, [json.dumps(verify(Path(arguments[1]))).encode()])
        else:
            run(Path(arguments[1]), int(arguments[2]))
    except StorageFailure:
        return 3
    except KehuError:
        traceback.print_exc()
        return 2
    return 0


def serve() -> None:
    """A fork, with everything imported, for each line of standard input: [arguments, file for its output, whether it
    begins with the next byte of standard input only]. Tells its number, and how it ended."""
    for line in sys.stdin:
        if not (number := os.fork()):
            _work(*json.loads(line))
        print(number, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), flush=True)


def _work(arguments: list[str], output: str, waits: bool) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    if waits:
        os.read(0, 1)
    code = 70
    try:
        code = main(arguments)
    except BaseException:
        traceback.print_exc()
    os._exit(code)  # as a power cut would: nothing is closed in good order


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else os._exit(main(sys.argv[1:]))

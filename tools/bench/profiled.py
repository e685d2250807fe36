"""One node with clocks on its parts: `python -m tools.bench.profiled HOME`. SIGUSR1 writes HOME/clocks.json.

Everything else is the node as it is: the same entry point, the same threads, the same files.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from aiohttp.web_protocol import RequestHandler

import chain.crypto
from chain.batch import Batch
from chain.block import Block
from chain.blocks import BlockStore
from chain.ledger import Ledger
from chain.receipt import Receipt
from chain.state import State
from chain.transaction import Transaction
from consensus.replica import Replica
from contracts.deciding.permissions import Case
from contracts.registry import ContractTable
from node.api.server import GuardedHandler
from node.intake.admission import Admitter
from node.intake.mempool import Mempool
from node.peers.connection import Connection
from node.process import run_node
from node.search.index import RecordIndex
from node.storage.wal import VoteLog
from node.vault.duty import Duties
from node.vault.planning import Planning
from node.vault.refill import Refill
from node.vault.replication import Replication
from node.vault.staging import StageServer
from node.vault.store import Vault
from tools.bench.clocks import reading, time_collector, timed


def put_clocks() -> None:
    time_collector()
    timed(chain.crypto, "verify_raw", "verify")
    for kind in (Transaction, Batch, Block):
        timed(kind, "from_bytes", "decode")
    for name in ("__init__", "decide"):
        timed(Case, name, "permission check")
    timed(ContractTable, "call", "execute")
    for name in ("_execute", "build", "check"):
        timed(Ledger, name, "execute")
    timed(State, "preview", "state tree")
    timed(State, "apply", "state tree")
    timed(Receipt, "to_bytes", "receipts")
    timed(BlockStore, "append", "storage", is_absorbing=True)
    for name in ("append", "sync", "rewrite"):
        timed(VoteLog, name, "vote log", is_absorbing=True)
    timed(Planning, "all", "vault planning", is_absorbing=True)
    for name in ("stage_all", "advance", "expire", "expiring", "drop", "put_live", "staged", "staged_among"):
        timed(Vault, name, "vault sealing", is_absorbing=True)
    timed(Duties, "_of_page", "vault comparing", is_absorbing=True)
    for name in ("compare", "note"):
        timed(Refill, name, "vault comparing", is_absorbing=True)
    for owner, name in ((Replication, "_replicate"), (StageServer, "serve"), (StageServer, "_parse")):
        timed(owner, name, "vault exchange")
    timed(RecordIndex, "catch_up", "search index", is_absorbing=True)
    timed(RecordIndex, "_read", "search index", is_absorbing=True)
    timed(RecordIndex, "on_block", "search index", is_absorbing=True)
    for name in ("settle", "candidates", "add"):
        timed(Mempool, name, "mempool", is_absorbing=True)
    timed(Admitter, "submit", "admission")
    timed(Replica, "step", "consensus")
    for name in [name for name in vars(Connection) if callable(vars(Connection)[name]) and not name.startswith("__")]:
        timed(Connection, name, "peers")
    timed(RequestHandler, "start", "HTTP")
    timed(RequestHandler, "_handle_request", "HTTP")  # a task of its own
    timed(GuardedHandler, "data_received", "HTTP")


def main() -> int:
    home = Path(sys.argv[1])
    put_clocks()

    def write(_number: int, _frame: object) -> None:
        unfinished = home / "clocks.new"
        unfinished.write_text(json.dumps(reading()), encoding="ascii")
        unfinished.rename(home / "clocks.json")

    signal.signal(signal.SIGUSR1, write)
    return run_node(home)


if __name__ == "__main__":
    sys.exit(main())

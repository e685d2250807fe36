"""What a node takes from its folder when it starts: configuration, keys, stores, the vote log.

Everything that can be wrong with a folder comes out here, before anything listens: another chain's data, a key that
is not in genesis, a folder in use, a damaged store.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from chain.blocks import BlockStore
from chain.crypto import SigningKey
from chain.errors import KehuError, define
from chain.genesis import Genesis
from chain.ledger import Ledger
from consensus.votes import decode_record
from contracts.registry import contract_table
from node.config import CONFIG_INVALID, Config, Home
from node.reading import read_home
from node.snapshot.incoming import install
from node.storage.leveldb import LevelStore
from node.storage.wal import VOTELOG_CORRUPT, VOTELOG_MISSING, VoteLog
from node.vault.store import Vault

NODE_WRONG_KEY = define(
    "node.wrong_key",
    "the key in the node's folder is not the one by which the network knows the department",
    "use the folder that was made for this department; a new key needs a governance transaction",
)
VOTELOG_AHEAD = define(
    "votelog.ahead_of_chain",
    "the vote log speaks of heights that the chain in the folder has not reached",
    "put the chain back that belongs to this log, or move votes.log away too: the node then observes until it may vote",
)


@dataclass
class Opened:
    """`records` are the vote log's; None (with `votes` None) means that the log is missing and the node observes.

    Whoever closes: `closing.close()`.
    """

    home: Home
    config: Config
    genesis: Genesis
    node_key: SigningKey
    gateway_key: SigningKey | None
    ledger: Ledger
    blocks: BlockStore
    vault: Vault
    votes: VoteLog | None
    records: list[bytes] | None
    closing: ExitStack

    def create_votes(self) -> VoteLog:
        """A new log, for a node that has observed long enough to vote again."""
        log = VoteLog.create(self.home.votes, self.genesis.chain_id, self.config.department)
        self.closing.callback(log.close)
        return log


def open_home(home: Home) -> Opened:
    """Opens and checks the whole folder. Errors: config, key, passphrase, storage, votelog, vault and node codes."""
    with ExitStack() as closing:
        files = read_home(home)
        config, genesis, node_key, gateway_key = files.config, files.genesis, files.node_key, files.gateway_key
        install(home)
        store = LevelStore(home.chain, create=True)
        closing.callback(store.close)
        ledger, blocks = Ledger.open(genesis, contract_table(), store)
        _require_known(config.department, node_key, ledger)
        vault = Vault.open(home.path, genesis.chain_id, node_key)
        closing.callback(vault.close)
        votes = _open_votes(home, genesis, config.department)
        if votes is not None:
            closing.callback(votes.close)
        records = None if votes is None else _read_votes(votes)
        _require_reached(ledger.height, records or [])
        return Opened(
            home, config, genesis, node_key, gateway_key, ledger, blocks, vault, votes, records, closing.pop_all()
        )


def _require_reached(height: int, records: list[bytes]) -> None:
    """A node votes on height h with block h-1 on its disk. If the chain ends earlier, it is not that chain: it was
    emptied or put back, and the votes on the heights between are known to nobody."""
    voted = max((decode_record(record).height for record in records), default=0)
    if voted > height + 1:
        raise KehuError(VOTELOG_AHEAD, height=height, voted=voted)


def _require_known(department: str, node_key: SigningKey, ledger: Ledger) -> None:
    expected = ledger.validators(ledger.height + 1).key_of(department)
    if expected is None:
        raise KehuError(CONFIG_INVALID, file="node.toml", problem=f"department {department!r} is not in the network")
    if expected != node_key.public:
        raise KehuError(NODE_WRONG_KEY, department=department, expected=expected, actual=node_key.public)


def _read_votes(votes: VoteLog) -> list[bytes]:
    """A log with a record that can't be read is as bad as a damaged one."""
    records = votes.read_all()
    try:
        for record in records:
            decode_record(record)
    except KehuError as error:
        raise KehuError(VOTELOG_CORRUPT, problem=error.code) from None
    return records


def _open_votes(home: Home, genesis: Genesis, department: str) -> VoteLog | None:
    try:
        return VoteLog(home.votes, genesis.chain_id, department)
    except KehuError as error:
        if error.spec is VOTELOG_MISSING:
            return None
        raise

"""What a node takes from its folder when it starts: configuration, keys, stores, the vote log.

Everything that can be wrong with a folder comes out here, before anything listens: another chain's data, a key that
is not in genesis, a folder in use, a damaged store. A damaged chain, vault or vote log is set aside
(node/soundness/setting_aside.py) and the folder opened without it: what is lacking comes from the other departments.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chain.blocks import BlockStore
from chain.crypto import SigningKey
from chain.errors import KehuError, define
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.stored_state import Scratch
from consensus.votes import decode_record
from contracts.registry import contract_table
from node.folder.config import Config, Home
from node.folder.reading import HomeFiles, read_home
from node.keys.passphrase import read_passphrase
from node.members.joining import Member, choose_key, read_members
from node.members.protocol import require_spoken
from node.snapshot.incoming import install
from node.soundness.copying import remove_checks
from node.soundness.setting_aside import destroy_keys, heal
from node.storage.beside import remove_leftovers
from node.storage.durable import StorageFailure
from node.storage.leveldb import STORAGE_CORRUPT, LevelStore
from node.storage.purging import PurgingStore
from node.storage.scratch import ScratchRows
from node.storage.wal import VOTELOG_CORRUPT, VOTELOG_MISSING, VoteLog, require_voted
from node.vault.store import Vault

VOTELOG_AHEAD = define(
    "votelog.ahead_of_chain",
    "the vote log speaks of heights that the chain in the folder has not reached",
    "nothing: the log is set aside and the node observes until it may vote; if it was you who put an old chain back, "
    "don't: a node fetches its chain by itself",
)
OWN_VOTES_LOOKED_AT = 1_000
"""Heights below the head whose certificates are searched for votes that the log has forgotten."""


class Disk(Protocol):
    """Where a node's chain, vault and votes are kept. Each method opens one of them, or raises what is wrong with it;
    whoever opened it closes it."""

    def open_chain(self) -> PurgingStore: ...

    def open_scratch(self) -> Scratch:
        """Where rows of the state are near at hand."""
        ...

    def choose_key(self, files: HomeFiles, ledger: Ledger, members: dict[str, Member]) -> SigningKey:
        """The key to start with: it may be another than at the last start. Errors: node.wrong_key, config.invalid."""
        ...

    def open_vault(self, chain_id: bytes, node_key: SigningKey) -> Vault: ...

    def open_votes(self, chain_id: bytes, department: str) -> VoteLog:
        """Errors: votelog.missing, and other votelog codes."""
        ...

    def create_votes(self, chain_id: bytes, department: str) -> VoteLog: ...


class FolderDisk:
    """The files in a node's folder."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def open_chain(self) -> PurgingStore:
        return LevelStore(self._home.chain, create=True)

    def open_scratch(self) -> ScratchRows:
        return ScratchRows(self._home.path)

    def choose_key(self, files: HomeFiles, ledger: Ledger, members: dict[str, Member]) -> SigningKey:
        passphrase = read_passphrase(file=self._home.path / files.config.passphrase_file)
        return choose_key(self._home, files.config.department, files.node_key, passphrase, ledger, members)

    def open_vault(self, chain_id: bytes, node_key: SigningKey) -> Vault:
        return Vault.open(self._home.path, chain_id, node_key, lambda: destroy_keys(self._home.path))

    def open_votes(self, chain_id: bytes, department: str) -> VoteLog:
        return VoteLog(self._home.votes, chain_id, department)

    def create_votes(self, chain_id: bytes, department: str) -> VoteLog:
        return VoteLog.create(self._home.votes, chain_id, department)


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
    chain_store: PurgingStore
    vault: Vault
    votes: VoteLog | None
    records: list[bytes] | None
    members: dict[str, Member]
    closing: ExitStack
    disk: Disk

    @property
    def storage_memory_bytes(self) -> int:
        return sum(store.memory_bytes for store in (self.chain_store, *self.vault.stores))

    def create_votes(self) -> VoteLog:
        """A new log, for a node that has observed long enough to vote again."""
        log = self.disk.create_votes(self.genesis.chain_id, self.config.department)
        self.closing.callback(log.close)
        return log


def open_home(home: Home) -> Opened:
    """Opens and checks the whole folder. Errors: config, key, passphrase, storage, votelog, vault and node codes.

    What is damaged and can be had again is set aside first, at most a few times a day.
    """
    while True:
        try:
            files = read_home(home)
            install(home)
            return open_disk(home, files, FolderDisk(home))
        except KehuError as error:
            if not heal(home.path, error):
                raise


def open_disk(home: Home, files: HomeFiles, disk: Disk) -> Opened:
    """Opens and checks what is on the disk, once."""
    config, genesis = files.config, files.genesis
    with ExitStack() as closing:
        store = disk.open_chain()
        closing.callback(store.close)
        remove_checks(home.path)  # one that still runs would have refused the line above
        for folder in (home.path, (home.path / config.passphrase_file).resolve().parent):
            if folder.is_relative_to(home.path):
                remove_leftovers(folder)
        scratch = disk.open_scratch()
        closing.callback(scratch.close)
        with readable(home.chain):
            ledger, blocks = Ledger.open(genesis, contract_table(), store, scratch)
        require_spoken(ledger)
        members = read_members(home)
        node_key = disk.choose_key(files, ledger, members)
        with readable(home.vault):
            vault = disk.open_vault(genesis.chain_id, node_key)
        closing.callback(vault.close)
        votes = _open_votes(disk, genesis, config.department)
        if votes is not None:
            closing.callback(votes.close)
        records = None if votes is None else read_votes(votes.read_all())
        if records is not None:
            require_fitting(config.department, ledger.height, blocks, records)
        return Opened(
            home, config, genesis, node_key, files.gateway_key, ledger, blocks, store, vault, votes, records, members,
            closing.pop_all(), disk,
        )  # fmt: skip


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what can't be decoded in a database into `storage.corrupt`: its blocks are whole, their content is not."""
    try:
        yield
    except KehuError as error:
        if error.code.partition(".")[0] not in _CONTENT:
            raise
        raise StorageFailure(STORAGE_CORRUPT, path=str(path), problem=str(error)) from error
    except (ValueError, LookupError, TypeError) as error:  # how libraries refuse bytes that are not theirs
        raise StorageFailure(STORAGE_CORRUPT, path=str(path), problem=type(error).__name__) from error


_CONTENT = ("codec", "block", "batch", "certificate", "transaction", "receipt", "validators")


def require_fitting(department: str, height: int, blocks: BlockStore, records: list[bytes]) -> None:
    """A node votes on height h with block h-1 on its disk. If the chain ends earlier, it is not that chain: it was
    emptied or put back, and the votes on the heights between are known to nobody. If the chain has a vote of this node
    that the log does not have, it is not that log, and nobody knows what else was in it."""
    voted = max((decode_record(record).height for record in records), default=0)
    if voted > height + 1:
        raise KehuError(VOTELOG_AHEAD, height=height, voted=voted)
    for past in range(height, max(voted, height - OWN_VOTES_LOOKED_AT, blocks.first()[0] - 1), -1):
        certificate = blocks.certificate(past)
        if certificate is not None:
            require_voted(department, certificate, voted)


def read_votes(records: list[bytes]) -> list[bytes]:
    """A log with a record that can't be read is as bad as a damaged one."""
    try:
        for record in records:
            decode_record(record)
    except KehuError as error:
        raise KehuError(VOTELOG_CORRUPT, problem=error.code) from None
    return records


def _open_votes(disk: Disk, genesis: Genesis, department: str) -> VoteLog | None:
    try:
        return disk.open_votes(genesis.chain_id, department)
    except KehuError as error:
        if error.spec is VOTELOG_MISSING:
            return None
        raise

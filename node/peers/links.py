"""A node's links to the other departments: who they are by the chain's state, what goes over them and to whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from chain.batch import Batch
from chain.ledger import Ledger
from node.config import split_address
from node.mempool import Mempool
from node.peers.frames import Kind
from node.peers.network import PeerNetwork
from node.peers.transport import Identity, Peer

GOSSIP_ON_CONNECT_MAX: Final = 100
"""Batches that a department gets when its link comes up; whatever else waits is gossiped again in time."""

Receive = Callable[[str, bytes], None]


class Links:
    """`addresses` says where departments are reached; their keys are the validators'.

    Whoever wires the node sets `on_consensus`, `on_batch` (department, bytes) and adds to `on_up` (department).
    """

    def __init__(self, identity: Identity, ledger: Ledger, addresses: Mapping[str, str], mempool: Mempool) -> None:
        self._ledger = ledger
        self._addresses = addresses
        self._mempool = mempool
        self.on_consensus: Receive = _ignore
        self.on_batch: Receive = _ignore
        self.on_up: list[Callable[[str], None]] = []
        self.network = PeerNetwork(identity, self._table, self._on_message, on_connected=self._on_connected)

    def _table(self) -> dict[str, Peer]:
        table: dict[str, Peer] = {}
        for member in self._ledger.validators(self._ledger.height + 1).members:
            address = self._addresses.get(member.department)
            if address is not None:
                table[member.department] = Peer(member.key, *split_address(address))
        return table

    def send(self, department: str, message: bytes) -> None:
        """A consensus message to one department."""
        self.network.send(department, Kind.CONSENSUS, message)

    def broadcast(self, message: bytes) -> None:
        """A consensus message to all that are linked."""
        self.network.broadcast(Kind.CONSENSUS, message)

    def gossip(self, batch: Batch) -> None:
        self.network.broadcast(Kind.GOSSIP, batch.raw)

    @property
    def is_quorum_linked(self) -> bool:
        """Whether this node and those it is linked to are a quorum."""
        return len(self.network.connected) + 1 >= self._ledger.validators(self._ledger.height + 1).quorum

    def _on_connected(self, department: str) -> None:
        for listener in self.on_up:
            listener(department)
        for batch in self._mempool.oldest(GOSSIP_ON_CONNECT_MAX):
            self.network.send(department, Kind.GOSSIP, batch.raw)

    def _on_message(self, department: str, kind: Kind, payload: bytes) -> None:
        receive = self.on_consensus if kind is Kind.CONSENSUS else self.on_batch
        receive(department, payload)


def _ignore(_department: str, _payload: bytes) -> None:
    """Until the node is wired."""

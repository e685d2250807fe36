"""A node's links to the other departments: who they are by the chain's state, what goes over them and to whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from chain.batch import Batch
from chain.ledger import Ledger
from chain.state import View
from node.folder.config import split_address
from node.intake.mempool import Mempool
from node.members.joining import Member
from node.members.membership import address_to_be
from node.peers.frames import Kind
from node.peers.network import PeerNetwork
from node.peers.transport import Identity, Peer
from node.surroundings import Surroundings

GOSSIP_ON_CONNECT_MAX: Final = 100
"""Batches that a department gets when its link comes up; whatever else waits is gossiped again in time."""

Receive = Callable[[str, bytes], None]


class Links:
    """Who is linked: the departments that decide the next height, or will. `overrides` says where some are reached, if
    not where the chain says. `introduced`: whom a node links with that is not a member by its own chain
    (node.members.joining).

    Whoever wires the node sets `on_consensus`, `on_batch` (department, bytes) and adds to `on_up` (department).
    """

    def __init__(
        self,
        identity: Identity,
        ledger: Ledger,
        overrides: Mapping[str, str],
        mempool: Mempool,
        introduced: Mapping[str, Member],
        around: Surroundings,
    ) -> None:
        self._identity, self._introduced = identity, introduced
        self._ledger = ledger
        self._overrides = overrides
        self._mempool = mempool
        self.on_consensus: Receive = _ignore
        self.on_batch: Receive = _ignore
        self.on_up: list[Callable[[str], None]] = []
        self.network = PeerNetwork(
            identity,
            self._table,
            self._on_message,
            on_connected=self._on_connected,
            jitter=around.jitter,
            wall_clock_s=lambda: around.wall_ms() / 1000,
            dial=around.dial,
            make_listener=around.make_listener,
        )

    def _table(self) -> dict[str, Peer]:
        ledger, view = self._ledger, View(self._ledger.state.get)
        present, newest = ledger.validators(ledger.height + 1), ledger.newest_validators()[1]
        keys = {member.department: member.key for member in (*newest.members, *present.members)}
        addresses = {name: self._address(view, name) for name in keys}
        is_stranger = present.key_of(self._identity.department) != self._identity.key.public
        for name, member in self._introduced.items():
            if is_stranger or view.get("keys", member.key.hex()) is None:  # else the own chain knows better
                keys[name], addresses[name] = member.key, member.address
        addresses |= self._overrides
        return {
            name: Peer(keys[name], *split_address(address))
            for name, address in addresses.items()
            if name in keys and address is not None
        }

    def _address(self, view: View, department: str) -> str | None:
        row = view.get("departments", department)
        return address_to_be(view, department) if row is None else row["address"]

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

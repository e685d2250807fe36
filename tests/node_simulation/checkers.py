"""What must hold, watched from outside the nodes: on their disks while they run, and in everything once it is quiet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from chain import codec
from chain.blocks import BlockStore
from chain.state import View
from contracts.deciding.holders import holders
from contracts.erasing.retention import is_erased
from node.intake.waiting import Committed
from node.service import Node
from node.vault.seal import RecordId
from node.vault.values import FieldId, VaultValue
from tests.node_simulation.disk import CHAIN, VAULT, VAULT_KEYS, SimDisk
from tests.node_simulation.plan import MEMPOOL_MAX

if TYPE_CHECKING:
    from tests.node_simulation.machine import Machine
    from tests.node_simulation.world import World


class ViolationError(AssertionError):
    """A property does not hold; the message says which and where."""


class _Read:
    """A platter read as a store, by nobody's node."""

    def __init__(self, disk: SimDisk) -> None:
        self.get = disk.databases[CHAIN].pairs.get


class Checker:
    def __init__(self) -> None:
        self.blocks: dict[int, bytes] = {}
        self.by_whom: dict[int, str] = {}
        self.acknowledged: dict[bytes, int] = {}
        self.values: dict[tuple[FieldId, bytes], VaultValue] = {}
        self.height = 0

    # While they run

    def on_chain(self, name: str, puts: Mapping[bytes, bytes]) -> None:
        """One chain: whatever a node writes as its head is the block that every other wrote at that height."""
        raw = puts.get(b"meta/head")
        if raw is None:
            return
        height, block_id = codec.decode(raw, 64)
        first = self.blocks.setdefault(height, block_id)
        if first != block_id:
            raise ViolationError(f"{name} has another block at height {height} than {self.by_whom[height]}")
        self.by_whom.setdefault(height, name)
        self.height = max(self.height, height)

    def on_committed(self, transaction_id: bytes, committed: Committed) -> None:
        known = self.acknowledged.setdefault(transaction_id, committed.height)
        if known != committed.height:
            raise ViolationError(f"{transaction_id.hex()} was acknowledged at heights {known} and {committed.height}")

    def on_disclosed(self, allowed: set[tuple[FieldId, bytes]], shown: list[VaultValue], chain_id: bytes) -> None:
        """What a reader gets is what the committed read allowed, and what somebody once wrote."""
        for value in shown:
            wanted = (value.id, value.digest(chain_id))
            if wanted not in allowed:
                raise ViolationError(f"{value.table}/{value.record}/{value.field} was shown and not allowed")
            if self.values.get(wanted) != value:
                raise ViolationError(f"{value.table}/{value.record}/{value.field} was shown, and nobody wrote that")

    def look(self, machine: Machine) -> None:
        """Bounds, of a node that runs."""
        node = machine.node
        if node is None:
            return
        for what, actual, limit in bounds(node):
            if actual > limit:
                raise ViolationError(f"{machine.name} has {actual} {what}, more than {limit}")

    # When it is quiet

    def check_all(self, world: World) -> None:
        machines = list(world.machines.values())
        self._check_chain(machines)
        nodes = {machine.name: machine.node for machine in machines if machine.node is not None}
        for name, node in nodes.items():
            self._check_vault(world, name, node)
        for machine in machines:
            self._check_bytes(machine, next(iter(nodes.values())))

    def _check_chain(self, machines: list[Machine]) -> None:
        ends = set()
        for machine in machines:
            blocks = BlockStore(_Read(machine.disk))  # type: ignore[arg-type]
            head = blocks.head()
            if head is None:
                raise ViolationError(f"{machine.name} has no chain")
            ends.add((*head, blocks.block(head[0]).header.state_root))
            if machine.node is not None and machine.node.ledger.state.root != blocks.block(head[0]).header.state_root:
                raise ViolationError(f"{machine.name} has another state than its last block says")
            self._check_executed(machine.name, blocks, head[0])
        if len(ends) != 1:
            raise ViolationError(f"the chains end differently: {sorted(end[0] for end in ends)}")
        if max(self.blocks) != next(iter(ends))[0]:
            raise ViolationError("a block that one node had appended is in no chain")

    def _check_executed(self, name: str, blocks: BlockStore, height: int) -> None:
        """Each transaction once, and every one that a client was told of where it was told."""
        at: dict[bytes, int] = {}
        for one in range(1, height + 1):
            for transaction_id, _ in blocks.executed_ids(one):
                if transaction_id in at:
                    raise ViolationError(f"{name} executed {transaction_id.hex()} at {at[transaction_id]} and {one}")
                at[transaction_id] = one
        for transaction_id, told in self.acknowledged.items():
            if at.get(transaction_id) != told:
                found = at.get(transaction_id)
                raise ViolationError(f"{name} has {transaction_id.hex()} at {found}, acknowledged at {told}")

    def _check_vault(self, world: World, name: str, node: Node) -> None:
        """Who may hold a value holds it; who may not does not."""
        view, vault = View(node.ledger.state.get), node._opened.vault
        for (field, digest), value in self.values.items():
            row = view.get(field.table, field.record)
            is_current = row is not None and row["fields"].get(field.field, [None])[0] == digest
            entitled = holders(view, field.table, field.record, field.field, world.wall_ms()) if is_current else ()
            has = vault.has((value.id, digest))
            if has != (name in entitled):
                what = "lacks" if not has else "still has"
                raise ViolationError(f"{name} {what} {field.table}/{field.record}/{field.field}; entitled: {entitled}")

    def _check_bytes(self, machine: Machine, node: Node) -> None:
        """No value lies in the clear, and of an erased record nothing is left: neither a sealed value nor a key."""
        content = b"\x00".join(self._every_byte(machine.disk))
        for value in self.values.values():
            if len(value.value.encode()) >= 6 and value.value.encode() in content:
                raise ViolationError(f"{machine.name} has {value.table}/{value.record}/{value.field} in the clear")
            if value.salt in content:
                raise ViolationError(f"{machine.name} has the salt of {value.table}/{value.record} in the clear")
        view = View(node.ledger.state.get)
        for record in sorted({RecordId(field.table, field.record) for field, _ in self.values}):
            if view.get(record.table, record.record) is None or not is_erased(view, record.table, record.record):
                continue
            for name, key in ((VAULT, record.to_key(b"v/")), (VAULT_KEYS, record.to_key(b"k/"))):
                platter = machine.disk.databases[name]
                if key in platter.pairs or key in platter.old:
                    raise ViolationError(f"{machine.name} has bytes of erased {record.table}/{record.record} in {name}")

    def _every_byte(self, disk: SimDisk) -> Iterator[bytes]:
        for platter in disk.databases.values():
            yield from platter.bytes()
        yield from disk.votes or ()


def bounds(node: Node) -> tuple[tuple[str, int, int], ...]:
    """(what, how many, at most) of what a node may pile up."""
    return (
        ("transactions in the mempool", node._mempool.transactions, MEMPOOL_MAX * 8),
        ("blocks that the vault has not followed", node._appended.qsize(), 32),
        ("executed blocks kept", len(node._agreement._executed), 8),
        ("messages in the driver's queue", node._driver._queue.qsize(), 8_000),
    )

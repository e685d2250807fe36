"""Departments with real ledgers, contracts and vaults on LevelDB; only links and consensus are stood in for.

Blocks are made at once by whichever node is up; a node that is down misses them and catches up when it comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chain import codec
from chain.attestation import sign_attestation
from chain.batch import Batch, sign_batch
from chain.block import Block
from chain.certificate import Certificate, sign_vote
from chain.errors import KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.receipt import Receipt
from chain.records import field_digest
from chain.store import MemoryStore
from chain.transaction import Call, Transaction, sign_transaction
from contracts.deciding.policy import default_policy
from contracts.registry import contract_table
from node.peers.exchange import PEER_DISCONNECTED, PEER_REQUEST_REFUSED
from node.vault.exchange import VaultExchange
from node.vault.refill import VaultTiming
from node.vault.replication import ReplicationTiming
from node.vault.store import Vault
from node.vault.values import VaultValue, encode_values
from tests.contracts.office import TIME_MS, genesis_value, key_of, salt_of
from tests.node.peer_kit import until

Handler = Callable[[str, bytes], Awaitable[bytes]]
TIMING = VaultTiming(
    replication=ReplicationTiming(deadline_s=20.0, retry_first_s=0.001, retry_max_s=0.01),
    grace_s=0.0,
    retry_first_s=0.002,
    retry_max_s=0.02,
    pace_s=0.0,
)
UP = ("administration", "finance", "sales", "technical")
"""Three departments that may hold a customer of sales, and one that may not; more would only cost time."""
HASTY = VaultTiming(replication=ReplicationTiming(deadline_s=0.5, retry_first_s=0.001), grace_s=0.0)


def only_administration_holds_identifiers() -> dict[str, Any]:
    """The default policy, but narrower: so that what one department holds differs from field to field."""
    fields = [field for field in default_policy()["tables"]["customers"] if field != "identifier"]
    rules = [rule | {"fields": fields} if rule["table"] == "customers" else rule for rule in default_policy()["rules"]]
    return {"rules": rules}


class Links:
    """One node's side of the links: requests reach the other's handlers, if both are up."""

    def __init__(self, network: Network, department: str) -> None:
        self._network, self._department = network, department
        self.handlers: dict[str, Handler] = {}

    def handle(self, kind: str, handler: Handler) -> None:
        self.handlers[kind] = handler

    async def request(self, department: str, kind: str, payload: bytes, timeout_s: float) -> bytes:
        assert department != self._department
        self._network.requests.append((self._department, department, kind))
        await asyncio.sleep(0)
        other = self._network.nodes.get(department)
        if other is None or self._department not in self._network.nodes:
            raise KehuError(PEER_DISCONNECTED, department=department)
        lie = self._network.liars.get((department, kind))
        try:
            answer = await other.links.handlers[kind](self._department, payload)
        except KehuError as error:
            raise KehuError(PEER_REQUEST_REFUSED, department=department, kind=kind, reason=error.code) from None
        return answer if lie is None else lie(answer)


class ToBeLevel:
    """Level once a test says so."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reached, self.reach = self._event.wait, self._event.set

    @property
    def is_reached(self) -> bool:
        return self._event.is_set()


class VaultNode:
    def __init__(self, network: Network, department: str, home: Path, store: MemoryStore, timing: VaultTiming) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.network, self.department = network, department
        self.ledger, self.blocks = Ledger.open(network.genesis, contract_table(), store)
        self.vault = Vault.open(home, network.chain_id, key_of(f"node {department}"))
        self.links = Links(network, department)
        self.level = ToBeLevel()
        self.exchange = VaultExchange(
            department,
            self.ledger,
            self.blocks,
            self.vault,
            self.links,
            self.submit_own,
            lambda: network.time_ms,
            timing,
            level=self.level,
        )
        self.task: asyncio.Task[None] | None = None

    async def submit_own(self, calls: Sequence[Call]) -> None:
        receipt = await self.network.commit(f"node {self.department}", *calls, via=self.department)
        assert receipt.is_ok, receipt

    async def append(self, raw: bytes, certificate: Certificate) -> None:
        block = Block.from_bytes(raw)
        if block.header.height != self.ledger.height + 1:
            return
        executed = self.ledger.check(block, lambda batch, validators: batch.verify(validators, self.network.chain_id))
        self.blocks.append(executed, certificate)
        self.ledger.advance(executed, certificate)
        await self.exchange.on_block(executed)

    def live(self, record: str = "c1", table: str = "customers") -> dict[str, str]:
        """field -> value of all that is live here of a record."""
        found = {}
        for name, digest in self.vault.live(table, record):
            value = self.vault.get(table, record, name.field, digest)
            if value is not None:  # destroyed between the two looks
                found[name.field] = value.value
        return found

    def staged(self) -> list[bytes]:
        return sorted(self.vault.staged())


class Network:
    def __init__(self, folder: Path, timing: VaultTiming = TIMING, **changes: Any) -> None:
        self.folder, self.timing = folder, timing
        policy = only_administration_holds_identifiers() | changes.pop("policy", {})
        self.genesis = Genesis.from_value(genesis_value(policy=policy, **changes))
        self.chain_id = self.genesis.chain_id
        self.departments = self.genesis.validators.departments
        self.time_ms = TIME_MS
        self.nodes: dict[str, VaultNode] = {}
        self.stores = {name: MemoryStore() for name in self.departments}
        self.chain: list[tuple[bytes, Certificate]] = []
        self.requests: list[tuple[str, str, str]] = []
        self.liars: dict[tuple[str, str], Callable[[bytes], bytes]] = {}
        self._nonce = 0
        self._committing = asyncio.Lock()

    async def start(self, department: str, *, catch_up: bool = True) -> VaultNode:
        node = VaultNode(self, department, self.folder / department, self.stores[department], self.timing)
        self.nodes[department] = node
        if catch_up:
            await self.catch_up(node)
        await node.exchange.recover()
        if catch_up:
            node.level.reach()
        node.task = asyncio.create_task(node.exchange.run())
        for other in self.nodes.values():
            other.exchange.on_connected(department)
        return node

    async def catch_up(self, node: VaultNode) -> None:
        for raw, certificate in self.chain[node.ledger.height :]:
            await node.append(raw, certificate)

    async def stop(self, department: str) -> None:
        async with self._committing:  # no block is half followed when the vault closes
            node = self.nodes.pop(department)
            if node.task is not None:
                node.task.cancel()
                await asyncio.wait([node.task])
            node.vault.close()
        if node.task is not None and not node.task.cancelled():
            node.task.result()

    async def restart(self, department: str) -> VaultNode:
        await self.stop(department)
        return await self.start(department)

    # Transactions

    def transaction(self, sender: str, *calls: Call, expires: int | None = None) -> Transaction:
        self._nonce += 1
        if expires is None:
            expires = len(self.chain) + 100
        return sign_transaction(key_of(sender), self.chain_id, self._nonce.to_bytes(16, "big"), expires, list(calls))

    def value(self, record: str, field: str, text: str, table: str = "customers") -> VaultValue:
        return VaultValue(table, record, field, salt_of(f"{record} {field} {text}"), text)

    def digests(self, *values: VaultValue) -> dict[str, bytes]:
        return {value.field: value.digest(self.chain_id) for value in values}

    def registration(
        self, customer: str = "c1", sender: str = "li", **values: str
    ) -> tuple[Transaction, list[VaultValue]]:
        """A customer whose identifier a carrier has named, with all values."""
        texts = {"name": "张三", "phone": "+8613800000001", "position": "经理"} | values
        made = [self.value(customer, field, text) for field, text in texts.items()]
        identifier = self.value(customer, "identifier", f"subscriber of {customer}")
        digests = self.digests(*made, identifier)
        attestation = sign_attestation(
            key_of("gateway g1"),
            self.chain_id,
            customer=customer,
            phone_digest=digests["phone"],
            outcome="found",
            identifier_digest=digests["identifier"],
            carrier="carrier-1",
            time_ms=self.time_ms,
            gateway="g1",
            nonce=salt_of(f"nonce {customer} {self._nonce}")[:16],
        )
        call = Call(
            "customers.register",
            {
                "customer": customer,
                "fields": self.digests(*made),
                "attestation": attestation.to_value(),
                "temporary": False,
            },
        )
        return self.transaction(sender, call), [*made, identifier]

    def update(self, version: int, sender: str = "li", **values: str) -> tuple[Transaction, list[VaultValue]]:
        made = [self.value("c1", field, text) for field, text in values.items()]
        call = Call("customers.update", {"customer": "c1", "version": version, "fields": self.digests(*made)})
        return self.transaction(sender, call), made

    async def commit(self, sender: str, *calls: Call, via: str) -> Receipt:
        return (await self.append([self.transaction(sender, *calls)], via))[0]

    async def append(self, transactions: Sequence[Transaction], via: str) -> list[Receipt]:
        """A block of these, appended by every node that is up."""
        async with self._committing:
            self.time_ms += 1_000
            builder = next(iter(self.nodes.values()))
            batch = sign_batch(key_of(f"node {via}"), self.chain_id, via, transactions)
            raw, receipts = self._build(builder.ledger, batch)
            for node in list(self.nodes.values()):
                await node.append(raw, self.chain[-1][1])
            return receipts

    def _build(self, ledger: Ledger, batch: Batch) -> tuple[bytes, list[Receipt]]:
        executed = ledger.build("sales", self.time_ms, [batch])
        height, block_id = executed.block.header.height, executed.block.id
        votes = [
            sign_vote(key_of(f"node {name}"), self.chain_id, "commit", 0, height, 0, block_id, name)
            for name in self.departments[: self.genesis.validators.quorum]
        ]
        self.chain.append((executed.block.raw, Certificate.of(votes)))
        return executed.block.raw, executed.receipts

    async def submit(self, pair: tuple[Transaction, list[VaultValue]], via: str = "sales") -> Receipt:
        """As a node does: safeguard the values, then propose."""
        transaction, values = pair
        await self.nodes[via].exchange.safeguard(transaction, values)
        return (await self.append([transaction], via))[0]

    async def boss(self, name: str, /, **args: Any) -> None:
        receipt = await self.commit("boss", Call(name, args), via="administration")
        assert receipt.is_ok, receipt

    # What came of it

    def row(self, table: str, key: str) -> dict[str, Any] | None:
        return next(iter(self.nodes.values())).exchange.duties.view().get(table, key)

    def digest(self, record: str, field: str, text: str) -> bytes:
        value = self.value(record, field, text)
        return field_digest(self.chain_id, value.table, record, field, value.salt, text)

    async def holds(self, department: str, *fields: str, record: str = "c1") -> None:
        """Waits until exactly these fields are live there."""
        await until(lambda: sorted(self.nodes[department].live(record)) == sorted(fields))


async def staged_code(net: Network, pair: tuple[Transaction, list], sender: str, holder: str) -> str:
    """What `holder` says to these values from `sender`'s node; "ok" if it keeps them."""
    transaction, values = pair
    payload = codec.encode([[transaction.raw, encode_values(values)]])
    raw = await net.nodes[sender].links.request(holder, "vault.stage", payload, 5.0)
    ((_, code),) = codec.decode(raw, 1 << 16)
    return str(code)


@asynccontextmanager
async def network(
    folder: Path, timing: VaultTiming = TIMING, down: Sequence[str] = (), **changes: Any
) -> AsyncIterator[Network]:
    made = Network(folder, timing, **changes)
    for name in UP:
        if name not in down:
            await made.start(name)
    try:
        yield made
    finally:
        for name in list(made.nodes):
            await made.stop(name)

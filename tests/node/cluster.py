"""Four departments' real nodes in one process: real LevelDB, real TLS on the loopback, real contracts, short timeouts.

`Cluster` makes the folders as `kehu network init` does, starts and stops nodes, signs as people do. Nothing sleeps for
a fixed time: `eventually` waits for a condition.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import secrets
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chain.crypto import SigningKey
from chain.genesis import Genesis
from chain.protocol import NEWEST
from chain.records import field_digest
from chain.transaction import Call, Transaction, sign_transaction
from contracts.deciding.policy import default_policy
from node.folder.config import Home
from node.folder.opening import open_home
from node.keys.files import ScryptCost, create_key_file
from node.service import Node
from node.storage.wal import VoteLog
from node.vault.values import VaultValue

DEPARTMENTS = ("administration", "after_sales", "finance", "sales")
PEOPLE = {
    "boss": ("administration", "administrator"),
    "li": ("sales", "operator"),
    "wang": ("sales", "operator"),
    "qian": ("finance", "operator"),
    "wu": ("after_sales", "operator"),
}
PASSPHRASE = "correct horse battery"
PATIENCE_S = 60.0
"""How long a test waits for what must happen; the machine may be busy."""
CHEAP = ScryptCost(n=2, r=1, p=1)


def key_of(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


async def eventually(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Returns once `condition` holds; the test fails when it never does."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - the conditions are many and have no event of their own
            await asyncio.sleep(0.01)


def free_ports(count: int) -> list[int]:
    """Ports below those from which systems take ports for outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def genesis_value(ports: dict[str, int], **limits: int) -> dict[str, Any]:
    return {
        "version": 1,
        "protocol": NEWEST,
        "network": "试验网络",
        "time_ms": time.time_ns() // 1_000_000,
        "departments": [
            {"id": name, "name": name, "key": key_of(f"node {name}").public.hex(), "address": f"127.0.0.1:{port}"}
            for name, port in ports.items()
        ],
        "people": [
            {"id": name, "department": department, "role": role, "key": key_of(name).public.hex()}
            for name, (department, role) in PEOPLE.items()
        ],
        "gateways": [
            {"id": f"gateway-{name}", "department": name, "key": key_of(f"gateway {name}").public.hex()}
            for name in ports
        ],
        "policy": default_policy(list(ports)),
        "limits": limits,
    }


def make_home(folder: Path, department: str, genesis: dict[str, Any], peer: int, api: int, more: str = "") -> Home:
    """A node's folder, ready to start."""
    home = Home(folder)
    (folder / "secrets").mkdir(parents=True)
    passphrase = folder / "secrets" / "passphrase"
    passphrase.write_text(PASSPHRASE + "\n")
    passphrase.chmod(0o600)
    create_key_file(home.node_key, "node", department, PASSPHRASE, key_of(f"node {department}").seed, CHEAP)
    home.genesis_file.write_text(json.dumps(genesis, ensure_ascii=False))
    home.config_file.write_text(
        f"""department = "{department}"
[listen]
peer = "127.0.0.1:{peer}"
api = "127.0.0.1:{api}"
[consensus]
view_timeout_ms = 600
view_timeout_max_ms = 2000
retransmit_ms = 150
{more}"""
    )
    VoteLog.create(home.votes, Genesis.from_value(genesis).chain_id, department).close()
    return home


class Cluster:
    def __init__(self, folder: Path, more: str = "", protocol: int = NEWEST, **limits: int) -> None:
        ports = free_ports(2 * len(DEPARTMENTS))
        self.peer_ports = dict(zip(DEPARTMENTS, ports, strict=False))
        value = genesis_value(self.peer_ports, **limits) | {"protocol": protocol}
        self.genesis = Genesis.from_value(value)
        self.chain_id = self.genesis.chain_id
        self.homes = {
            name: make_home(folder / name, name, value, ports[place], ports[place + len(DEPARTMENTS)], more)
            for place, name in enumerate(DEPARTMENTS)
        }
        self.nodes: dict[str, Node] = {}
        self.failures: list[BaseException] = []
        self._stops: dict[str, asyncio.Event] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}

    # Nodes

    async def start(self, *names: str) -> None:
        """Starts these nodes, or all."""
        for name in names or DEPARTMENTS:
            await self._open(name)
            self._stops[name] = asyncio.Event()
            self._runs[name] = asyncio.create_task(self._run(name, self.nodes[name], self._stops[name]))

    async def _open(self, name: str) -> None:
        node = Node(open_home(self.homes[name]))
        await node.start()
        self.nodes[name] = node

    async def _run(self, name: str, node: Node, stop: asyncio.Event) -> None:
        try:
            await node.run(stop)
            while node.must_reopen and not stop.is_set():
                await node.stop()
                await self._open(name)
                node = self.nodes[name]
                await node.run(stop)
        except BaseException as error:
            self.failures.append(error)
            raise

    async def stop(self, *names: str) -> None:
        """Stops these nodes, or all, in good order. Raises what a node ended with."""
        chosen = [name for name in names or tuple(self.nodes) if name in self.nodes]
        for name in chosen:
            self._stops.pop(name).set()
        nodes = [self.nodes.pop(name) for name in chosen]
        ends = await asyncio.gather(*(self._runs.pop(name) for name in chosen), return_exceptions=True)
        await asyncio.gather(*(node.stop() for node in nodes))
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    def wipe(self, name: str) -> None:
        """Takes chain, vault and vote log away from a stopped node."""
        home = self.homes[name]
        for folder in (home.chain, home.vault, home.vault_keys):
            shutil.rmtree(folder)
        home.votes.unlink()

    @property
    def any(self) -> Node:
        return next(iter(self.nodes.values()))

    @property
    def primary(self) -> str:
        """Whom most nodes hold to be the primary."""
        seen = [str(node.status()["primary"]) for node in self.nodes.values()]
        return max(sorted(set(seen)), key=seen.count)

    async def ready(self) -> None:
        await eventually(lambda: all(node.is_ready for node in self.nodes.values()))

    # People

    def sign(self, sender: str, *calls: Call, nonce: bytes | None = None) -> Transaction:
        expires = max((node.height for node in self.nodes.values()), default=0) + 200
        return sign_transaction(key_of(sender), self.chain_id, nonce or secrets.token_bytes(16), expires, list(calls))

    def login(self, sender: str) -> Transaction:
        """The smallest thing that a person can do."""
        return self.sign(sender, Call("access.login", {}))

    async def submit(self, transactions: Iterable[Transaction], via: str, values: Sequence[VaultValue] = ()) -> None:
        """Submits and requires that all are admitted."""
        for admission in await self.nodes[via].submit([item.raw for item in transactions], values):
            if admission.error is not None:
                raise admission.error

    async def commit(self, *transactions: Transaction, via: str, values: Sequence[VaultValue] = ()) -> None:
        """Submits and waits until all are committed with "ok"."""
        await self.submit(transactions, via, values)
        for item in transactions:
            committed = await self.nodes[via].wait_committed(item.id, PATIENCE_S)
            assert committed is not None
            assert committed.receipt.is_ok, committed.receipt

    def values(self, customer: str, **fields: str) -> list[VaultValue]:
        return [VaultValue("customers", customer, name, secrets.token_bytes(32), text) for name, text in fields.items()]

    def digests(self, values: Iterable[VaultValue]) -> dict[str, bytes]:
        return {
            item.field: field_digest(self.chain_id, item.table, item.record, item.field, item.salt, item.value)
            for item in values
        }

    def register(self, customer: str, sender: str = "li") -> tuple[Transaction, list[VaultValue]]:
        """A temporary customer with name and number, and their values."""
        number = 13_800_000_000 + int(hashlib.sha256(customer.encode()).hexdigest()[:6], 16)
        values = self.values(customer, name="张三", phone=f"+86{number}")
        args = {"customer": customer, "fields": self.digests(values), "attestation": None, "temporary": True}
        return self.sign(sender, Call("customers.register", args)), values

    # What must hold

    async def agree(self, at_least: int = 0) -> None:
        """Waits until all running nodes stand at one height with one root."""

        def is_same() -> bool:
            heads = {(node.height, node.ledger.head.block_id, node.ledger.state.root) for node in self.nodes.values()}
            return len(heads) == 1 and self.any.height >= at_least

        await eventually(is_same)

    def heights_of(self, transaction: Transaction) -> list[int]:
        """At which heights of the chain it was really executed, by reading every block of one node."""
        blocks = self.any.blocks
        return [
            height
            for height in range(1, self.any.height + 1)
            for id_, _ in blocks.executed_ids(height)
            if id_ == transaction.id
        ]


@asynccontextmanager
async def running(folder: Path, protocol: int = NEWEST, **limits: int) -> AsyncIterator[Cluster]:
    """A cluster, up and linked; on leaving, every node must stop without an error."""
    cluster = Cluster(folder, protocol=protocol, **limits)
    try:
        await cluster.start()
        await cluster.ready()
        yield cluster
    finally:
        await cluster.stop()

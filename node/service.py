"""A department's node: everything wired together, and the façade that the HTTP API sees.

`Node(open_home(home))`, then `start`, then `run` until it is told to stop or something happens that a node must not
survive: a failed disk, a broken invariant. What each part does stands in its own file; this one only says who
knows whom.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any, Final, Literal

from chain.batch import Batch
from chain.block import Block
from chain.blocks import BlockStore, ExecutedBlock
from chain.certificate import Certificate
from chain.errors import KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.state import View
from chain.transaction import Call, Transaction
from consensus.config import ReplicaConfig
from consensus.events import Event, PeerConnected, Started, WorkAvailable
from consensus.replica import Replica
from consensus.replica_state import Head
from consensus.votes import decode_record
from node.admission import Admission, Admitter
from node.agreement import Agreement
from node.batcher import Batcher
from node.carrier.gateway import Gateway
from node.carrier.lookup import IdentifierLookup, LookupConfig
from node.carrier.platform import PlatformTable
from node.catch_up import REQUEST_KIND, CatchUp, answer_request
from node.config import split_address
from node.disclosure import ACCESS_NOT_COMMITTED, allowed_values, disclose
from node.driver import Driver
from node.frames import Kind
from node.inbox import BatchInbox
from node.keys import read_public
from node.mempool import Mempool
from node.opening import Opened
from node.own_transactions import OwnTransactions
from node.peers import PeerNetwork
from node.phone import PHONE_NO_GATEWAY, PhoneAnswer, PhoneDesk
from node.transport import Identity, Peer
from node.vault_duty import digests_of
from node.vault_exchange import VaultExchange
from node.vault_values import VaultValue
from node.verification import BatchVerifier
from node.waiting import Committed, Waiting, find_committed

GOSSIP_ON_CONNECT_MAX: Final = 100

log = logging.getLogger("kehu.node")


def wall_ms() -> int:
    """Unix time in ms."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Node:
    """Made inside a running event loop."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        config, genesis = opened.config, opened.genesis
        self.department: str = config.department
        self.genesis: Genesis = genesis
        self.ledger: Ledger = opened.ledger
        self.blocks: BlockStore = opened.blocks
        self._chain_id = genesis.chain_id
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []
        self._started_ms = wall_ms()

        limits = config.limits
        self._mempool = Mempool(self.department, limits.mempool_transactions, limits.sender_transactions)
        self._verifier = BatchVerifier(self._chain_id)
        self._waiting = Waiting(self.blocks)
        self.peers = PeerNetwork(
            Identity(self.department, opened.node_key, self._chain_id),
            self._peer_table,
            self._on_message,
            on_connected=self._on_connected,
        )
        self._agreement = Agreement(
            self.department, self.ledger, self.blocks, self._mempool, self._verifier, self, wall_ms
        )
        self._driver = self._make_driver()
        self._inbox = BatchInbox(self._mempool, self._verifier, self.ledger, self._work_came)
        self._catch_up = CatchUp(lambda: self.ledger.height, self.peers.request, self._append_certified)
        self._agreement.catch_up = self._catch_up
        self._batcher = Batcher(
            opened.node_key, self._chain_id, self.department, self._mempool, self._verifier, self._gossip,
            self._work_came,
        )  # fmt: skip
        self._admitter = Admitter(self.ledger, self.blocks, self._mempool, self._batcher, digests_of, self._safeguard)
        self._own = OwnTransactions(self.ledger, self._admitter.submit, self._waiting.wait, secrets.token_bytes)
        self._exchange = VaultExchange(
            self.department, self.ledger, self.blocks, opened.vault, self.peers, self._record_release, wall_ms
        )
        self._platform: IdentifierLookup | None = None
        self._desk = self._make_desk()
        self._appended: asyncio.Queue[ExecutedBlock] = asyncio.Queue()
        self._agreement.listeners.append(self._appended.put_nowait)
        self.peers.handle(REQUEST_KIND, self._serve_blocks)

    # --- made once

    def _make_driver(self) -> Driver:
        opened, ledger = self._opened, self.ledger
        consensus = self._opened.config.consensus
        replica = Replica(
            ReplicaConfig(
                self.department,
                self._chain_id,
                view_timeout_ms=consensus.view_timeout_ms,
                view_timeout_max_ms=consensus.view_timeout_max_ms,
                retransmit_ms=consensus.retransmit_ms,
            ),
            opened.node_key,
            Head(ledger.height, ledger.head.block_id, ledger.head.certificate, ledger.validators(ledger.height + 1)),
            opened.records,
        )
        driver = Driver(
            replica, self._agreement, opened.votes, opened.create_votes, monotonic_ms, consensus.block_interval_ms
        )
        driver.keep_votes([(decode_record(record).height, record) for record in opened.records or ()])
        return driver

    def _make_desk(self) -> PhoneDesk | None:
        carrier, key = self._opened.config.carrier, self._opened.gateway_key
        if carrier is None or key is None:
            return None
        token = (self._opened.home.path / carrier.token_file).read_text(encoding="utf-8").strip()
        self._platform = IdentifierLookup(
            LookupConfig(name=carrier.name, url=carrier.url, token=token, deadline_ms=carrier.timeout_ms)
        )
        gateway_id = read_public(self._opened.home.gateway_key).name
        gateway = Gateway(gateway_id, key, PlatformTable(self._platform), self._chain_id, wall_ms, secrets.token_bytes)
        return PhoneDesk(
            gateway, key, carrier.region, self._chain_id, self._opened.vault, self.view, self._own,
            wall_ms, secrets.token_bytes,
        )  # fmt: skip

    # --- life

    async def start(self) -> None:
        """Listens to peers and begins to take part."""
        host, port = split_address(self._opened.config.listen.peer)
        await self.peers.start(host, port)
        self._driver.post(Started())
        self._spawn(self._driver.run())
        self._spawn(self._batcher.run())
        self._spawn(self._inbox.run())
        self._spawn(self._follow_blocks())
        self._spawn(self._exchange.run())
        log.info("node %s at height %d listens to peers on %s:%d", self.department, self.ledger.height, host, port)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Raises what the node must not survive."""
        stopped = asyncio.ensure_future(stop.wait())
        ends: list[asyncio.Future[Any]] = [stopped, self._failed, self.peers.failed]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        for end in ends[1:]:
            if end.done() and not end.cancelled():
                end.result()

    async def stop(self) -> None:
        """Orderly: no more work is taken, what runs is ended, stores are closed."""
        self._waiting.close()
        self._batcher.close()
        await self._catch_up.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.peers.close()
        if self._platform is not None:
            await self._platform.close()
        self._opened.closing.close()
        log.info("node %s stopped at height %d", self.department, self.ledger.height)

    def fail(self, error: BaseException) -> None:
        """Something happened that the node must not survive: `run` raises it."""
        if not self._failed.done():
            log.critical("the node stops: %s", error)
            self._failed.set_exception(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    # --- peers

    def _peer_table(self) -> dict[str, Peer]:
        overrides = self._opened.config.peers
        table: dict[str, Peer] = {}
        for member in self.ledger.validators(self.ledger.height + 1).members:
            address = overrides.get(member.department, self.genesis.addresses.get(member.department))
            if address is not None:
                table[member.department] = Peer(member.key, *split_address(address))
        return table

    def send(self, department: str, message: bytes) -> None:
        self.peers.send(department, Kind.CONSENSUS, message)

    def broadcast(self, message: bytes) -> None:
        self.peers.broadcast(Kind.CONSENSUS, message)

    def _work_came(self) -> None:
        self._driver.post(WorkAvailable())

    def _gossip(self, batch: Batch) -> None:
        self.peers.broadcast(Kind.GOSSIP, batch.raw)

    def _on_connected(self, department: str) -> None:
        self._driver.post(PeerConnected(department))
        self._exchange.on_connected(department)
        for batch in self._mempool.oldest(GOSSIP_ON_CONNECT_MAX):
            self.peers.send(department, Kind.GOSSIP, batch.raw)

    def _on_message(self, department: str, kind: Kind, payload: bytes) -> None:
        if kind == Kind.CONSENSUS:
            self._driver.receive(department, payload)
        else:
            self._inbox.receive(department, payload)

    async def _serve_blocks(self, _department: str, request: bytes) -> bytes:
        return answer_request(self.blocks, self.ledger.height, request)

    async def _append_certified(self, block: Block, certificate: Certificate) -> None:
        async def append() -> Event | None:
            return await self._agreement.append_certified(block, certificate)

        await self._driver.perform(append)

    # --- after a block

    async def _follow_blocks(self) -> None:
        """Vault first, then whoever waits: who hears that a read is committed can fetch its values."""
        while True:
            executed = await self._appended.get()
            await self._exchange.on_block(executed)
            self._waiting.block_appended(executed)

    async def _safeguard(self, transaction: Transaction, values: Sequence[VaultValue]) -> None:
        await self._exchange.safeguard(transaction, values)

    async def _record_release(self, calls: Sequence[Call]) -> None:
        await self._own.commit(self._opened.node_key, list(calls))

    # --- the façade

    def view(self) -> View:
        """The committed state."""
        return View(self.ledger.state.get)

    @property
    def height(self) -> int:
        return self.ledger.height

    def now_ms(self) -> int:
        return wall_ms()

    @property
    def is_ready(self) -> bool:
        """Linked to a quorum (itself included), not catching up, voting."""
        quorum = self.ledger.validators(self.ledger.height + 1).quorum
        observer = self._agreement.observer
        is_voting = observer is None or not observer.is_observer
        return len(self.peers.connected) + 1 >= quorum and not self._catch_up.is_running and is_voting

    def status(self) -> dict[str, Any]:
        view, observer = self._agreement.view, self._agreement.observer
        return {
            "is_ready": self.is_ready,
            "uptime_ms": wall_ms() - self._started_ms,
            "view": None if view is None else view.view,
            "primary": None if view is None else view.primary,
            "view_is_active": view is not None and view.is_active,
            "is_observer": observer is not None and observer.is_observer,
            "is_catching_up": self._catch_up.is_running,
            "mempool_transactions": self._mempool.transactions,
            "state_entries": len(self.ledger.state.values),
            "vault": {**self._opened.vault.status(), **self._exchange.status()},
            "accusations": len(self._agreement.accusations),
            "peers": [
                {"department": peer.department, "is_connected": peer.is_connected, "last_error": peer.last_error}
                for peer in self.peers.health()
            ],
        }

    async def submit(self, envelopes: Sequence[bytes], values: Sequence[VaultValue]) -> list[Admission]:
        return await self._admitter.submit(envelopes, values)

    async def wait_committed(self, transaction_id: bytes, timeout_s: float) -> Committed | None:
        return await self._waiting.wait(transaction_id, timeout_s)

    def find(self, transaction_id: bytes) -> Committed | Literal["pending", "unknown"]:
        found = find_committed(self.blocks, transaction_id)
        if found is not None:
            return found
        return "pending" if transaction_id in self._mempool else "unknown"

    async def disclose(self, transaction_id: bytes, key: bytes) -> Sequence[VaultValue]:
        found = find_committed(self.blocks, transaction_id)
        if found is None:
            raise KehuError(ACCESS_NOT_COMMITTED, transaction=transaction_id)
        block = self.blocks.block(found.height)
        _, transaction = block.transactions()[found.index]
        if transaction.key == key and found.receipt.is_ok:
            await self._exchange.obtain(allowed_values(transaction, found.receipt))
        return await asyncio.to_thread(
            disclose, self._opened.vault, self.view(), transaction, found.receipt, block.header.time_ms, key, wall_ms()
        )

    async def attest_phone(
        self, key: bytes, customer: str, phone: str, phone_salt: bytes, identifier_salt: bytes
    ) -> PhoneAnswer:
        return await self._require_desk().attest(key, customer, phone, phone_salt, identifier_salt)

    async def check_phone(self, key: bytes, customer: str, max_age_ms: int | None) -> Mapping[str, Any]:
        return await self._require_desk().check(key, customer, max_age_ms)

    def _require_desk(self) -> PhoneDesk:
        if self._desk is None:
            raise KehuError(PHONE_NO_GATEWAY, department=self.department)
        return self._desk

    def subscribe(self) -> AsyncIterator[Mapping[str, Any]]:
        return self._waiting.subscribe()

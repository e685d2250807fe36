"""A department's node: everything wired together, and the façade that the HTTP API sees.

`Node(open_home(home))`, then `start`, then `run` until it is told to stop or something happens that a node must not
survive: a failed disk, a broken invariant. What each part does stands in its own file; this one only says who
knows whom.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from chain.block import Block
from chain.blocks import BlockStore, ExecutedBlock
from chain.certificate import Certificate
from chain.errors import KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.state import View
from chain.transaction import Call
from consensus.events import Event, PeerConnected, Started
from node.backup.making import backup_of
from node.folder.config import listening_on, split_address
from node.folder.opening import Opened
from node.intake.admission import Admission, Admitter
from node.intake.batcher import Batcher
from node.intake.decoding import KnownTransactions
from node.intake.inbox import BatchInbox
from node.intake.mempool import Mempool
from node.intake.own_transactions import OwnTransactions
from node.intake.pressure import Pressure
from node.intake.verification import BatchVerifier, RememberedSignatures
from node.intake.waiting import Committed, Waiting, find_committed
from node.members.membership import Membership
from node.members.protocol import describe as describe_protocol
from node.metrics import Metrics
from node.peers.links import Links
from node.peers.transport import Identity
from node.phone.book import PhoneBook
from node.phone.desk import PhoneAnswer
from node.phone.due import DuePage
from node.phone.duplicates import DuplicateDesk
from node.phone.office import PhoneOffice
from node.preview import Preview, preview_calls
from node.replica.agreement import Agreement
from node.replica.catch_up import REQUEST_KIND, BlockServer, CatchUp
from node.replica.driving import make_driver
from node.replica.evidence import EvidenceBook
from node.replica.level import Level
from node.replica.returning import come_back
from node.search.desk import Found, SearchDesk
from node.search.index import RecordIndex
from node.search.query import Query
from node.snapshot.room import SnapshotRoom
from node.soundness.scrub import Scrub
from node.surroundings import Surroundings
from node.upkeep import Upkeep
from node.vault.commitments import digests_of
from node.vault.disclosure import ACCESS_NOT_COMMITTED, allowed_values, disclose
from node.vault.exchange import OBTAIN_S, VaultExchange
from node.vault.replication import Pair
from node.vault.values import VaultValue
from node.why.collector import Collector
from node.why.standing import STANDING_KIND

BLOCKS_BEHIND_MAX: Final = 32
"""How many appended blocks may wait for the vault to follow before the next one is held up."""
STOP_S: Final = 2.5
"""How long a block in hand may take when the node stops; then it is given up, and the log has what was promised."""

log = logging.getLogger("kehu.node")


class Node:
    """Made inside a running event loop."""

    def __init__(self, opened: Opened, around: Surroundings | None = None) -> None:
        """`around`: clocks, randomness and the way to others; by default the machine's own."""
        self._opened, self._around, config, genesis = opened, around or Surroundings(), opened.config, opened.genesis
        wall_ms, monotonic_ms = self._around.wall_ms, self._around.monotonic_ms
        self.department: str = config.department
        self.genesis: Genesis = genesis
        self.ledger: Ledger = opened.ledger
        self.blocks: BlockStore = opened.blocks
        self._started_ms = wall_ms()
        self._upkeep = Upkeep()
        self.metrics = Metrics(lambda: {**self.status(), "height": self.height})
        chain_id, limits = genesis.chain_id, config.limits
        known = KnownTransactions()
        self._mempool = Mempool(
            self.department, limits.mempool_transactions, limits.sender_transactions, read_transaction=known.read
        )
        identity = Identity(self.department, opened.node_key, chain_id)
        self._links = Links(identity, self.ledger, config.peers, self._mempool, opened.members, self._around)
        self.peers = self._links.network
        self._verifier = BatchVerifier(chain_id, RememberedSignatures())
        self._agreement = Agreement(
            self.department, self.ledger, self.blocks, self._mempool, self._verifier, self._links, wall_ms,
            self._around.make_blocking(),
        )  # fmt: skip
        self._replica, self._driver = make_driver(opened, self._agreement, monotonic_ms, self._around.make_blocking())
        self._inbox = BatchInbox(self._mempool, self._verifier, self.ledger, self._driver.work_came)
        self._snapshots = SnapshotRoom(
            opened.home, self.department, self.ledger, self.blocks, config.snapshot, self.peers, self.fail,
            lambda: monotonic_ms() / 1000,
        )  # fmt: skip
        self._catch_up = CatchUp(
            lambda: self.ledger.height, self.peers.request, self._append_certified, self._snapshots.takes_over,
            self._replica.height_to_fetch, lambda: monotonic_ms() / 1000,
        )  # fmt: skip
        self._agreement.catch_up, self._agreement.voted_height = self._catch_up, lambda: self._driver.voted_height
        self._batcher = Batcher(
            opened.node_key, chain_id, self.department, self._mempool, self._verifier, self._links.gossip,
            self._driver.work_came,
        )  # fmt: skip
        self._waiting = Waiting(self.blocks, self._is_pending)
        self._admitter = Admitter(
            self.department, self.ledger, self.blocks, self._mempool, self._batcher, digests_of,
            self._safeguard_all, known.read,
        )  # fmt: skip
        self._own = OwnTransactions(self.ledger, self._admitter.submit, self._waiting.wait, self._around.draw)
        self._pressure = Pressure(limits.wait_max_ms, self._mempool.__contains__, monotonic_ms)
        self._mempool.is_pressed = self._pressure.is_felt
        self._submit, self.require_room = self._pressure.guarded(self._admitter.submit), self._pressure.require_room
        self._level = Level(self.department, self.ledger, self.peers.request)
        self._exchange = VaultExchange(
            self.department, self.ledger, self.blocks, opened.vault, self.peers, self._commit_own, wall_ms,
            check=self._verifier.check,
            read_transaction=known.read, make_blocking=self._around.make_blocking, level=self._level,
        )  # fmt: skip
        self._driving: asyncio.Task[None] | None = None
        self._index = RecordIndex(self.ledger, opened.vault)
        opened.vault.on_change, opened.vault.on_unsound = self._index.touch, self._exchange.refill.look_again
        self._scrub = Scrub(opened, wall_ms)
        self._search_desk = SearchDesk(self.ledger, self._index, self._commit_own, wall_ms)
        self._book = PhoneBook(self.ledger, opened.vault, self._around.draw(32), monotonic_ms)
        self._duplicates = DuplicateDesk(self.view, self._book.look_up, self._commit_own, wall_ms)
        self._phones = PhoneOffice(opened, self.ledger, self._own, self.peers, lambda: self.is_ready, wall_ms)
        self._evidence = EvidenceBook(opened.home.evidence, self.department, self.ledger, self._commit_own)
        self._agreement.on_accuse, self._admitter.kept = self._evidence.note, self._phones.kept.find
        self._appended: asyncio.Queue[ExecutedBlock] = asyncio.Queue(BLOCKS_BEHIND_MAX)
        self._membership = Membership(
            opened.home, self.department, opened.node_key.public, self.ledger, self.blocks, self.peers,
            self._commit_own, config.snapshot.behind_blocks, self._replica.claimed_height, self.fail,
        )  # fmt: skip
        self._agreement.listeners += [self._membership.on_block, self._snapshots.on_block, self._note_appended]
        self._links.on_consensus, self._links.on_batch = self._driver.receive, self._inbox.receive
        self.peers.handle(REQUEST_KIND, BlockServer(self.blocks, lambda: self.ledger.height).serve)
        self.collector = self._make_collector()
        self._links.on_up += [self._on_up, self._exchange.on_connected, self.collector.book.on_up]
        self.peers.handle(STANDING_KIND, self.collector.book.serve)

    def _make_collector(self) -> Collector:
        home, consensus = self._opened.home, self._opened.config.consensus
        return Collector(
            self.department, self.ledger, self._agreement, self._driver, self._mempool, self.peers,
            self._replica.situation, self._exchange.status, {"chain": home.chain, "vault": home.vault},
            (self._around.wall_ms, self._around.monotonic_ms), 2 * consensus.view_timeout_max_ms,
            self._around.free_bytes,
        )  # fmt: skip

    # --- life

    async def start(self) -> None:
        """Listens to peers and begins to take part. Errors: node.address."""
        await self._exchange.recover()
        address = self._opened.config.listen.peer
        with listening_on(address):
            await self.peers.start(*split_address(address))
        self._driver.post(Started())
        self._driving = self._upkeep.spawn(self._driver.run())
        for work in (
            self._batcher.run(),
            self._inbox.run(),
            self._follow_blocks(),
            self._exchange.run(),
            self._index.run(),
            self._evidence.run(),
            self._membership.run(self._catch_up),
            self._level.run(),
            self._snapshots.run(),
            self.collector.run(),
            self._scrub.run(),
        ):
            self._upkeep.spawn(work)
        if self._opened.records is None:
            self._upkeep.spawn(come_back(lambda: self._agreement.observer, self.ledger, self._commit_own))
        if self._phones.sweeper is not None:
            self._upkeep.spawn(self._phones.sweeper.run())
        log.info("node %s at height %d listens to peers on %s", self.department, self.ledger.height, address)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set, or `must_reopen`. Raises what the node must not survive."""
        stopped = asyncio.ensure_future(stop.wait())
        ends: list[asyncio.Future[Any]] = [stopped, self._upkeep.failed, self.peers.failed]
        ends += [self._snapshots.reopen, self._membership.reopen]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        for end in ends[1:]:
            if end.done() and not end.cancelled():
                end.result()

    @property
    def must_reopen(self) -> bool:
        """A snapshot or the next key lies ready: after `stop` the folder is opened again, and a node made of it."""
        return self._snapshots.reopen.done() or self._membership.reopen.done()

    async def stop(self) -> None:
        """Orderly: no more work is taken, what is in hand is finished, stores are closed."""
        self._waiting.close()
        self._batcher.close()
        await self._catch_up.stop()
        await self._snapshots.stop()
        if self._driving is not None:
            self._driver.stop()
            await asyncio.wait([self._driving], timeout=STOP_S)
        await self._upkeep.cancel()
        await self.peers.close()
        await self._phones.close()
        self._opened.closing.close()
        log.info("node %s stopped at height %d", self.department, self.ledger.height)

    def fail(self, error: BaseException) -> None:
        """Something came up that the node must not survive: `run` raises it."""
        self._upkeep.fail(error)

    # --- between the parts

    def _on_up(self, department: str) -> None:
        self._driver.post(PeerConnected(department))

    async def _append_certified(self, block: Block, certificate: Certificate) -> None:
        async def append() -> Event | None:
            return await self._agreement.append_certified(block, certificate)

        await self._driver.perform(append)

    async def _note_appended(self, executed: ExecutedBlock) -> None:
        self._exchange.duties.follow(executed)
        await self._appended.put(executed)

    async def _follow_blocks(self) -> None:
        """Vault first, then whoever waits: who hears that a read is committed can fetch its values."""
        while True:
            executed = await self._appended.get()
            await self._exchange.on_block(executed)
            self._index.on_block(executed)
            self._book.on_block(executed)
            self._phones.kept.on_block(executed)
            self._pressure.block_appended(executed)
            self._waiting.block_appended(executed)
            self.metrics.block_appended(executed)

    async def _safeguard_all(self, pairs: Sequence[Pair]) -> list[KehuError | None]:
        return await self._phones.new_numbers.safeguard_all(pairs, self._exchange.safeguard_all)

    async def _commit_own(self, calls: Sequence[Call]) -> Committed:
        return await self._own.commit(self._opened.node_key, list(calls))

    # --- the façade

    def view(self) -> View:
        """The committed state."""
        return View(self.ledger.state.get)

    @property
    def height(self) -> int:
        return self.ledger.height

    def now_ms(self) -> int:
        return self._around.wall_ms()

    @property
    def is_ready(self) -> bool:
        """Linked to a quorum (itself included), not catching up, voting, and level with it since the start."""
        return (
            self._level.is_reached
            and self._links.is_quorum_linked
            and not self._catch_up.is_running
            and not self._snapshots.is_running
            and not self._agreement.is_observer
            and self._membership.is_member
        )

    def status(self) -> dict[str, Any]:
        view = self._agreement.view
        return {
            "is_ready": self.is_ready,
            "uptime_ms": self.now_ms() - self._started_ms,
            "view": None if view is None else view.view,
            "primary": None if view is None else view.primary,
            "view_is_active": view is not None and view.is_active,
            "is_observer": self._agreement.is_observer,
            "is_member": self._membership.is_member,
            "is_catching_up": self._catch_up.is_running or self._snapshots.is_running,
            "snapshot": self._snapshots.status(),
            "mempool_transactions": self._mempool.transactions,
            "pressure": self._pressure.status(),
            "state_entries": len(self.ledger.state),
            "state_cache_bytes": self.ledger.state.cache_bytes,
            "storage_memory_bytes": self._opened.storage_memory_bytes,
            "vault": {**self._opened.vault.status(), **self._exchange.status()},
            "phone": self._phones.status(),
            **self._scrub.status(),
            "accusations": self._agreement.accusations.total(),
            "peers": [peer.status() for peer in self.peers.health()],
        }

    def why(self, *, is_operator: bool) -> dict[str, Any]:
        """Why the network does or does not progress, as this node sees it."""
        return self.collector.why(is_operator=is_operator)

    def protocol(self) -> dict[str, Any]:
        return describe_protocol(self.ledger, self.department, self.collector.spoken_now())

    async def submit(self, envelopes: Sequence[bytes], values: Sequence[VaultValue]) -> list[Admission]:
        self._membership.require_member()
        admissions = await self._submit(envelopes, values)
        for item in admissions:
            if item.error is not None:
                self.collector.count_refusal(item.error.code)
        self.metrics.admitted(item.transaction_id for item in admissions if item.error is None and item.transaction_id)
        return admissions

    async def wait_committed(self, transaction_id: bytes, timeout_s: float) -> Committed | None:
        return await self._waiting.wait(transaction_id, timeout_s)

    async def wait_all(self, transaction_ids: Sequence[bytes], timeout_s: float) -> Mapping[bytes, Committed]:
        return await self._waiting.wait_all(transaction_ids, timeout_s)

    def _is_pending(self, transaction_id: bytes) -> bool:
        """Whether this node let it in and no block has executed it; what it does not know here the disk knows."""
        return transaction_id in self._mempool and transaction_id not in self.ledger.recent

    def find(self, transaction_id: bytes) -> Committed | Literal["pending", "unknown"]:
        if self._is_pending(transaction_id):
            return "pending"
        found = find_committed(self.blocks, transaction_id)
        if found is not None:
            return found
        return "pending" if transaction_id in self._mempool else "unknown"

    async def disclose(self, transaction_id: bytes, key: bytes) -> Sequence[VaultValue]:
        await self._level.require(OBTAIN_S)
        found = find_committed(self.blocks, transaction_id)
        if found is None:
            raise KehuError(ACCESS_NOT_COMMITTED, transaction=transaction_id)
        block = self.blocks.block(found.height)
        _, transaction = block.transactions()[found.index]
        if found.receipt.is_ok:
            await self._exchange.obtain(allowed_values(transaction, found.receipt, key))
        return await asyncio.to_thread(
            disclose,
            self._opened.vault,
            self.view(),
            transaction,
            found.receipt,
            block.header.time_ms,
            key,
            self.now_ms(),
        )

    async def search(self, key: bytes, person: str, number: int, salt: bytes, query: Query) -> Found:
        return await self._search_desk.answer(key, person, number, salt, query)

    async def preview(self, key: bytes, calls: Sequence[Call]) -> Preview:
        return await preview_calls(self.ledger, self._index, key, self.department, calls, self.now_ms())

    async def vault_report(self, after: str | None, limit: int) -> Mapping[str, Any]:
        return await self._exchange.report(after, limit)

    async def attest_phone(self, key: bytes, customer: str, phone: str, phone_salt: bytes) -> PhoneAnswer:
        return await self._phones.desk.attest(key, customer, phone, phone_salt)

    async def check_phone(self, key: bytes, customer: str, max_age_ms: int | None) -> Mapping[str, Any]:
        await self._level.require(OBTAIN_S)
        return await self._phones.desk.check(key, customer, max_age_ms)

    async def due_phones(self, key: bytes, after: int, limit: int) -> DuePage:
        return await self._phones.desk.due(key, after, limit)

    async def find_duplicates(self, person: str, phones: Sequence[str], purpose: str) -> Sequence[Sequence[str]]:
        await self._level.require(OBTAIN_S)
        return await self._duplicates.find(person, phones, purpose)

    def backup(self, *, with_vault: bool) -> Iterator[tuple[int, bytes]]:
        return backup_of(self._opened, with_vault=with_vault)

    def subscribe(self) -> AsyncIterator[Mapping[str, Any]]:
        return self._waiting.subscribe()

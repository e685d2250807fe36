"""The vault among the departments: everything that makes its content follow the chain. What the service holds.

    safeguard    before a transaction is admitted: its values are durable here and at others (node/vault/replication.py)
    on_block     after a block is appended: staged values go live or are destroyed, changes of entitlement are followed
    recover      at the start, before anything is served: leftovers of the last run, erasures that it missed
    run          in the background: refilling (node/vault/refill.py), receipts of erasures (node/vault/erasure.py),
                 retention periods (node/vault/retention.py), grants that expire (node/vault/expiry.py)

and three services to other departments: vault.stage, vault.fetch, vault.held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chain.batch import ReadTransaction
from chain.blocks import BlockStore, ExecutedBlock
from chain.crypto import Verifier, verify
from chain.errors import KehuError
from chain.execution import is_execution
from chain.ledger import Ledger
from chain.transaction import Transaction
from node.aside import Blocking, thread
from node.intake.waiting import Committed, find_committed
from node.together import run_together
from node.vault.affected import affected_by
from node.vault.commitments import commitments
from node.vault.duty import Duties, Duty
from node.vault.erasure import Erasures
from node.vault.expiry import Expiries
from node.vault.refill import AlwaysLevel, Level, Refill, VaultTiming
from node.vault.release import FETCH, HELD, ReleaseServer, Submit
from node.vault.replication import Replication
from node.vault.report import VaultReport
from node.vault.retention import Retention
from node.vault.rounds import StagingRounds
from node.vault.rows import Digests
from node.vault.seal import RecordId, Wanted
from node.vault.shares import STAGE, Peers
from node.vault.staging import StageServer
from node.vault.store import Vault
from node.vault.values import VaultValue

EXPIRY_WAIT_S = 60.0
"""The clock may be set meanwhile, so the wait for the next expiry is never longer."""
EXPIRED_AT_ONCE = 64
"""Grants that ended and are looked at before blocks have their turn."""
OBTAIN_S = 5.0
"""How long a reader is made to wait for a value that is on its way from another department."""


class VaultExchange:
    """Made on the event loop, and used from its thread; disk work goes to other threads by itself."""

    def __init__(
        self,
        department: str,
        ledger: Ledger,
        blocks: BlockStore,
        vault: Vault,
        peers: Peers,
        submit_own: Submit,
        now_ms: Callable[[], int],
        timing: VaultTiming | None = None,
        check: Verifier = verify,
        read_transaction: ReadTransaction = Transaction.from_bytes,
        make_blocking: Callable[[], Blocking] = thread,
        level: Level | None = None,
    ) -> None:
        """`submit_own` signs calls with this node's key and returns once they are committed with "ok"; `check` verifies
        the signatures of transactions that come with values."""
        timing = timing or VaultTiming()
        self.duties = Duties(department, ledger, now_ms)
        self._ledger, self._blocks, self._vault = ledger, blocks, vault
        self._lock, self._following = asyncio.Lock(), make_blocking()
        self._grace_s = timing.grace_s
        self._rounds = StagingRounds(vault, make_blocking())
        self._replication = Replication(self.duties, vault, self._rounds, peers, timing.replication)
        self._level = level or AlwaysLevel()
        self.refill = Refill(self.duties, vault, peers, self._lock, timing, self._level)
        self._erasures = Erasures(self.duties, vault, submit_own, timing.erasure)
        departments = ledger.validators(ledger.height + 1).departments
        self.retention = Retention(self.duties, departments, submit_own, timing.retention)
        self._expiries = Expiries()
        self._expiry_came = asyncio.Event()
        self.report = VaultReport(self.duties, vault, self.refill, peers).report
        stage = StageServer(
            self.duties, ledger, self._rounds, self._settle_late, check, read_transaction, make_blocking
        )
        release = ReleaseServer(self.duties, vault, submit_own)
        peers.handle(STAGE, stage.serve)
        peers.handle(FETCH, release.serve_fetch)
        peers.handle(HELD, release.serve_held)

    async def safeguard(self, transaction: Transaction, values: Sequence[VaultValue]) -> None:
        """Returns once the values are durable here and, as the policy asks, at others. Errors: see Replication."""
        (error,) = await self.safeguard_all([(transaction, values)])
        if error is not None:
            raise error

    async def safeguard_all(self, pairs: Sequence[tuple[Transaction, Sequence[VaultValue]]]) -> list[KehuError | None]:
        """`safeguard` for many, with an error or None for each."""
        return await self._replication.safeguard(pairs)

    async def on_block(self, executed: ExecutedBlock) -> None:
        """Follows a block that has just been appended. When it returns, what the block committed can be disclosed, and
        what it erased is destroyed."""
        is_ok = {receipt.transaction_id: receipt.is_ok for receipt in executed.receipts if is_execution(receipt)}
        self.refill.giving_way.block_came()
        self.duties.follow(executed)
        view = self.duties.rows_now()
        affected, erased = affected_by(executed.writes, view), self._erasures.ordered_by(executed.writes)
        async with self._lock:
            duties = await self.duties.of_all([one for one in self._comparable(affected.records) if one not in erased])
            live, late = await self._following(self._follow, is_ok, duties, executed.block.header.height)
            if erased:  # takes a while, and nobody else need wait for it
                await asyncio.to_thread(self._erasures.destroy, erased)
            self.refill.note(duties, live, self._grace_s)
            if late:
                await self.refill.compare(self._comparable(sorted(late)), self._grace_s)
        if affected.tables:
            self.refill.walk(affected.tables)
        self._erasures.expect(erased)
        self._expiries.follow(executed.writes, view)
        self._expiry_came.set()  # the next one may be another, and the block's time have passed it

    def _comparable(self, records: Sequence[RecordId]) -> Sequence[RecordId]:
        """None while a chain that is behind the vault comes again; all records are looked at once it is level."""
        return records if self._level.is_reached else ()

    async def _look_at_expired(self) -> None:
        """Grants that have ended by themselves: whose copies they covered may have to go. Thousands may end in the same
        moment, and blocks have their turns meanwhile."""
        while (next_ms := self._expiries.next_ms) is not None and next_ms <= self.duties.now_ms():
            expired = self._expiries.passed(self.duties.now_ms(), self.duties.view(), EXPIRED_AT_ONCE)
            if expired.records:
                async with self._lock:
                    await self.refill.compare(self._comparable(expired.records), self._grace_s)
            if expired.tables:
                self.refill.walk(expired.tables)
            await asyncio.sleep(0)

    async def _keep_expiring(self) -> None:
        """Looks when the next grant expires, though no block may come."""
        while True:
            self._expiry_came.clear()
            next_ms = self._expiries.next_ms
            wait_s = None if next_ms is None else min(EXPIRY_WAIT_S, max(0.0, (next_ms - self.duties.now_ms()) / 1000))
            try:
                async with asyncio.timeout(wait_s):
                    await self._expiry_came.wait()
            except TimeoutError:
                await self._look_at_expired()

    def _follow(
        self, is_ok: Mapping[bytes, bool], duties: Mapping[RecordId, Duty], height: int
    ) -> tuple[dict[RecordId, Digests], set[RecordId]]:
        """What is live of the records that the block may have changed, once the vault is in step with it; and records
        of transactions that an earlier block had executed before they were staged."""
        committed, failed = [key for key, ok in is_ok.items() if ok], [key for key, ok in is_ok.items() if not ok]
        current = {record: duty.current for record, duty in duties.items()}
        live = self._vault.advance(committed, failed, current)
        late = self._settle_by_chain(self._vault.expiring(height))
        self._vault.expire(height)
        return live, self._records_of(late)

    def _settle_by_chain(self, transaction_ids: Iterable[bytes]) -> list[Committed]:
        """Settles or discards what the chain has executed already, which it gives; leaves the rest staged."""
        executed = []
        for transaction_id in transaction_ids:
            found = find_committed(self._blocks, transaction_id)
            if found is not None:
                (self._vault.settle if found.receipt.is_ok else self._vault.discard)(transaction_id)
                executed.append(found)
        return executed

    def _records_of(self, executed: Iterable[Committed]) -> set[RecordId]:
        """By now they may have newer values, and other holders."""
        transactions = [self._blocks.block(one.height).transactions()[one.index][1] for one in executed]
        return {RecordId(name.table, name.record) for one in transactions for name, _ in commitments(one)}

    async def _settle_late(self, transactions: Sequence[Transaction]) -> None:
        """Values that came after their transaction was committed."""
        records = {RecordId(name.table, name.record) for one in transactions for name, _ in commitments(one)}
        async with self._lock:
            await asyncio.to_thread(self._settle_by_chain, [transaction.id for transaction in transactions])
            await self.refill.compare(self._comparable(sorted(records)), self._grace_s)

    async def obtain(self, wanted: Sequence[Wanted]) -> None:
        """Waits a little for values that a committed read allows and this vault has not fetched yet."""
        await self.refill.obtain(wanted, OBTAIN_S)

    async def recover(self) -> None:
        """Settles or destroys what the last run left staged, by what the chain says about each transaction, and
        destroys what was erased meanwhile. To be awaited before anything is served."""
        height, erased = self._ledger.height, self._erasures.ordered()
        async with self._lock:
            await asyncio.to_thread(self._settle_by_chain, list(self._vault.staged()))
            await asyncio.to_thread(self._vault.settle, *self._committed_in_the_state(height))
            await asyncio.to_thread(self._vault.expire, height)
            await asyncio.to_thread(self._erasures.destroy, erased)
        self._erasures.expect(erased)
        self._expiries.note(self.duties.rows("grants"))

    def _committed_in_the_state(self, height: int) -> list[bytes]:
        """Of what would expire, the transactions whose digests are the state's: a chain that begins with a snapshot has
        no block of them, and this may be the only vault with their values."""
        expiring = self._vault.expiring(height)
        return [one for one in expiring if any(map(self.duties.is_current, self._vault.staged_for(one)))]

    async def run(self) -> None:
        """Until cancelled, after `recover`: looks at every record once, then follows. A failing disk ends it with its
        error."""
        self.refill.walk()
        try:
            await run_together(self.refill.run, self._erasures.run, self.retention.run, self._keep_expiring)
        finally:
            await self._replication.close()
            await self._rounds.close()

    def on_connected(self, _department: str) -> None:
        """A department can be reached again."""
        self.refill.hurry()

    def status(self) -> dict[str, Any]:
        """Public facts, JSON values: how many values are lacking or too many here."""
        return {
            "missing": len(self.refill.missing),
            "surplus": len(self.refill.surplus),
            "is_walking": self.refill.is_walking,
            "erasures_unconfirmed": self._erasures.unconfirmed,
        }

"""The vault among the departments: everything that makes its content follow the chain. What the service holds.

    safeguard    before a transaction is admitted: its values are durable here and at others (node/vault_replication.py)
    on_block     after a block is appended: staged values go live or are destroyed, changes of entitlement are followed
    run          in the background: leftovers of the last run, then refilling (node/vault_refill.py)

and three services to other departments: vault.stage, vault.fetch, vault.held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from chain.blocks import BlockStore, ExecutedBlock
from chain.errors import KehuError
from chain.ledger import Ledger
from chain.transaction import Transaction
from node.vault import Vault
from node.vault_duty import Duties, affected_by, commitments
from node.vault_refill import Refill, VaultTiming
from node.vault_release import FETCH, HELD, ReleaseServer, Submit
from node.vault_replication import Replication
from node.vault_seal import RecordId, Wanted
from node.vault_shares import STAGE, Peers
from node.vault_staging import StageServer
from node.vault_values import VaultValue
from node.waiting import find_committed

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
    ) -> None:
        """`submit_own` signs calls with this node's key and returns once they are committed with "ok"."""
        timing = timing or VaultTiming()
        self.duties = Duties(department, ledger, now_ms)
        self._ledger, self._blocks, self._vault = ledger, blocks, vault
        self._lock = asyncio.Lock()
        self._grace_s = timing.grace_s
        self._replication = Replication(self.duties, vault, peers, timing.replication)
        self.refill = Refill(self.duties, vault, peers, self._lock, timing)
        stage = StageServer(self.duties, ledger, blocks, vault, self._settle_late)
        release = ReleaseServer(self.duties, vault, submit_own)
        peers.handle(STAGE, stage.serve)
        peers.handle(FETCH, release.serve_fetch)
        peers.handle(HELD, release.serve_held)

    async def safeguard(self, transaction: Transaction, values: Sequence[VaultValue]) -> None:
        """Returns once the values are durable here and, as the policy asks, at others. Errors: see Replication."""
        await self._replication.safeguard(transaction, values)

    async def replicate(self, pairs: Sequence[tuple[Transaction, Sequence[VaultValue]]]) -> list[KehuError | None]:
        """`safeguard` for many, with an error or None for each."""
        return await self._replication.replicate(pairs)

    async def on_block(self, executed: ExecutedBlock) -> None:
        """Follows a block that has just been appended. When it returns, what the block committed can be disclosed."""
        ran = {transaction_id for transaction_id, _ in executed.executed}
        is_ok: dict[bytes, bool] = {}
        for receipt in executed.receipts:
            if receipt.transaction_id in ran:  # the first is the execution, a second one the refused duplicate
                is_ok.setdefault(receipt.transaction_id, receipt.is_ok)
        affected = affected_by(executed.writes, self.duties.view())
        async with self._lock:
            await asyncio.to_thread(self._settle, is_ok, executed.block.header.height)
            await self.refill.compare(affected.records, self._grace_s)
        if affected.tables:
            self.refill.walk(affected.tables)

    def _settle(self, is_ok: dict[bytes, bool], height: int) -> None:
        self._vault.settle(*(key for key, ok in is_ok.items() if ok))
        self._vault.discard(*(key for key, ok in is_ok.items() if not ok))
        self._settle_by_chain(key for key, expires in self._vault.staged().items() if expires <= height)
        self._vault.expire(height)

    def _settle_by_chain(self, transaction_ids: Iterable[bytes]) -> None:
        """Settles or discards what the chain has executed already; leaves the rest staged."""
        for transaction_id in transaction_ids:
            found = find_committed(self._blocks, transaction_id)
            if found is not None:
                (self._vault.settle if found.receipt.is_ok else self._vault.discard)(transaction_id)

    async def _settle_late(self, transactions: Sequence[Transaction]) -> None:
        """Values that came after their transaction was committed."""
        records = {RecordId(name.table, name.record) for one in transactions for name, _ in commitments(one)}
        async with self._lock:
            await asyncio.to_thread(self._settle_by_chain, [transaction.id for transaction in transactions])
            await self.refill.compare(sorted(records), self._grace_s)

    async def obtain(self, wanted: Sequence[Wanted]) -> None:
        """Waits a little for values that a committed read allows and this vault has not fetched yet."""
        await self.refill.obtain(wanted, OBTAIN_S)

    async def recover(self) -> None:
        """Settles or destroys what the last run left staged, by what the chain says about each transaction."""
        height = self._ledger.height
        async with self._lock:
            await asyncio.to_thread(self._settle_by_chain, list(self._vault.staged()))
            await asyncio.to_thread(self._vault.expire, height)

    async def run(self) -> None:
        """Until cancelled: recover, look at every record once, then follow. A failing disk ends it with its error."""
        try:
            await self.recover()
            self.refill.walk()
            await self.refill.run()
        finally:
            await self._replication.close()

    def on_connected(self, _department: str) -> None:
        """A department can be reached again."""
        self.refill.hurry()

    def status(self) -> dict[str, Any]:
        """Public facts, JSON values: how many values are lacking or too many here."""
        return {
            "missing": len(self.refill.missing),
            "surplus": len(self.refill.surplus),
            "is_walking": self.refill.is_walking,
        }

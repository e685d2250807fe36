"""Holding another department's values before their transaction is proposed: the holder's side of `vault.stage`.

The holder doesn't take the author's word: it checks the signature, that the values are those which the envelope
commits to, and by its own state that it may hold them. Its answer says that they are on its disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from chain import codec
from chain.batch import ReadTransaction
from chain.crypto import Verifier, verify
from chain.errors import KehuError
from chain.execution import TRANSACTION_EXPIRED, TRANSACTION_TOO_FAR
from chain.ledger import Ledger
from chain.transaction import Transaction
from contracts.errors import VAULT_NOT_ENTITLED
from node.aside import Blocking, thread
from node.vault.duty import Duties
from node.vault.planning import Plan
from node.vault.rounds import StagingRounds
from node.vault.shares import (
    OK,
    REQUEST_BYTES_MAX,
    TRANSACTIONS_MAX,
    VAULT_TOO_MANY_VALUES,
    checked_share,
    staging_of,
)
from node.vault.staged import Staging
from node.vault.values import VaultValue, decode_values


class StageServer:
    """`on_late` is told of transactions that were committed before their values came."""

    def __init__(
        self,
        duties: Duties,
        ledger: Ledger,
        rounds: StagingRounds,
        on_late: Callable[[Sequence[Transaction]], Awaitable[None]],
        check: Verifier = verify,
        read_transaction: ReadTransaction = Transaction.from_bytes,
        make_blocking: Callable[[], Blocking] = thread,
    ) -> None:
        self._duties, self._ledger, self._rounds = duties, ledger, rounds
        self._on_late, self._check, self._read_transaction = on_late, check, read_transaction
        self._parsing = make_blocking()

    async def serve(self, department: str, payload: bytes) -> bytes:
        """Stages what `department`'s node sends, as far as this node may hold it. Errors: codec.*, signature.*,
        vault.too_many_values."""
        received = await self._parsing(self._parse, payload)
        plans = await self._duties.plan_to_hold([transaction for transaction, _ in received], department)
        codes: dict[bytes, str] = {}
        stagings: list[Staging] = []
        for (transaction, values), plan in zip(received, plans, strict=True):
            try:
                stagings.append(self._accept(plan, values, department))
                codes[transaction.id] = OK
            except KehuError as error:
                codes[transaction.id] = error.code
        for staging, full in zip(stagings, await self._rounds.stage(stagings) if stagings else (), strict=True):
            if full is not None:
                codes[staging.transaction_id] = full.code
        late = {one.transaction_id for one in stagings if one.transaction_id in self._ledger.recent}
        if late:  # they were committed before
            await self._on_late([transaction for transaction, _ in received if transaction.id in late])
        return codec.encode_flat([[transaction_id, code] for transaction_id, code in codes.items()])

    def _parse(self, payload: bytes) -> list[tuple[Transaction, list[VaultValue]]]:
        (items,) = codec.fields([codec.decode(payload, REQUEST_BYTES_MAX)], "staged transactions", codec.is_list)
        if len(items) > TRANSACTIONS_MAX:
            raise KehuError(VAULT_TOO_MANY_VALUES, transactions=len(items), limit=TRANSACTIONS_MAX)
        received = []
        for item in items:
            envelope, values = codec.fields(item, "staged transaction", codec.is_bytes, codec.is_bytes)
            transaction = self._read_transaction(envelope)
            transaction.verify(self._duties.chain_id, self._check)
            received.append((transaction, decode_values(values)))
        return received

    def _accept(self, plan: Plan | KehuError, values: Sequence[VaultValue], source: str) -> Staging:
        if isinstance(plan, KehuError):
            raise plan
        share = checked_share(plan, values, self._duties.chain_id)
        expires, height = plan.transaction.expires_height, self._ledger.height
        if expires <= height:
            raise KehuError(TRANSACTION_EXPIRED, height=height, expires=expires)
        if expires > height + self._ledger.genesis.expiry_heights_max:
            raise KehuError(TRANSACTION_TOO_FAR, height=height, expires=expires)
        own = self._duties.department
        if not values or not all(own in holders for holders in share.holders):
            raise KehuError(VAULT_NOT_ENTITLED, department=own, transaction=share.id)
        return staging_of(share, source)

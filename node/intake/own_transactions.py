"""Transactions that the node itself sends, under its own or its gateway's key: releases, phone answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from chain import codec
from chain.crypto import Signer
from chain.errors import CATALOGUE, KehuError, define
from chain.ledger import Ledger
from chain.transaction import NONCE_BYTES, Call, Transaction, sign_transaction
from node.intake.admission import Admission
from node.intake.waiting import Committed
from node.newest import Newest
from node.vault.values import VaultValue

EXPIRY_HEIGHTS: Final = 1_000

COMMIT_TIMEOUT_S: Final = 15.0
UNDECIDED_MAX: Final = 256
"""Transactions that were not committed in time and are remembered."""

OWN_UNDECIDED = define(
    "node.outcome_unknown",
    "a transaction that this node sent was not committed in time; it may still be",
    "look it up: `kehu tx show ID`",
)

Submit = Callable[[Sequence[bytes], Sequence[VaultValue]], Awaitable[list[Admission]]]

Wait = Callable[[bytes, float], Awaitable[Committed | None]]


class OwnTransactions:
    """`draw(n)` gives n random bytes."""

    def __init__(self, ledger: Ledger, submit: Submit, wait: Wait, draw: Callable[[int], bytes]) -> None:
        self._ledger = ledger
        self._submit = submit
        self._wait = wait
        self._draw = draw
        self._undecided: Newest[bytes, Transaction] = Newest(UNDECIDED_MAX)
        """By key and calls: what was not committed in time, and nobody waits for now."""

    async def send(self, signer: Signer, calls: list[Call], values: Sequence[VaultValue] = ()) -> bytes:
        """Signs and admits; the id. Raises what admission refuses it with."""
        transaction = self._signed(signer, calls)
        await self._admit(transaction, values)
        return transaction.id

    async def commit(self, signer: Signer, calls: list[Call], values: Sequence[VaultValue] = ()) -> Committed:
        """As `send`, and waits until it is committed with "ok". Raises node.outcome_unknown, or the receipt's code.

        What could not be said of an earlier one with the same calls is waited for again while it may still be
        committed: where a quorum is lacking for days, whoever tries again and again would fill the mempool, and then
        the chain, with the same.
        """
        asked = _asked(signer, calls)
        transaction = self._undecided.pop(asked, None)
        if transaction is None or not self._may_commit(transaction):
            transaction = self._signed(signer, calls)
        await self._admit(transaction, values)
        committed = await self._wait(transaction.id, COMMIT_TIMEOUT_S)
        if committed is None:
            self._undecided.keep(asked, transaction)
            raise KehuError(OWN_UNDECIDED, transaction=transaction.id)
        if not committed.receipt.is_ok:
            raise KehuError(CATALOGUE[committed.receipt.code], **committed.receipt.details)
        return committed

    def _signed(self, signer: Signer, calls: list[Call]) -> Transaction:
        genesis = self._ledger.genesis
        expires = self._ledger.height + min(EXPIRY_HEIGHTS, genesis.expiry_heights_max)
        return sign_transaction(signer, genesis.chain_id, self._draw(NONCE_BYTES), expires, calls)

    def _may_commit(self, transaction: Transaction) -> bool:
        is_executed = transaction.id in self._ledger.recent
        return not is_executed and transaction.expires_height > self._ledger.height

    async def _admit(self, transaction: Transaction, values: Sequence[VaultValue]) -> None:
        (admission,) = await self._submit([transaction.raw], values)
        if admission.error is not None:
            raise admission.error


def _asked(signer: Signer, calls: list[Call]) -> bytes:
    return codec.encode([signer.public, [[call.name, call.args] for call in calls]])

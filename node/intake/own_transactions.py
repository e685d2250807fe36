"""Transactions that the node itself sends, under its own or its gateway's key: releases, phone answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from chain.crypto import Signer
from chain.errors import CATALOGUE, KehuError, define
from chain.ledger import Ledger
from chain.transaction import NONCE_BYTES, Call, sign_transaction
from node.intake.admission import Admission
from node.intake.waiting import Committed
from node.vault.values import VaultValue

EXPIRY_HEIGHTS: Final = 1_000

COMMIT_TIMEOUT_S: Final = 15.0

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

    async def send(self, signer: Signer, calls: list[Call], values: Sequence[VaultValue] = ()) -> bytes:
        """Signs and admits; the id. Raises what admission refuses it with."""
        genesis = self._ledger.genesis
        expires = self._ledger.height + min(EXPIRY_HEIGHTS, genesis.expiry_heights_max)
        transaction = sign_transaction(signer, genesis.chain_id, self._draw(NONCE_BYTES), expires, calls)
        (admission,) = await self._submit([transaction.raw], values)
        if admission.error is not None:
            raise admission.error
        return transaction.id

    async def commit(self, signer: Signer, calls: list[Call], values: Sequence[VaultValue] = ()) -> Committed:
        """As `send`, and waits until it is committed with "ok". Raises node.outcome_unknown, or the receipt's code."""
        transaction_id = await self.send(signer, calls, values)
        committed = await self._wait(transaction_id, COMMIT_TIMEOUT_S)
        if committed is None:
            raise KehuError(OWN_UNDECIDED, transaction=transaction_id)
        if not committed.receipt.is_ok:
            raise KehuError(CATALOGUE[committed.receipt.code], **committed.receipt.details)
        return committed

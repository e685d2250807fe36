"""Each batch's signatures are verified once per node, off the event loop where that pays.

A batch comes twice, by gossip and inside a block. Its id is a digest over all of it, signatures included, so a
verified id with the same department key needs no second look. libsodium lets go of the interpreter while it
verifies; batches of more than a few transactions go to a thread so that consensus messages don't wait.
"""

from __future__ import annotations

import asyncio
from typing import Final

from chain.batch import BATCH_UNKNOWN_DEPARTMENT, Batch
from chain.errors import KehuError
from chain.validators import ValidatorSet

REMEMBERED_MAX: Final = 20_000
INLINE_TRANSACTIONS_MAX: Final = 8


class BatchVerifier:
    def __init__(self, chain_id: bytes) -> None:
        self._chain_id = chain_id
        self._verified: dict[bytes, bytes] = {}

    def remember(self, batch: Batch, key: bytes) -> None:
        """`batch` has been verified under `key`, or signed with it."""
        self._verified[batch.id] = key
        if len(self._verified) > REMEMBERED_MAX:
            del self._verified[next(iter(self._verified))]

    def verify(self, batch: Batch, validators: ValidatorSet) -> None:
        """Raises unless all signatures are good (chain.ledger.VerifyBatch)."""
        key = self._key_of(batch, validators)
        if self._verified.get(batch.id) != key:
            batch.verify(validators, self._chain_id)
            self.remember(batch, key)

    async def verify_aside(self, batch: Batch, validators: ValidatorSet) -> None:
        """As `verify`, without holding up the event loop for a large batch."""
        key = self._key_of(batch, validators)
        if self._verified.get(batch.id) == key:
            return
        if len(batch.transactions) <= INLINE_TRANSACTIONS_MAX:
            batch.verify(validators, self._chain_id)
        else:
            await asyncio.to_thread(batch.verify, validators, self._chain_id)
        self.remember(batch, key)

    def _key_of(self, batch: Batch, validators: ValidatorSet) -> bytes:
        key = validators.key_of(batch.department)
        if key is None:
            raise KehuError(BATCH_UNKNOWN_DEPARTMENT, department=batch.department)
        return key

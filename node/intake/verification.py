"""Each signature is verified once per node, off the event loop where that pays.

A batch comes twice, by gossip and inside a block. Its id is a digest over all of it, signatures included, so a
verified id with the same department key needs no second look. A transaction may have come before, with its values:
`RememberedSignatures` knows by everything that went into a verification which were good. libsodium lets go of the
interpreter while it verifies; batches of more than a few transactions go to a thread so that consensus messages don't
wait.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from typing import Final

from chain.batch import BATCH_UNKNOWN_DEPARTMENT, Batch
from chain.crypto import Verifier, verify
from chain.errors import KehuError
from chain.validators import ValidatorSet
from node.newest import Newest

REMEMBERED_MAX: Final = 20_000
INLINE_TRANSACTIONS_MAX: Final = 8


class RememberedSignatures:
    """A `chain.crypto.Verifier` that looks at each good signature once. For any thread."""

    def __init__(self) -> None:
        self._good: Newest[tuple[str, bytes, bytes, bytes, bytes], None] = Newest(REMEMBERED_MAX)
        self._lock = threading.Lock()

    def __call__(self, key: bytes, purpose: str, chain_id: bytes, payload: bytes, signature: bytes) -> bool:
        asked = (purpose, chain_id, key, signature, hashlib.sha256(payload).digest())
        if asked in self._good:
            return True
        if not verify(key, purpose, chain_id, payload, signature):
            return False
        with self._lock:
            self._good.keep(asked, None)
        return True


class BatchVerifier:
    """`check` verifies a signature; parts of a node that see the same transactions share one that remembers."""

    def __init__(self, chain_id: bytes, check: Verifier = verify) -> None:
        self._chain_id = chain_id
        self.check = check
        self._verified: Newest[bytes, bytes] = Newest(REMEMBERED_MAX)

    def remember(self, batch: Batch, key: bytes) -> None:
        """`batch` has been verified under `key`, or signed with it."""
        self._verified.keep(batch.id, key)

    def verify(self, batch: Batch, validators: ValidatorSet) -> None:
        """Raises unless all signatures are good (chain.ledger.VerifyBatch)."""
        key = self._key_of(batch, validators)
        if self._verified.get(batch.id) != key:
            batch.verify(validators, self._chain_id, self.check)
            self.remember(batch, key)

    def is_good(self, batch: Batch, validators: ValidatorSet) -> bool:
        """Whether `verify` raises nothing."""
        try:
            self.verify(batch, validators)
        except KehuError:
            return False
        return True

    async def verify_aside(self, batch: Batch, validators: ValidatorSet) -> None:
        """As `verify`, without holding up the event loop for a large batch."""
        key = self._key_of(batch, validators)
        if self._verified.get(batch.id) == key:
            return
        if len(batch.transactions) <= INLINE_TRANSACTIONS_MAX:
            batch.verify(validators, self._chain_id, self.check)
        else:
            await asyncio.to_thread(batch.verify, validators, self._chain_id, self.check)
        self.remember(batch, key)

    def _key_of(self, batch: Batch, validators: ValidatorSet) -> bytes:
        key = validators.key_of(batch.department)
        if key is None:
            raise KehuError(BATCH_UNKNOWN_DEPARTMENT, department=batch.department)
        return key

"""A department that was removed, or given another key, while it was away learns it: former members are told, and
believe only what is proven.

Whoever proves the key by which the chain knew its department gets the receipts of all changes of membership up to now
(docs/spec/membership.md, "Following changes without replay"). It follows them from genesis on. If the newest set does
not have its department, its node stops; if it has the department by the key that lies ready, the node takes that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from chain.blocks import BlockStore
from chain.errors import KehuError, define
from chain.following import KnownSets
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.light import prove_receipt
from chain.state import View
from chain.validators import ValidatorSet

BYTES_MAX: Final = 1_000_000
"""Of all proofs together: some hundreds of changes. No more than the first ones are told."""

MEMBERSHIP_REMOVED = define(
    "membership.removed",
    "the departments have removed this node's department, as its own chain or their proof says",
    "nothing, if that was agreed: archive the folder or destroy it as your rules say. Else ask the administration",
)

log = logging.getLogger("kehu.membership")


class Farewells:
    """What to tell former members."""

    def __init__(self, ledger: Ledger, blocks: BlockStore) -> None:
        self._ledger, self._blocks = ledger, blocks
        self._made: tuple[tuple[int, int], Sequence[bytes]] = ((0, 0), ())
        """What was told last, with the epoch and the first block that it was made of."""

    async def tell(self, department: str, key: bytes) -> Sequence[bytes]:
        """The receipt proofs of the changes, if that key was once the node's of that department."""
        row = View(self._ledger.state.get).get("keys", key.hex())
        if row is None or (row["kind"], row["department"]) != ("node", department):
            return ()
        epoch = self._ledger.validators(self._ledger.height + 1).epoch
        made_of = epoch, self._blocks.first()[0]  # behind a snapshot older blocks come later
        if self._made[0] != made_of:
            self._made = made_of, await asyncio.to_thread(self._prove, epoch)
        return self._made[1]

    def _prove(self, epoch: int) -> Sequence[bytes]:
        view, found, total = View(self._ledger.state.get), [], 0
        for number in range(1, epoch + 1):
            row = view.get("memberships", str(number))
            proof = None if row is None else prove_transaction(self._blocks, row["transaction"])
            if proof is None or (total := total + len(proof) + 5) > BYTES_MAX:
                break  # of blocks that are not here (a snapshot), or too many
            found.append(proof)
        return tuple(found)


def prove_transaction(blocks: BlockStore, transaction_id: bytes) -> bytes | None:
    """The receipt proof of an executed transaction; None if its block is not here."""
    location = blocks.find(transaction_id)
    certificate = None if location is None else blocks.certificate(location.height)
    if location is None or certificate is None:
        return None
    header, receipts = blocks.block(location.height).header, blocks.receipt_bytes(location.height)
    return prove_receipt(header, certificate, receipts, location.index).to_bytes()


def read_newest(genesis: Genesis, proofs: Sequence[bytes], epoch: int) -> tuple[int, ValidatorSet] | None:
    """(activation height, set) that these proofs come to, if they prove one. `epoch`: of the newest set that this node
    knows itself: proofs that end before it are of a time before the department came."""
    try:
        known = KnownSets(genesis, proofs)
    except KehuError as error:
        log.warning("a node said farewell and proved nothing: %s", error)
        return None
    return known.newest if proofs and known.epoch >= epoch else None


def removal(department: str, told: tuple[int, ValidatorSet]) -> KehuError | None:
    """What ends the node of a department that is not in the newest set."""
    activation, newest = told
    if newest.key_of(department) is not None:
        return None
    return KehuError(MEMBERSHIP_REMOVED, department=department, height=activation, epoch=newest.epoch)

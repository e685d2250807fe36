"""Which set decides which height, for one who has the genesis and no state: followed by receipts of accepted changes.

docs/spec/membership.md, "Following changes without replay". Pure; nothing here believes a node.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from chain import codec
from chain.block import Header
from chain.errors import KehuError, define
from chain.genesis import Genesis
from chain.light import ReceiptProof
from chain.validators import ValidatorSet

ACCEPTED_SET: Final = "accepted_set"
CHANGES_MAX: Final = 1_024
"""Receipt proofs of changes in one file or answer."""

MEMBERSHIP_UNPROVEN = define(
    "proof.membership",
    "what the node gave as the acceptance of a change of membership does not prove one",
    "don't rely on the answer; ask another department's node",
)


class KnownSets:
    """The sets of a chain as far as they are proven, from genesis on."""

    def __init__(self, genesis: Genesis, changes: Iterable[bytes] = ()) -> None:
        """`changes`: receipt proofs of the accepted changes from epoch 1 on. Errors: as `follow`."""
        self._chain_id = genesis.chain_id
        self._sets: list[tuple[int, ValidatorSet]] = [(0, genesis.validators)]
        self._changes: list[bytes] = []
        for proof in changes:
            self.follow(ReceiptProof.from_bytes(proof))

    @property
    def newest(self) -> tuple[int, ValidatorSet]:
        """(activation height, set)."""
        return self._sets[-1]

    @property
    def epoch(self) -> int:
        """Of the newest set known."""
        return self._sets[-1][1].epoch

    def at(self, height: int) -> ValidatorSet:
        """Who decides `height`, if no further change is known."""
        return next(members for activation, members in reversed(self._sets) if activation <= height)

    def changes_to(self, height: int) -> tuple[bytes, ...]:
        """The receipt proofs that show who decides `height` to whoever has the genesis: as few as there can be."""
        return tuple(self._changes[: self.at(height).epoch])

    def follow(self, proof: ReceiptProof) -> None:
        """Takes the next set from the receipt of its acceptance. Errors: proof.*, certificate.*, codec.*."""
        height = Header.from_bytes(proof.header_bytes).height
        header, receipt = proof.verify(self.at(height), self._chain_id)
        found = [item for item in receipt.results if codec.is_map(item) and ACCEPTED_SET in item]
        if not receipt.is_ok or len(found) != 1:
            raise KehuError(MEMBERSHIP_UNPROVEN, transaction=receipt.transaction_id, height=height)
        members, activation = ValidatorSet.from_value(found[0][ACCEPTED_SET]), found[0].get("activation_height")
        if members.epoch != self.epoch + 1 or type(activation) is not int or activation <= header.height:
            raise KehuError(MEMBERSHIP_UNPROVEN, expected=self.epoch + 1, actual=members.epoch)
        if activation <= self._sets[-1][0]:
            raise KehuError(MEMBERSHIP_UNPROVEN, expected=self._sets[-1][0] + 1, actual=activation)
        self._sets.append((activation, members))
        self._changes.append(proof.to_bytes())

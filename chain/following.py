"""Which set decides which height, for one who has the genesis and no state: followed by receipts of accepted changes.

docs/spec/membership.md, "Following changes without replay". Pure; nothing here believes a node.
"""

from __future__ import annotations

from chain import codec
from chain.block import Header
from chain.errors import KehuError, define
from chain.genesis import Genesis
from chain.light import ReceiptProof
from chain.validators import ValidatorSet

ACCEPTED_SET = "accepted_set"

MEMBERSHIP_UNPROVEN = define(
    "proof.membership",
    "what the node gave as the acceptance of a change of membership does not prove one",
    "don't rely on the answer; ask another department's node",
)


class KnownSets:
    """The sets of a chain as far as they are proven, from genesis on."""

    def __init__(self, genesis: Genesis) -> None:
        self._chain_id = genesis.chain_id
        self._sets: list[tuple[int, ValidatorSet]] = [(0, genesis.validators)]

    @property
    def epoch(self) -> int:
        """Of the newest set known."""
        return self._sets[-1][1].epoch

    def at(self, height: int) -> ValidatorSet:
        """Who decides `height`, if no further change is known."""
        return next(members for activation, members in reversed(self._sets) if activation <= height)

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
        self._sets.append((activation, members))

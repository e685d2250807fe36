"""What must hold once everything is healed. Pure: exports and what clients were told in, broken promises out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from chain.block import Block
from chain.export import ExportBlock
from chain.receipt import OK, Receipt, decode_receipts
from tests.chaos.told import Outcome, Told

SHOWN_MAX: Final = 5
"""Of each kind of broken promise."""


@dataclass
class Chain:
    """One department's: `blocks` by height from 1 on; `ends`: transaction id -> [(height, receipt code)]."""

    blocks: list[tuple[bytes, bytes]] = field(default_factory=list)
    """(block id, state root)"""
    ends: dict[bytes, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def height(self) -> int:
        return len(self.blocks)


def read_chain(frames: Iterable[ExportBlock]) -> Chain:
    """Errors: ValueError for a gap in the heights."""
    chain = Chain()
    for frame in frames:
        if frame.height != chain.height + 1:
            raise ValueError(f"height {frame.height} follows {chain.height}")
        block = Block.from_bytes(frame.block)
        chain.blocks.append((block.id, block.header.state_root))
        for receipt in map(Receipt.from_bytes, decode_receipts(frame.receipts)):
            chain.ends[receipt.transaction_id].append((frame.height, receipt.code))
    return chain


def compare_chains(chains: Mapping[str, Chain]) -> list[str]:
    """One chain, equal roots: where departments differ, the lowest height of each pair."""
    wrongs = []
    (first, reference), *others = sorted(chains.items())
    for name, chain in others:
        if chain.height != reference.height:
            wrongs.append(f"{name} has {chain.height} blocks, {first} has {reference.height}")
        for height, (ours, theirs) in enumerate(zip(reference.blocks, chain.blocks, strict=False), start=1):
            if ours != theirs:
                what = "block" if ours[0] != theirs[0] else "state root"
                wrongs.append(f"{name} and {first} have another {what} at height {height}")
                break
        if chain.ends != reference.ends:
            wrongs.append(f"{name} and {first} have other receipts")
    return wrongs


def check_told(chain: Chain, told: Told) -> list[str]:
    """Nothing acknowledged lost, nothing applied twice, nothing refused applied, nothing there that nobody sent."""
    found: dict[str, list[str]] = defaultdict(list)
    for id_, intent in told.intents.items():
        ends = chain.ends.get(id_, [])
        applied = [height for height, code in ends if code == OK]
        if intent.outcome is Outcome.COMMITTED and applied != [intent.height]:
            found["acknowledged and lost"].append(f"{id_.hex()} of height {intent.height}: {ends}")
        if intent.outcome is Outcome.FAILED and (applied or (intent.height, intent.code) not in ends):
            found["said to have failed, and did not"].append(f"{id_.hex()}: {ends}")
        if intent.outcome is Outcome.REFUSED and applied:
            found["refused and applied"].append(f"{id_.hex()} ({intent.code}): {ends}")
    for id_, ends in chain.ends.items():
        if sum(code == OK for _, code in ends) > 1:
            found["applied twice"].append(f"{id_.hex()}: {ends}")
    return [f"{kind}: {len(cases)} ({'; '.join(cases[:SHOWN_MAX])})" for kind, cases in sorted(found.items())]

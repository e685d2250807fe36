"""Blocks from before, newest first: each is the one whose id the block above it names, so no certificate is needed to
believe it.

`past-blocks`  [height, offset] -> [[[block bytes, receipts bytes], ...], total, slice]

The list goes down from that height, as many as fit into `ANSWER_BYTES_MAX`. A block whose receipts alone are larger
comes in slices: the list is empty, `total` the length of encode([block bytes, receipts bytes]) and `slice` its bytes
from `offset` on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from chain import codec
from chain.block import BLOCK_BYTES_MAX, Block
from chain.blocks import BLOCK_NOT_HELD, BlockStore, check_past, past_puts
from chain.certificate import Certificate
from chain.errors import KehuError
from chain.execution import RESULTS_BYTES_MAX
from chain.receipt import decode_receipts, encode_receipts
from chain.snapshot import SNAPSHOT_WRONG

PAST_KIND: Final = "past-blocks"
ANSWER_BYTES_MAX: Final = 6 << 20
ANSWER_BLOCKS_MAX: Final = 500
PAIR_BYTES_MAX: Final = BLOCK_BYTES_MAX + 2 * RESULTS_BYTES_MAX
REQUEST_S: Final = 10.0

Ask = Callable[[str, bytes, float], Awaitable[bytes]]
"""(kind, request, timeout in s) -> response of one department; raises KehuError."""


def answer_past(blocks: BlockStore, head: int, request: bytes) -> bytes:
    """Reads the disk. Errors: block.not_held, codec.*."""
    top, offset = codec.fields(codec.decode(request, 64), "past request", codec.is_uint, codec.is_uint)
    first, _ = blocks.first()
    if not first <= top <= head:
        raise KehuError(BLOCK_NOT_HELD, height=top, first=first)
    rows: list[list[bytes]] = []
    size = 0
    for height in range(top, max(first, top - ANSWER_BLOCKS_MAX + 1) - 1, -1):
        row = [blocks.block_bytes(height), encode_receipts(blocks.receipt_bytes(height))]
        size += sum(map(len, row))
        if size > ANSWER_BYTES_MAX:
            break
        rows.append(row)
    if rows:
        return codec.encode_flat([rows, 0, b""])
    whole = codec.encode_flat([blocks.block_bytes(top), encode_receipts(blocks.receipt_bytes(top))])
    return codec.encode_flat([[], len(whole), whole[offset : offset + ANSWER_BYTES_MAX]])


class PastBlocks:
    """Where somebody who fetches older blocks stands: the next one down, its id and its certificate."""

    def __init__(self, height: int, block_id: bytes, certificate: Certificate | None) -> None:
        self.height, self.block_id, self.certificate = height, block_id, certificate

    @classmethod
    def below(cls, block: Block) -> PastBlocks:
        header = block.header
        return cls(header.height - 1, header.parent_id, block.parent_certificate)

    async def fetch(self, ask: Ask, down_to: int) -> dict[bytes, bytes]:
        """What is to be stored for the next blocks down, at least one; moves on behind them.

        Errors: of `ask`; block.mismatch, snapshot.wrong, codec.* if the answer is not those blocks.
        """
        puts: dict[bytes, bytes] = {}
        for block_bytes, receipts in await self._rows(ask):
            if self.height < down_to or self.certificate is None:
                break
            block, receipt_bytes = Block.from_bytes(block_bytes), decode_receipts(receipts)
            check_past(block, receipt_bytes, self.block_id)
            puts.update(past_puts(block, receipt_bytes, self.certificate))
            below = PastBlocks.below(block)
            self.height, self.block_id, self.certificate = below.height, below.block_id, below.certificate
        if not puts:
            raise KehuError(SNAPSHOT_WRONG, what="past blocks", height=self.height)
        return puts

    async def _rows(self, ask: Ask) -> list[list[bytes]]:
        rows, total, piece = await self._answer(ask, 0)
        if rows:
            return rows
        whole = bytearray(piece)
        while len(piece) == ANSWER_BYTES_MAX and len(whole) < total <= PAIR_BYTES_MAX:  # only the last one is shorter
            _, _, piece = await self._answer(ask, len(whole))
            whole += piece
        block, receipts = codec.fields(
            codec.decode(bytes(whole), PAIR_BYTES_MAX), "past block", codec.is_bytes, codec.is_bytes
        )
        return [[block, receipts]]

    async def _answer(self, ask: Ask, offset: int) -> tuple[list[list[bytes]], int, bytes]:
        raw = await ask(PAST_KIND, codec.encode_flat([self.height, offset]), REQUEST_S)
        pair = codec.list_of(codec.is_bytes, 2)
        rows, total, piece = codec.fields(
            codec.decode(raw, ANSWER_BYTES_MAX + (1 << 20)),
            "past blocks",
            codec.list_of(lambda row: pair(row) and len(row) == 2, ANSWER_BLOCKS_MAX),
            codec.is_uint,
            codec.is_bytes,
        )
        return rows, total, piece

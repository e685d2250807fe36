"""What this node gives to others: the state after certain blocks, piece by piece.

Every node pins the state after the same heights (multiples of `interval_blocks`), so that a node that takes a snapshot
can take its pieces from several. A pin costs the parts of the trie that change while it stands (chain/state.py). The
two newest are kept, and an older one for as long as somebody takes it; after a start there is one, of the head.

`snapshot-offers`  [1] -> [offer bytes, ...], the newest first; of [] with whole schedules (chain.snapshot.Offer)
`snapshot-piece`   [height, prefix] -> a piece (chain/snapshot.py)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chain import codec, trie
from chain.blocks import BlockStore, ExecutedBlock
from chain.errors import KehuError
from chain.ledger import Ledger
from chain.snapshot import SNAPSHOT_UNKNOWN, Offer, give_piece, part_at
from chain.state import Pin, key_digest
from chain.trie import nibble
from node.peers.exchange import PEER_BUSY

OFFERS_KIND: Final = "snapshot-offers"
PIECE_KIND: Final = "snapshot-piece"
SHORT_OFFERS: Final = codec.encode([1])
"""The request for offers of which each link says only what it adds."""
KEPT: Final = 2
KEPT_MAX: Final = 4
"""With those that somebody is taking."""
IN_USE_S: Final = 60.0
PREFIX_MAX: Final = 64
_BUCKET_NIBBLES: Final = 3
_REQUEST_BYTES_MAX: Final = 256

Pairs = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class _Offered:
    """`buckets`: the state's keys by the first nibbles of their digests, those of one bucket joined by zero bytes; made
    when the first piece is asked for, and forgotten when nobody asks any more. `raw`: the offer as it goes out, made
    when it is asked for."""

    offer: Offer
    pin: Pin
    asked_s: float
    buckets: list[bytes] | None = None
    raw: bytes = b""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class SnapshotOffers:
    """`clock_s` is monotone. To be used on the event loop, where blocks are applied."""

    def __init__(self, ledger: Ledger, blocks: BlockStore, interval_blocks: int, clock_s: Callable[[], float]) -> None:
        self._ledger, self._blocks, self._interval, self._clock_s = ledger, blocks, interval_blocks, clock_s
        self._offered: dict[int, _Offered] = {}
        self._add()

    async def on_block(self, executed: ExecutedBlock) -> None:
        """A block was appended and is the head."""
        if executed.block.header.height % self._interval == 0:
            self._add()
        self._let_go()

    def status(self) -> list[int]:
        """The heights on offer."""
        return sorted(self._offered)

    def _add(self) -> None:
        head = self._ledger.head
        if head.certificate is not None:
            offer = Offer(head.header.to_bytes(), head.certificate, self._blocks.links())
            self._offered[head.height] = _Offered(offer, self._ledger.state.pin(), self._clock_s() - IN_USE_S)

    def _let_go(self) -> None:
        used_after = self._clock_s() - IN_USE_S
        for offered in self._offered.values():
            if offered.asked_s <= used_after and not offered.lock.locked():
                offered.buckets = None
        for height in sorted(self._offered)[:-KEPT]:
            if self._offered[height].asked_s <= used_after or len(self._offered) > KEPT_MAX:
                self._ledger.state.unpin(self._offered.pop(height).pin)

    async def answer_offers(self, _department: str, request: bytes) -> bytes:
        newest_first = [self._offered[height] for height in sorted(self._offered)[::-1]]
        if request != SHORT_OFFERS:
            return codec.encode_flat([offered.offer.to_bytes(is_short=False) for offered in newest_first])
        for offered in newest_first:
            offered.raw = offered.raw or offered.offer.to_bytes()
        return codec.encode_flat([offered.raw for offered in newest_first])

    async def answer_piece(self, _department: str, request: bytes) -> bytes:
        """Errors: snapshot.unknown, codec.*."""
        height, prefix = codec.fields(
            codec.decode(request, _REQUEST_BYTES_MAX), "piece request", codec.is_uint, codec.is_bytes
        )
        offered = self._offered.get(height)
        if offered is not None and offered.pin.is_lost:
            self._ledger.state.unpin(self._offered.pop(height).pin)
            offered = None
        if offered is None or len(prefix) > PREFIX_MAX:
            raise KehuError(SNAPSHOT_UNKNOWN, height=height, prefix=prefix)
        offered.asked_s = self._clock_s()
        async with offered.lock:
            if offered.buckets is None:
                offered.buckets = await asyncio.to_thread(_buckets, offered.pin.all_keys())
            return await asyncio.to_thread(_piece, offered.pin, offered.buckets, list(offered.pin.gone), prefix)


def _buckets(keys: Iterable[bytes]) -> list[bytes]:
    buckets = [bytearray() for _ in range(16**_BUCKET_NIBBLES)]
    for key in keys:
        buckets[int.from_bytes(key_digest(key)[:2], "big") >> 4] += key + b"\x00"
    return [bytes(bucket) for bucket in buckets]


def _piece(pin: Pin, buckets: Sequence[bytes], all_gone: Sequence[bytes], prefix: bytes) -> bytes:
    gone = [key for key in all_gone if _is_under(key_digest(key), prefix)]
    return give_piece(pin.trie, prefix, lambda prefix: _values_under(pin, buckets, gone, prefix))


def _values_under(pin: Pin, buckets: Sequence[bytes], gone: Sequence[bytes], prefix: bytes) -> Pairs:
    start = 0
    for number in prefix[:_BUCKET_NIBBLES]:
        start = start * 16 + number
    width = 16 ** max(0, _BUCKET_NIBBLES - len(prefix))
    keys = b"".join(buckets[start * width : (start + 1) * width]).split(b"\x00")[:-1]
    if len(prefix) > _BUCKET_NIBBLES:
        keys = [key for key in keys if _is_under(key_digest(key), prefix)]
    found = ((key, pin.get(key)) for key in dict.fromkeys([*keys, *gone]))
    pairs = [(key, value) for key, value in found if value is not None]
    if len(pairs) < trie.count_of(part_at(pin.trie, prefix)):  # the store is a block ahead, and took keys away
        raise KehuError(PEER_BUSY, department="", kind=PIECE_KIND)
    return pairs


def _is_under(digest: bytes, prefix: bytes) -> bool:
    return all(nibble(digest, depth) == number for depth, number in enumerate(prefix))

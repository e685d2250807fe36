"""Where the chain lies in a store: key layout, and reading back what was appended.

  b/HEIGHT  block          c/HEIGHT  its commit certificate     r/HEIGHT  its receipts
  i/HEIGHT  ids executed   t/ID      [height, index]            s/KEY     current state value
  h/KEY 0x00 HEIGHT        state value from that height on (empty: gone)
  meta/head [height, block id]       meta/genesis  genesis bytes

HEIGHT is 8 bytes big-endian, so key order is height order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chain import codec
from chain.block import Block
from chain.certificate import Certificate
from chain.errors import KehuError, define
from chain.receipt import Receipt, decode_receipts, encode_receipts
from chain.state import State, Writes, state_key
from chain.store import Store
from chain.trie import Node

STORAGE_INCOMPLETE = define(
    "storage.incomplete",
    "the store lacks something that its head says it has",
    "stop the node, keep the folder for inspection, and let it sync again into an empty folder",
)
STORAGE_OTHER_CHAIN = define(
    "storage.other_chain",
    "the folder holds another network's chain",
    "point the node at its own folder, or at an empty one",
)

_VALUE_BYTES_MAX = 1 << 26


@dataclass(frozen=True, slots=True)
class ExecutedBlock:
    """A block with all that executing it gave, ready to be appended or forgotten."""

    block: Block
    receipts: list[Receipt]
    receipt_bytes: list[bytes]
    writes: Writes
    trie: Node
    executed: list[tuple[bytes, int]]


@dataclass(frozen=True, slots=True)
class Location:
    """Where a transaction stands: `index` counts the block's transactions from 0."""

    height: int
    index: int


def _at(prefix: bytes, height: int) -> bytes:
    return prefix + height.to_bytes(8, "big")


class BlockStore:
    """The appended chain as it lies in a `Store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def head(self) -> tuple[int, bytes] | None:
        raw = self._store.get(b"meta/head")
        if raw is None:
            return None
        height, block_id = codec.fields(codec.decode(raw, 64), "head", codec.is_uint, codec.is_digest)
        return height, block_id

    def require_genesis(self, genesis: bytes) -> None:
        """Raises if the folder belongs to another chain."""
        if self._store.get(b"meta/genesis") != genesis:
            raise KehuError(STORAGE_OTHER_CHAIN)

    def write_genesis(self, genesis: bytes, executed: ExecutedBlock) -> None:
        self._store.write({b"meta/genesis": genesis, **self._puts(executed)})

    def append(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        """Block, certificate, receipts, state, indexes and head in one durable step."""
        puts = self._puts(executed)
        puts[_at(b"c/", executed.block.header.height)] = certificate.to_bytes()
        gone = [b"s/" + key for key, value in executed.writes.items() if value is None]
        self._store.write(puts, gone)

    def _puts(self, executed: ExecutedBlock) -> dict[bytes, bytes]:
        height = executed.block.header.height
        puts = {
            _at(b"b/", height): executed.block.raw,
            _at(b"r/", height): encode_receipts(executed.receipt_bytes),
            _at(b"i/", height): codec.encode_flat([[id_, expires] for id_, expires in executed.executed]),
            b"meta/head": codec.encode_flat([height, executed.block.id]),
        }
        ran = {id_ for id_, _ in executed.executed}
        for index, receipt in enumerate(executed.receipts):
            if receipt.transaction_id in ran:  # not the later duplicate in the same block
                ran.remove(receipt.transaction_id)
                puts[b"t/" + receipt.transaction_id] = codec.encode_flat([height, index])
        for key, value in executed.writes.items():
            puts[_at(b"h/" + key + b"\x00", height)] = value or b""
            if value is not None:
                puts[b"s/" + key] = value
        return puts

    def block_bytes(self, height: int) -> bytes:
        return self._require(_at(b"b/", height), height)

    def block(self, height: int) -> Block:
        return Block.from_bytes(self.block_bytes(height))

    def certificate(self, height: int) -> Certificate | None:
        """The commit certificate of a height; genesis has none."""
        if height == 0:
            return None
        return Certificate.from_bytes(self._require(_at(b"c/", height), height))

    def receipt_bytes(self, height: int) -> list[bytes]:
        return decode_receipts(self._require(_at(b"r/", height), height))

    def executed_ids(self, height: int) -> list[tuple[bytes, int]]:
        pairs = codec.decode(self._require(_at(b"i/", height), height), _VALUE_BYTES_MAX, 1 << 20)
        return [(id_, expires) for id_, expires in pairs]

    def find(self, transaction_id: bytes) -> Location | None:
        raw = self._store.get(b"t/" + transaction_id)
        if raw is None:
            return None
        return Location(*codec.fields(codec.decode(raw, 32), "location", codec.is_uint, codec.is_uint))

    def load_state(self) -> State:
        return State({key[2:]: value for key, value in self._store.scan(b"s/")})

    def value_at(self, table: str, key: str, height: int) -> bytes | None:
        """The canonical bytes of a state value as of the end of block `height`."""
        found: bytes = b""
        for _, raw in self._versions(table, key, height):
            found = raw
        return found or None

    def _versions(self, table: str, key: str, height: int) -> Iterator[tuple[int, bytes]]:
        for stored, raw in self._store.scan(b"h/" + state_key(table, key) + b"\x00"):
            version = int.from_bytes(stored[-8:], "big")
            if version > height:
                return
            yield version, raw

    def _require(self, key: bytes, height: int) -> bytes:
        raw = self._store.get(key)
        if raw is None:
            raise KehuError(STORAGE_INCOMPLETE, what=key[:1].decode(), height=height)
        return raw

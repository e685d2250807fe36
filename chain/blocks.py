"""Where the chain lies in a store: key layout, and reading back what was appended.

  b/HEIGHT  block          c/HEIGHT  its commit certificate     r/HEIGHT  its receipts
  i/HEIGHT  ids executed   t/ID      [height, index]            s/KEY     current state value
  h/KEY 0x00 HEIGHT        state value from that height on (empty: gone)
  v/HEIGHT  link (chain.snapshot) that proves the validator schedule which block HEIGHT wrote
  meta/head [height, block id]       meta/genesis  genesis bytes
  meta/first [lowest height from which on all blocks are here, height of the snapshot that the state began with]

Without meta/first the store has every block from 1 on.

HEIGHT is 8 bytes big-endian, so key order is height order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from chain import codec, merkle
from chain.block import BLOCK_MISMATCH, Block, batches_root, certificate_digest
from chain.certificate import Certificate
from chain.errors import KehuError, define
from chain.execution import is_execution
from chain.light import StateProof
from chain.receipt import Receipt, decode_receipts, encode_receipts
from chain.snapshot import ScheduleLink
from chain.state import Writes, key_digest, state_key
from chain.store import Store
from chain.stored_state import CURRENT, Scratch, StoredState
from chain.trie import Node, prove

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

BLOCK_NOT_HELD = define(
    "block.not_held",
    "this node began with a snapshot and does not have blocks from before",
    "ask another department's node, or wait until this one has fetched them (`first_block` in its status)",
)

FORMER: Final = b"h/"
"""Values that were replaced: earlier releases stored them, and nobody reads them."""
_VALUE_BYTES_MAX = 1 << 26
_SCHEDULE = state_key("validators", "schedule")


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
        self._state: StoredState | None = None

    def head(self) -> tuple[int, bytes] | None:
        raw = self._store.get(b"meta/head")
        if raw is None:
            return None
        height, block_id = codec.fields(codec.decode(raw, 64), "head", codec.is_uint, codec.is_digest)
        return height, block_id

    def require_head(self) -> tuple[int, bytes]:
        head = self.head()
        if head is None:
            raise KehuError(STORAGE_INCOMPLETE, what="head")
        return head

    def require_genesis(self, genesis: bytes) -> None:
        """Raises if the folder belongs to another chain."""
        if self._store.get(b"meta/genesis") != genesis:
            raise KehuError(STORAGE_OTHER_CHAIN)

    def write_genesis(self, genesis: bytes, executed: ExecutedBlock) -> None:
        self._store.write({b"meta/genesis": genesis, **rows_of(executed)})

    def append(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        """Block, certificate, receipts, state, indexes and head in one durable step."""
        puts = {**rows_of(executed), **certified_rows(executed, certificate)}
        if self._state is not None:
            self._state.keep_replaced(executed.writes)
        gone = [CURRENT + key for key, value in executed.writes.items() if value is None]
        self._store.write(puts, gone)

    def block_bytes(self, height: int) -> bytes:
        return self._require(_at(b"b/", height), height)

    def block(self, height: int) -> Block:
        return Block.from_bytes(self.block_bytes(height))

    def receipts_raw(self, height: int) -> bytes:
        """The receipts of a height as they are stored."""
        return self._require(_at(b"r/", height), height)

    def certificate(self, height: int) -> Certificate | None:
        """The commit certificate of a height; genesis has none."""
        if height == 0:
            return None
        return Certificate.from_bytes(self.certificate_bytes(height))

    def certificate_bytes(self, height: int) -> bytes:
        """The commit certificate of a height but 0, as it is stored."""
        return self._require(_at(b"c/", height), height)

    def receipt_bytes(self, height: int) -> list[bytes]:
        return decode_receipts(self.receipts_raw(height))

    def executed_ids(self, height: int) -> list[tuple[bytes, int]]:
        pairs = codec.decode(self._require(_at(b"i/", height), height), _VALUE_BYTES_MAX, 1 << 20)
        return [(id_, expires) for id_, expires in pairs]

    def find(self, transaction_id: bytes) -> Location | None:
        raw = self._store.get(b"t/" + transaction_id)
        if raw is None:
            return None
        return Location(*codec.fields(codec.decode(raw, 32), "location", codec.is_uint, codec.is_uint))

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """Everything in the store that is of use, as of the moment the first pair is taken."""
        return (pair for pair in self._store.scan(b"") if not pair[0].startswith(FORMER))

    def load_state(self, scratch: Scratch | None = None) -> StoredState:
        """The state, which is to follow each block that is appended here."""
        self._state = StoredState(self._store, scratch)
        return self._state

    def first(self) -> tuple[int, int]:
        """(lowest height from which on all blocks are here, lowest height whose state is known)."""
        raw = self._store.get(b"meta/first")
        if raw is None:
            return 1, 0
        first, snapshot = codec.fields(codec.decode(raw, 32), "first", codec.is_uint, codec.is_uint)
        return first, snapshot

    def links(self) -> tuple[ScheduleLink, ...]:
        """How the validator schedule came about, from genesis on."""
        scanned = self._store.scan(b"v/")
        return tuple(ScheduleLink.from_value(codec.decode(raw, _VALUE_BYTES_MAX)) for _, raw in scanned)

    def prepend(self, puts: dict[bytes, bytes], first: int) -> None:
        """Older blocks (`block_puts`, with their certificates), down to height `first`, in one durable step."""
        self._store.write({**puts, b"meta/first": codec.encode_flat([first, self.first()[1]])})

    def _require(self, key: bytes, height: int) -> bytes:
        raw = self._store.get(key)
        if raw is None and height < self.first()[0]:
            raise KehuError(BLOCK_NOT_HELD, what=key[:1].decode(), height=height, first=self.first()[0])
        if raw is None:
            raise KehuError(STORAGE_INCOMPLETE, what=key[:1].decode(), height=height)
        return raw


def rows_of(executed: ExecutedBlock) -> dict[bytes, bytes]:
    """What a block adds to the store, beside what its certificate adds and the state values that it deletes."""
    height = executed.block.header.height
    puts = block_puts(executed.block, executed.receipt_bytes, executed.receipts, executed.executed)
    puts[b"meta/head"] = codec.encode_flat([height, executed.block.id])
    puts.update({CURRENT + key: value for key, value in executed.writes.items() if value is not None})
    return puts


def certified_rows(executed: ExecutedBlock, certificate: Certificate) -> dict[bytes, bytes]:
    """The certificate, and the link that proves the validator schedule if the block wrote it."""
    height = executed.block.header.height
    puts = {_at(b"c/", height): certificate.to_bytes()}
    schedule = executed.writes.get(_SCHEDULE)
    if schedule is not None:
        branches, leaf = prove(executed.trie, key_digest(_SCHEDULE))
        proof = StateProof(executed.block.header.to_bytes(), certificate, branches, leaf)
        puts[_at(b"v/", height)] = codec.encode_flat(ScheduleLink(proof, schedule).to_value())
    return puts


def block_puts(
    block: Block, receipt_bytes: list[bytes], receipts: Sequence[Receipt], executed: Sequence[tuple[bytes, int]]
) -> dict[bytes, bytes]:
    """What is stored for a block beside its certificate and the state."""
    height = block.header.height
    puts = {
        _at(b"b/", height): block.raw,
        _at(b"r/", height): encode_receipts(receipt_bytes),
        _at(b"i/", height): codec.encode_flat([[id_, expires] for id_, expires in executed]),
    }
    for index, receipt in enumerate(receipts):
        if is_execution(receipt):  # it may stand in the same block once more, where it was not run
            puts[b"t/" + receipt.transaction_id] = codec.encode_flat([height, index])
    return puts


def past_puts(block: Block, receipt_bytes: list[bytes], certificate: Certificate) -> dict[bytes, bytes]:
    """What is stored for a block that was not executed here, once `check_past` has let it through.

    Which transactions ran follows from the certified receipts: the others say that they were refused before.
    """
    receipts = [Receipt.from_bytes(raw) for raw in receipt_bytes]
    transactions = [transaction for _, transaction in block.transactions()]
    executed = [
        (transaction.id, transaction.expires_height)
        for transaction, receipt in zip(transactions, receipts, strict=True)
        if is_execution(receipt)
    ]
    puts = block_puts(block, receipt_bytes, receipts, executed)
    puts[_at(b"c/", block.header.height)] = certificate.to_bytes()
    return puts


def check_past(block: Block, receipt_bytes: list[bytes], wanted_id: bytes) -> None:
    """Raises unless this is the block of that id with all that its header commits to. Errors: block.mismatch."""
    header = block.header
    for field, expected, actual in (
        ("id", wanted_id, block.id),
        ("batches_root", header.batches_root, batches_root(block.batches)),
        ("receipts_root", header.receipts_root, merkle.root(receipt_bytes)),
        (
            "parent_certificate_digest",
            header.parent_certificate_digest,
            certificate_digest(block.parent_certificate),
        ),
    ):
        if expected != actual:
            raise KehuError(BLOCK_MISMATCH, field=field, height=header.height, expected=expected, actual=actual)

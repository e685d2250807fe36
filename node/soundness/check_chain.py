"""The second phase for the chain: it is replayed from genesis, and every row is what its blocks give.

What stands in the database follows from the blocks alone (`chain.blocks.rows_of`), so rows are compared one by one
while the blocks are executed again, the state at the end, and the number of rows of each kind, which shows rows too
many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import zip_longest

from chain.batch import Batch
from chain.block import Block
from chain.blocks import FORMER, BlockStore, ExecutedBlock, certified_rows, rows_of
from chain.certificate import Certificate
from chain.errors import KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.receipt import encode_receipts
from chain.store import Store
from chain.validators import ValidatorSet
from contracts.registry import contract_table
from node.soundness.check_bytes import Progress
from node.soundness.findings import CHECK_NOT_REPLAYED, CHECK_ROWS, CheckReport
from node.soundness.scrub import follow_links

_STATE, _HEAD = b"s/", b"meta/head"


def check_chain(store: Store, genesis: Genesis, report: CheckReport, on_progress: Progress) -> Ledger:
    """The stored ledger. Raises the first thing that is wrong: block.*, certificate.*, storage.*, check.rows …"""
    stored, blocks = Ledger.open(genesis, contract_table(), store)
    report.height = stored.height
    first, snapshot = blocks.first()
    if first > 1:
        report.note("chain", CHECK_NOT_REPLAYED, first=first, snapshot=snapshot)
        follow_links(blocks, stored.height, stored.head.block_id, stored.height - first + 1)
        report.blocks = stored.height - first + 1
        return stored
    replay, genesis_block = Ledger.at_genesis(genesis, contract_table())
    counts = Counter({_kind(_HEAD): 3 if snapshot else 2})
    _compare(store, rows_of(genesis_block), counts, 0)
    for height in range(1, stored.height + 1):
        executed, certificate = _replay(replay, blocks, height)
        _compare(store, {**rows_of(executed), **certified_rows(executed, certificate)}, counts, height)
        report.blocks, report.transactions = height, report.transactions + len(executed.receipts)
        on_progress(1, stored.height)
    _compare_state(store, replay)
    _compare_counts(store, counts + Counter({_STATE: len(replay.state)}))
    return stored


def _replay(replay: Ledger, blocks: BlockStore, height: int) -> tuple[ExecutedBlock, Certificate]:
    def verify_batch(batch: Batch, validators: ValidatorSet) -> None:
        batch.verify(validators, replay.genesis.chain_id)

    validators = replay.validators(height)
    executed = replay.check(Block.from_bytes(blocks.block_bytes(height)), verify_batch)
    if encode_receipts(executed.receipt_bytes) != blocks.receipts_raw(height):
        raise KehuError(CHECK_ROWS, kind="receipts", height=height)
    certificate = blocks.certificate(height)
    if certificate is None:
        raise KehuError(CHECK_ROWS, kind="certificate", height=height)
    certificate.require("commit", height, executed.block.id)
    certificate.verify(validators, replay.genesis.chain_id)
    replay.advance(executed, certificate)
    return executed, certificate


def _compare(store: Store, rows: Mapping[bytes, bytes], counts: Counter[bytes], height: int) -> None:
    for key, value in rows.items():
        kind = _kind(key)
        if kind in (_STATE, _kind(_HEAD)):
            continue  # later blocks replace them; they are compared at the end
        counts[kind] += 1
        if store.get(key) != value:
            raise KehuError(CHECK_ROWS, kind=kind.decode(), height=height)


def _compare_state(store: Store, replay: Ledger) -> None:
    stored = ((key[len(_STATE) :], value) for key, value in store.scan(_STATE))
    if any(one != other for one, other in zip_longest(stored, replay.state.items())):
        raise KehuError(CHECK_ROWS, kind="state", height=replay.height)


def _compare_counts(store: Store, expected: Counter[bytes]) -> None:
    actual = Counter(kind for key, _ in store.scan(b"") if (kind := _kind(key)) != FORMER)
    for kind in sorted({*actual, *expected}):
        if actual[kind] != expected[kind]:
            raise KehuError(CHECK_ROWS, kind=kind.decode(), expected=expected[kind], actual=actual[kind])


def _kind(key: bytes) -> bytes:
    return key[: key.index(b"/") + 1]

"""A piece of a snapshot that is asked for while the chain goes on is right, or is not given."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain import codec
from chain.errors import KehuError
from chain.snapshot import SNAPSHOT_UNKNOWN, take_piece
from chain.store import MemoryStore
from chain.stored_state import CURRENT, StoredState
from node.peers.exchange import PEER_BUSY
from node.snapshot.offers import SnapshotOffers, _buckets, _piece
from tests.node.node_kit import Chain
from tests.node_simulation.disk import SimRows


def test_a_row_that_a_block_takes_away_just_now_is_not_left_out_of_a_piece() -> None:
    store = MemoryStore()
    for number in range(50):
        store.write({CURRENT + b"assignments/customers.c%d" % number: b"value %d" % number})
    state = StoredState(store, SimRows())
    root, pin, gone = state.root, state.pin(), b"assignments/customers.c7"

    state.keep_replaced({gone: None})
    store.write({}, [CURRENT + gone])  # the block is stored, and the ledger has still to follow
    with pytest.raises(KehuError) as caught:
        _piece(pin, _buckets(pin.all_keys()), tuple(pin.gone), b"")
    assert caught.value.spec is PEER_BUSY

    state.apply({gone: None}, state.preview({gone: None}))
    assert len(take_piece((b"", root), _piece(pin, _buckets(pin.all_keys()), tuple(pin.gone), b""))[1]) == 50


async def test_a_snapshot_whose_values_were_replaced_and_are_kept_nowhere_is_offered_no_more(tmp_path: Path) -> None:
    """A disk that refused the copies: the store has only what stands now."""
    chain = Chain(tmp_path)  # which has no scratch
    for _ in range(10):
        chain.append()
    offers = SnapshotOffers(chain.ledger, chain.blocks, 10, lambda: 0.0)
    piece = await offers.answer_piece("finance", codec.encode([10, b""]))
    assert take_piece((b"", chain.ledger.state.root), piece)[1]
    for _ in range(3):
        chain.append()
    for expected in (PEER_BUSY, SNAPSHOT_UNKNOWN, SNAPSHOT_UNKNOWN):
        with pytest.raises(KehuError) as caught:
            await offers.answer_piece("finance", codec.encode([10, b""]))
        assert caught.value.spec is expected
    assert offers.status() == []

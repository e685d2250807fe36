"""A piece of a snapshot that is asked for while a block is being appended is right, or is not given."""

from __future__ import annotations

import pytest

from chain.blocks import state_puts
from chain.errors import KehuError
from chain.snapshot import take_piece
from chain.store import MemoryStore
from chain.stored_state import CURRENT, StoredState
from node.peers.exchange import PEER_BUSY
from node.snapshot.offers import _buckets, _piece


def test_a_row_that_a_block_takes_away_just_now_is_not_left_out_of_a_piece() -> None:
    store = MemoryStore()
    for number in range(50):
        store.write(state_puts(b"assignments/customers.c%d" % number, b"value %d" % number, 1))
    state = StoredState(store)
    root, pin, gone = state.root, state.pin(), b"assignments/customers.c7"

    store.write(state_puts(gone, None, 2), [CURRENT + gone])  # the block is stored, and the ledger has still to follow
    with pytest.raises(KehuError) as caught:
        _piece(pin, _buckets(pin.all_keys()), tuple(pin.gone), b"")
    assert caught.value.spec is PEER_BUSY

    state.apply({gone: None}, state.preview({gone: None}))
    assert len(take_piece((b"", root), _piece(pin, _buckets(pin.all_keys()), tuple(pin.gone), b""))[1]) == 50

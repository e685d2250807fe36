"""Rows near at hand are copies: what stands there is the last value, or one that the trie refuses, or nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain import codec
from chain.blocks import state_puts
from chain.state import key_digest
from chain.store import MemoryStore
from chain.stored_state import StoredState
from node.storage import scratch as scratch_module
from node.storage.scratch import ScratchRows


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


steps = st.lists(st.lists(st.tuples(st.integers(0, 30), st.binary(min_size=1, max_size=40)), max_size=8), max_size=30)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.sampled_from([50, 1 << 20]))
def test_what_is_found_is_what_was_put_last(
    tmp_path: Path, done: list[list[tuple[int, bytes]]], bytes_max: int
) -> None:
    rows, known = ScratchRows(tmp_path, bytes_max), {}
    for puts in done:
        rows.put([(digest(number), value) for number, value in puts])
        known.update(puts)
        for number in range(31):
            found = rows.get(digest(number))
            assert found == known.get(number) or (found is None and bytes_max == 50)
        if puts:
            assert rows.get(digest(puts[-1][0])) == puts[-1][1], "the newest are never those that go"
    rows.close()
    assert list(tmp_path.iterdir()) == [], "the files have no names"


def test_keys_that_share_a_bucket_are_told_apart(tmp_path: Path) -> None:
    rows = ScratchRows(tmp_path)
    keys = [b"\x00\x00" + digest(number)[2:] for number in range(300)]
    rows.put([(key, b"%d" % number) for number, key in enumerate(keys)])
    rows.put([(key, b"new %d" % number) for number, key in enumerate(keys[:150])])
    assert [rows.get(key) for key in keys[:150]] == [b"new %d" % number for number in range(150)]
    assert [rows.get(key) for key in keys[150:]] == [b"%d" % number for number in range(150, 300)]
    rows.close()


def test_a_disk_that_refuses_it_costs_nothing_but_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ScratchRows(tmp_path)
    rows.put([(digest(1), b"one")])

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch_module.os, "pwrite", refuse)
    rows.put([(digest(2), b"two")])
    assert rows.get(digest(1)) is None
    rows.put([(digest(3), b"three")])
    gone = ScratchRows(tmp_path / "nowhere")
    gone.put([(digest(1), b"one")])
    assert gone.get(digest(1)) is None


def test_an_older_or_damaged_copy_is_not_taken_for_the_value(tmp_path: Path) -> None:
    store, rows = MemoryStore(), ScratchRows(tmp_path)
    value = codec.encode({"n": 1})
    store.write(state_puts(b"notes/a", value, 0))
    state = StoredState(store, rows, bytes_max=0)
    assert state.get(b"notes/a") == value
    rows.put([(key_digest(b"notes/a"), codec.encode({"n": 2}))])
    state.get(b"notes/b")
    assert state.get(b"notes/a") == value
    assert rows.get(key_digest(b"notes/a")) == value, "what was read from the store is near at hand again"
    rows.close()

"""Rows near at hand are copies: what stands there is the last value, or one that the trie refuses, or nothing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain import codec
from chain.state import key_digest, value_digest
from chain.store import MemoryStore
from chain.stored_state import CURRENT, Row, StoredState
from node.storage import scratch as scratch_module
from node.storage.scratch import ScratchRows


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def row(number: int, value: bytes, replaced: bytes | None = None) -> Row:
    return Row(digest(number), value, replaced)


def get(rows: ScratchRows, number: int, value: bytes) -> bytes | None:
    return rows.get(digest(number), value_digest(value))


steps = st.lists(st.lists(st.tuples(st.integers(0, 30), st.binary(min_size=1, max_size=40)), max_size=8), max_size=30)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.sampled_from([50, 1 << 20]))
def test_what_was_put_is_found_with_all_that_it_replaced_until_it_is_forgotten(
    tmp_path: Path, done: list[list[tuple[int, bytes]]], bytes_max: int
) -> None:
    rows, known = ScratchRows(tmp_path, bytes_max), set()
    for pairs in done:
        puts = dict(pairs).items()
        rows.put([row(number, value) for number, value in puts])
        known.update(puts)
        for number, value in known:
            found = get(rows, number, value)
            assert found == value or (found is None and bytes_max == 50)
            assert get(rows, number + 1, b"none of " + value) is None
        for number, value in puts:
            assert get(rows, number, value) == value, "the newest are never those that go"
    rows.close()
    assert list(tmp_path.iterdir()) == [], "the files have no names"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.integers(0, 29), st.sampled_from([0, 50, 300]))
def test_what_somebody_holds_stays_and_what_it_replaces_too(
    tmp_path: Path, done: list[list[tuple[int, bytes]]], held_from: int, bytes_max: int
) -> None:
    rows, present, expected = ScratchRows(tmp_path, bytes_max), dict[int, bytes](), dict[int, bytes]()
    release = None
    for at, puts in enumerate(done):
        if at == held_from:
            expected, release = dict(present), rows.hold()
        rows.put([row(number, value, present.get(number)) for number, value in dict(puts).items()])
        present.update(puts)
        replaced = [number for number in expected if release is not None and number in dict(puts)]
        assert all(get(rows, number, expected[number]) == expected[number] for number in replaced)
    for number, value in expected.items():
        assert present[number] == value or get(rows, number, value) == value
    if release is not None:
        release()
    for _ in range(3):
        rows.put([row(99, bytes(400))])
    assert all(get(rows, number, value) is None for number, value in present.items())
    rows.close()


def test_keys_that_share_a_bucket_are_told_apart(tmp_path: Path) -> None:
    rows = ScratchRows(tmp_path)
    keys = [b"\x00\x00" + digest(number)[2:] for number in range(300)]
    rows.put([Row(key, b"%d" % number) for number, key in enumerate(keys)])
    rows.put([Row(key, b"new %d" % number) for number, key in enumerate(keys[:150])])
    for number, key in enumerate(keys):
        assert rows.get(key, value_digest(b"%d" % number)) == b"%d" % number
        assert rows.get(key, value_digest(b"new %d" % number)) == (b"new %d" % number if number < 150 else None)
    rows.close()


def test_a_disk_that_refuses_it_costs_copies_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    for refusal in ("error", "short"):
        rows = ScratchRows(tmp_path)
        rows.put([row(1, b"one")])

        def refuse(file: int, data: bytes, offset: int, refusal: str = refusal) -> int:
            if refusal == "error":
                raise OSError(28, "No space left on device")
            return pwrite(file, data[:-1], offset)

        monkeypatch.setattr(scratch_module.os, "pwrite", refuse)
        rows.put([row(2, b"two")])
        assert get(rows, 1, b"one") is None
        rows.put([row(3, b"three")])
        release = rows.hold()
        release()
        monkeypatch.setattr(scratch_module.os, "pwrite", pwrite)
    gone = ScratchRows(tmp_path / "nowhere")
    gone.put([row(1, b"one")])
    assert get(gone, 1, b"one") is None


def test_an_older_or_damaged_copy_is_not_taken_for_the_value(tmp_path: Path) -> None:
    store, rows = MemoryStore(), ScratchRows(tmp_path)
    value, wanted = codec.encode({"n": 1}), value_digest(codec.encode({"n": 1}))
    store.write({CURRENT + b"notes/a": value})
    state = StoredState(store, rows, bytes_max=0)
    assert state.get(b"notes/a") == value
    rows.put([Row(key_digest(b"notes/a"), codec.encode({"n": 2}))])
    state.get(b"notes/b")
    assert state.get(b"notes/a") == value
    for generation in rows._generations:
        os.pwrite(generation._file.fileno(), b"\xff" * generation.size, 0)
    state.get(b"notes/b")
    assert state.get(b"notes/a") == value
    assert rows.get(key_digest(b"notes/a"), wanted) == value, "what was read from the store is near at hand again"
    rows.close()


def test_many_files_are_told_apart_though_their_numbers_come_round(tmp_path: Path) -> None:
    rows = ScratchRows(tmp_path, bytes_max=0)
    for number in range(1_100):
        rows.put([row(1, b"%d" % number, None if number == 0 else b"%d" % (number - 1))])
        assert get(rows, 1, b"%d" % number) == b"%d" % number
        assert number < 5 or get(rows, 1, b"%d" % (number - 5)) is None
    assert len(rows._generations) == 2
    rows.close()

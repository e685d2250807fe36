"""The state's trie depends on its content alone, and proves what is there and what is not."""

from __future__ import annotations

import gc
import hashlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain import trie
from chain.crypto import ZERO_DIGEST, digest


def key(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(4, "big")).digest()


# Keys that share long prefixes make branches deep, random ones make them wide.
KEYS = st.one_of(
    st.integers(0, 400).map(key),
    st.tuples(st.integers(0, 63), st.integers(0, 1)).map(lambda at: bytes([*([0] * 31), at[0]]) if at[1] else key(0)),
    st.integers(0, 31).map(lambda at: bytes(at) + b"\x10" + bytes(31 - at)),
)
VALUES = st.integers(0, 9).map(lambda number: hashlib.sha256(b"value%d" % number).digest())
ENTRIES = st.dictionaries(KEYS, VALUES, max_size=120)
CHANGES = st.dictionaries(KEYS, st.none() | VALUES, max_size=80)


def applied(entries: dict[bytes, bytes], changes: dict[bytes, bytes | None]) -> dict[bytes, bytes]:
    merged: dict[bytes, bytes | None] = {**entries, **changes}
    return {key_: value for key_, value in merged.items() if value is not None}


@given(ENTRIES, CHANGES)
def test_updating_gives_the_trie_that_building_gives(
    entries: dict[bytes, bytes], changes: dict[bytes, bytes | None]
) -> None:
    before = trie.build(entries)
    root = trie.digest_of(before)
    after = trie.update(before, changes)
    assert trie.digest_of(after) == trie.digest_of(trie.build(applied(entries, changes)))
    assert trie.count_of(after) == len(applied(entries, changes))
    assert trie.digest_of(before) == root == trie.digest_of(trie.build(entries))


@given(ENTRIES, st.randoms(use_true_random=False))
def test_the_order_in_which_entries_come_does_not_matter(entries: dict[bytes, bytes], random: object) -> None:
    shuffled = list(entries.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    node: trie.Node = b""
    for key_, value in shuffled:
        node = trie.update(node, {key_: value})
    assert trie.digest_of(node) == trie.digest_of(trie.build(entries))


@given(ENTRIES, KEYS)
def test_presence_and_absence_are_proven(entries: dict[bytes, bytes], wanted: bytes) -> None:
    node = trie.build(entries)
    branches, leaf = trie.prove(node, wanted)
    assert trie.fold_proof(wanted, branches, leaf) == trie.digest_of(node)
    assert dict(leaf).get(wanted) == entries.get(wanted) == trie.find(node, wanted)


@settings(max_examples=30)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=120), st.data())
def test_a_tampered_proof_leads_to_another_root_or_nowhere(entries: dict[bytes, bytes], data: st.DataObject) -> None:
    wanted = data.draw(st.sampled_from(sorted(entries)))
    node = trie.build(entries)
    branches, leaf = trie.prove(node, wanted)
    without = [entry for entry in leaf if entry[0] != wanted]
    assert trie.fold_proof(wanted, branches, without) != trie.digest_of(node)
    other = [(key_, digest("other", value) if key_ == wanted else value) for key_, value in leaf]
    assert trie.fold_proof(wanted, branches, other) != trie.digest_of(node)
    for level, at in itertools.product(range(len(branches)), range(trie.ARITY)):
        changed = [list(row) for row in branches]
        changed[level][at] = digest("other", changed[level][at])
        assert trie.fold_proof(wanted, changed, leaf) != trie.digest_of(node)
    for level in range(len(branches)):
        assert trie.fold_proof(wanted, branches[:level] + branches[level + 1 :], leaf) != trie.digest_of(node)


def test_absence_is_not_shown_by_the_path_of_another_key() -> None:
    entries = {key(number): key(number + 1000) for number in range(300)}
    node = trie.build(entries)
    wanted, other = key(1), next(key(n) for n in range(300) if key(n)[0] >> 4 != key(1)[0] >> 4)
    branches, leaf = trie.prove(node, other)
    assert trie.fold_proof(wanted, branches, leaf) is None
    assert trie.fold_proof(wanted, branches, []) is None


@pytest.mark.parametrize("width", [0, 1, 15, 17])
def test_a_branch_that_is_not_sixteen_wide_is_no_proof(width: int) -> None:
    assert trie.fold_proof(key(0), [[ZERO_DIGEST] * width], []) is None


def test_a_proof_out_of_order_too_long_or_too_deep_is_none() -> None:
    two = sorted([(key(1), key(2)), (key(3), key(4))])
    assert trie.fold_proof(key(1), [], two) is not None
    assert trie.fold_proof(key(1), [], two[::-1]) is None
    assert trie.fold_proof(key(1), [], [two[0], two[0]]) is None
    many = sorted((key(number), key(0)) for number in range(trie.LEAF_ENTRIES_MAX + 1))
    assert trie.fold_proof(key(1), [], many) is None
    assert trie.fold_proof(key(1), [[ZERO_DIGEST] * 16] * (trie.DEPTH_MAX + 1), []) is None


def test_the_collector_has_nothing_to_look_through_in_a_trie_and_misses_nothing() -> None:
    gc.collect()
    before = len(gc.get_objects())
    node = trie.build({key(number): key(number) for number in range(5_000)})
    for number in range(0, 5_000, 50):
        node = trie.update(node, {key(number): None, key(-number % 7_000): key(number)})
    assert isinstance(node, trie.Branch)
    assert not any(gc.is_tracked(one) for one in (node, *node.children))
    assert len(gc.get_objects()) - before < 100
    assert [node.child(number) for number in range(16)] == list(node.children)


def test_an_empty_trie_is_zeros_and_a_leaf_splits_at_the_seventeenth_entry() -> None:
    assert trie.digest_of(b"") == ZERO_DIGEST
    entries = {key(number): key(0) for number in range(trie.LEAF_ENTRIES_MAX)}
    assert isinstance(trie.build(entries), trie.Leaf)
    split = trie.update(trie.build(entries), {key(99): key(0)})
    assert isinstance(split, trie.Branch)
    assert isinstance(trie.update(split, {key(99): None}), trie.Leaf)


def test_keys_ground_into_one_leaf_only_make_it_split() -> None:
    entries = {bytes(31) + bytes([number]): key(number) for number in range(200)}
    node = trie.build(entries)
    branches, leaf = trie.prove(node, bytes(32))
    assert len(leaf) <= trie.LEAF_ENTRIES_MAX
    assert len(branches) == 63
    assert trie.fold_proof(bytes(32), branches, leaf) == trie.digest_of(node)

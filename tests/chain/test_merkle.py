"""Trees over lists have the shape of RFC 6962 and prove every place, and only the right one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import merkle
from chain.crypto import ZERO_DIGEST, digest

ITEMS = st.lists(st.binary(max_size=8), max_size=40)
FULL = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def recursive(items: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there: split at the largest power of two below n."""
    if not items:
        return ZERO_DIGEST
    if len(items) == 1:
        return digest("merkle-leaf", items[0])
    split = 1 << (len(items) - 1).bit_length() - 1
    return digest("merkle-node", recursive(items[:split]) + recursive(items[split:]))


@given(ITEMS)
def test_the_root_is_that_of_the_recursive_definition(items: list[bytes]) -> None:
    assert merkle.root(items) == digest("merkle-root", len(items).to_bytes(8, "big") + recursive(items))


@given(FULL, st.data())
def test_every_item_is_proven_at_its_place_and_at_no_other(items: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(items) - 1))
    root, path = merkle.root(items), merkle.prove(items, index)
    assert merkle.verify(root, items[index], index, len(items), path)
    for other in range(len(items)):
        if items[other] != items[index]:
            assert not merkle.verify(root, items[other], index, len(items), path)
            assert not merkle.verify(root, items[index], other, len(items), merkle.prove(items, other))
    assert not merkle.verify(root, items[index], index, len(items) + 1, path)


@given(FULL, st.data())
def test_a_tampered_path_proves_nothing(items: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(items) - 1))
    root, path = merkle.root(items), merkle.prove(items, index)
    assert not merkle.verify(root, items[index], index, len(items), [*path, ZERO_DIGEST])
    for at in range(len(path)):
        changed = [bytes(32) if level == at else sibling for level, sibling in enumerate(path)]
        assert not merkle.verify(root, items[index], index, len(items), changed)
        assert not merkle.verify(root, items[index], index, len(items), path[:at])


@given(ITEMS, st.binary(max_size=8))
def test_another_list_has_another_root(items: list[bytes], more: bytes) -> None:
    root = merkle.root(items)
    assert merkle.root([*items, more]) != root
    assert merkle.root([more, *items]) != root
    if items:
        assert merkle.root(items[:-1]) != root


def test_an_inner_node_does_not_pass_for_a_leaf() -> None:
    items = [b"a", b"b", b"c", b"d"]
    left = merkle.leaf_digest(b"a") + merkle.leaf_digest(b"b")
    right = merkle.leaf_digest(b"c") + merkle.leaf_digest(b"d")
    assert merkle.root([left, right]) != merkle.root(items)


@pytest.mark.parametrize(("index", "count"), [(-1, 3), (3, 3), (0, 0), (0, -1), (1, 1)])
def test_a_place_outside_the_list_is_never_proven(index: int, count: int) -> None:
    items = [b"a", b"b", b"c"]
    path: list[Any] = merkle.prove(items, 0)
    assert not merkle.verify(merkle.root(items), b"a", index, count, path)

"""The state's digest: a 16-ary trie with small leaves, whose shape depends on its content alone.

A trie holds entries (key digest, value digest), 32 bytes each. For the entries that share the first `depth`
nibbles of their key digest:

* none: 32 zero bytes
* at most `LEAF_ENTRIES_MAX`: digest("state-leaf", key digest value digest key digest ... in key order)
* more: digest("state-branch", the 16 digests of the next nibble's sub-tries in order)

So there is one trie for one content, no matter in what order it came. Nodes never change: an update makes
new nodes along the touched paths and shares the rest, hence a proposal that is not decided costs nothing to
forget. An attacker who grinds keys into one leaf only makes that leaf split.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final, TypeAlias

from chain.crypto import ZERO_DIGEST, digest

LEAF_ENTRIES_MAX: Final = 16
ARITY: Final = 16
DEPTH_MAX: Final = 64

_ENTRY_BYTES: Final = 64

Entries: TypeAlias = Mapping[bytes, bytes]


class Leaf:
    """Up to 16 entries. `packed`: key digest value digest key digest ... in key order. A large state has hundreds of
    thousands of leaves: in two objects each, an entry takes 100 bytes of memory, in a dict it takes 400."""

    __slots__ = ("count", "digest", "packed")

    def __init__(self, packed: bytes) -> None:
        self.packed = packed
        self.count: int = len(packed) // _ENTRY_BYTES
        self.digest: bytes = leaf_digest(packed)

    def entries(self) -> list[tuple[bytes, bytes]]:
        """In key order."""
        packed = self.packed
        return [(packed[at : at + 32], packed[at + 32 : at + 64]) for at in range(0, len(packed), _ENTRY_BYTES)]


class Branch:
    """Sixteen sub-tries, one per nibble; `count` entries below it, always more than a leaf can hold."""

    __slots__ = ("children", "count", "digest")

    def __init__(self, children: tuple[Node, ...]) -> None:
        self.children = children
        self.count: int = sum([child.count for child in children])
        self.digest: bytes = branch_digest([child.digest for child in children])


Node: TypeAlias = Leaf | Branch


def leaf_digest(packed: bytes) -> bytes:
    return digest("state-leaf", packed) if packed else ZERO_DIGEST


def branch_digest(children: list[bytes]) -> bytes:
    return digest("state-branch", b"".join(children))


def nibble(key_digest: bytes, depth: int) -> int:
    byte = key_digest[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


EMPTY: Final = Leaf(b"")


def build(entries: Entries, depth: int = 0) -> Node:
    """The trie of `entries`, which all share their first `depth` nibbles."""
    return build_rows([key + value for key, value in entries.items()], depth)


def build_rows(rows: list[bytes], depth: int = 0) -> Node:
    """`build` of entries with key and value digest in one, for many at once; sorts `rows`."""
    rows.sort()
    return _build(rows, 0, len(rows), depth)


def _build(rows: list[bytes], first: int, last: int, depth: int) -> Node:
    """The trie of the sorted `rows[first:last]` (key and value digest in one), which share `depth` nibbles."""
    if last - first <= LEAF_ENTRIES_MAX:
        return Leaf(b"".join(rows[first:last])) if last > first else EMPTY
    place = depth >> 1
    shared, byte = rows[first][:place], rows[first][place]
    children: list[Node] = []
    for index in range(ARITY):
        if index == ARITY - 1:
            end = last
        else:
            following = (byte & 0xF0) + index + 1 if depth & 1 else (index + 1) << 4
            end = bisect_left(rows, shared + bytes((following,)), first, last)
        children.append(_build(rows, first, end, depth + 1))
        first = end
    return Branch(tuple(children))


def update(node: Node, changes: Mapping[bytes, bytes | None], depth: int = 0) -> Node:
    """The trie after `changes` (None removes). Only the touched paths are digested again."""
    if isinstance(node, Leaf):
        entries: dict[bytes, bytes | None] = dict(node.entries())
        entries.update(changes)
        return build_rows([key + value for key, value in entries.items() if value is not None], depth)
    parts: dict[int, dict[bytes, bytes | None]] = {}
    for key, value in changes.items():
        parts.setdefault(nibble(key, depth), {})[key] = value
    children = list(node.children)
    for index, part in parts.items():
        children[index] = update(children[index], part, depth + 1)
    if sum([child.count for child in children]) > LEAF_ENTRIES_MAX:
        return Branch(tuple(children))
    return Leaf(b"".join([_packed_below(child) for child in children]))


def _packed_below(node: Node) -> bytes:
    """The children of a branch stand in key order, and so do their entries one after the other."""
    return node.packed if isinstance(node, Leaf) else b"".join([_packed_below(child) for child in node.children])


def find(node: Node, key: bytes) -> bytes | None:
    """The value digest under a key digest."""
    depth = 0
    while isinstance(node, Branch):
        node = node.children[nibble(key, depth)]
        depth += 1
    return next((value for other, value in node.entries() if other == key), None)


def prove(node: Node, key: bytes) -> tuple[list[list[bytes]], list[tuple[bytes, bytes]]]:
    """What shows presence or absence of a key digest: the branches on its way (16 digests each, from the
    root down) and all entries of the leaf where it stands or would stand."""
    branches: list[list[bytes]] = []
    while isinstance(node, Branch):
        branches.append([child.digest for child in node.children])
        node = node.children[nibble(key, len(branches) - 1)]
    return branches, node.entries()


def fold_proof(key: bytes, branches: list[list[bytes]], leaf: list[tuple[bytes, bytes]]) -> bytes | None:
    """The root that a proof leads to, or None if it contradicts itself (a pure function for verifiers)."""
    if len(leaf) > LEAF_ENTRIES_MAX or len(branches) > DEPTH_MAX or any(len(row) != ARITY for row in branches):
        return None
    keys = [entry[0] for entry in leaf]
    depth = len(branches)
    if keys != sorted(set(keys)) or any(
        nibble(other, level) != nibble(key, level) for other in keys for level in range(depth)
    ):
        return None
    node = leaf_digest(b"".join([other + value for other, value in leaf]))
    for level in range(depth - 1, -1, -1):
        row = branches[level]
        if row[nibble(key, level)] != node:
            return None
        node = branch_digest(row)
    return node

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

from collections.abc import Mapping
from typing import Final, TypeAlias

from chain.crypto import ZERO_DIGEST, digest

LEAF_ENTRIES_MAX: Final = 16
ARITY: Final = 16
DEPTH_MAX: Final = 64

Entries: TypeAlias = dict[bytes, bytes]


class Leaf:
    """Up to 16 entries."""

    __slots__ = ("count", "digest", "entries")

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.count: int = len(entries)
        self.digest: bytes = leaf_digest(sorted(entries.items()))


class Branch:
    """Sixteen sub-tries, one per nibble; `count` entries below it, always more than a leaf can hold."""

    __slots__ = ("children", "count", "digest")

    def __init__(self, children: tuple[Node, ...]) -> None:
        self.children = children
        self.count: int = sum([child.count for child in children])
        self.digest: bytes = branch_digest([child.digest for child in children])


Node: TypeAlias = Leaf | Branch


def leaf_digest(entries: list[tuple[bytes, bytes]]) -> bytes:
    if not entries:
        return ZERO_DIGEST
    return digest("state-leaf", b"".join([key + value for key, value in entries]))


def branch_digest(children: list[bytes]) -> bytes:
    return digest("state-branch", b"".join(children))


def nibble(key_digest: bytes, depth: int) -> int:
    byte = key_digest[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


EMPTY: Final = Leaf({})


def build(entries: Entries, depth: int = 0) -> Node:
    """The trie of `entries`, which all share their first `depth` nibbles."""
    if len(entries) <= LEAF_ENTRIES_MAX:
        return Leaf(entries) if entries else EMPTY
    parts: list[Entries] = [{} for _ in range(ARITY)]
    for key, value in entries.items():
        parts[nibble(key, depth)][key] = value
    return Branch(tuple(build(part, depth + 1) for part in parts))


def update(node: Node, changes: Mapping[bytes, bytes | None], depth: int = 0) -> Node:
    """The trie after `changes` (None removes). Only the touched paths are digested again."""
    if isinstance(node, Leaf):
        entries = dict(node.entries)
        for key, value in changes.items():
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
        return build(entries, depth)
    parts: dict[int, dict[bytes, bytes | None]] = {}
    for key, value in changes.items():
        parts.setdefault(nibble(key, depth), {})[key] = value
    children = list(node.children)
    for index, part in parts.items():
        children[index] = update(children[index], part, depth + 1)
    if sum([child.count for child in children]) > LEAF_ENTRIES_MAX:
        return Branch(tuple(children))
    return build({key: value for child in children for key, value in _entries_below(child).items()}, depth)


def _entries_below(node: Node) -> Entries:
    if isinstance(node, Leaf):
        return node.entries
    return {key: value for child in node.children for key, value in _entries_below(child).items()}


def find(node: Node, key: bytes) -> bytes | None:
    """The value digest under a key digest."""
    depth = 0
    while isinstance(node, Branch):
        node = node.children[nibble(key, depth)]
        depth += 1
    return node.entries.get(key)


def prove(node: Node, key: bytes) -> tuple[list[list[bytes]], list[tuple[bytes, bytes]]]:
    """What shows presence or absence of a key digest: the branches on its way (16 digests each, from the
    root down) and all entries of the leaf where it stands or would stand."""
    branches: list[list[bytes]] = []
    while isinstance(node, Branch):
        branches.append([child.digest for child in node.children])
        node = node.children[nibble(key, len(branches) - 1)]
    return branches, sorted(node.entries.items())


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
    node = leaf_digest(leaf)
    for level in range(depth - 1, -1, -1):
        row = branches[level]
        if row[nibble(key, level)] != node:
            return None
        node = branch_digest(row)
    return node

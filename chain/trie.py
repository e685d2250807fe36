"""The state's digest: a 16-ary trie with small leaves, whose shape depends on its content alone.

A trie holds entries (key digest, value digest), 32 bytes each. For the entries that share the first `depth`
nibbles of their key digest:

* none: 32 zero bytes
* at most `LEAF_ENTRIES_MAX`: digest("state-leaf", key digest value digest key digest ... in key order)
* more: digest("state-branch", the 16 digests of the next nibble's sub-tries in order)

So there is one trie for one content, no matter in what order it came. Nodes never change: an update makes
new nodes along the touched paths and shares the rest, hence a proposal that is not decided costs nothing to
forget. An attacker who grinds keys into one leaf only makes that leaf split.

A large state has millions of entries, so a leaf is nothing but its bytes; its digest stands in the branch above. A
block makes thousands of branches, each over sixteen nodes that lie anywhere in memory. So a branch is one object, and
the collector, which would look at all those nodes, does not know of it: what never changes has no cycles.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec

from chain.crypto import DIGEST_BYTES, ZERO_DIGEST, tag_prefix

LEAF_ENTRIES_MAX: Final = 16
ARITY: Final = 16
DEPTH_MAX: Final = 64

_ENTRY_BYTES: Final = 2 * DIGEST_BYTES
_LEAF_BYTES_MAX: Final = LEAF_ENTRIES_MAX * _ENTRY_BYTES
_LEAF: Final = tag_prefix("state-leaf")
_BRANCH: Final = tag_prefix("state-branch")

Entries: TypeAlias = Mapping[bytes, bytes]
Change: TypeAlias = tuple[bytes, bytes | None]
"""Key digest, and the new value digest or None where the entry goes."""


Leaf: TypeAlias = bytes
"""Up to 16 entries: key digest value digest key digest ... in key order."""


class Branch(msgspec.Struct, gc=False, eq=False):
    """Sixteen sub-tries, one per nibble, and their digests one after the other; `count` entries below it, always more
    than a leaf can hold."""

    digest: bytes
    digests: bytes
    count: int
    child_0: Node
    child_1: Node
    child_2: Node
    child_3: Node
    child_4: Node
    child_5: Node
    child_6: Node
    child_7: Node
    child_8: Node
    child_9: Node
    child_10: Node
    child_11: Node
    child_12: Node
    child_13: Node
    child_14: Node
    child_15: Node

    @classmethod
    def over(cls, children: Sequence[Node], digests: bytes, count: int) -> Branch:
        return cls(sha256(_BRANCH + digests).digest(), digests, count, *children)

    @property
    def children(self) -> tuple[Node, ...]:
        return msgspec.structs.astuple(self)[-ARITY:]

    def child(self, number: int) -> Node:
        found: Node = getattr(self, _CHILDREN[number])
        return found

    def child_digests(self) -> list[bytes]:
        return [self.digests[at : at + DIGEST_BYTES] for at in range(0, len(self.digests), DIGEST_BYTES)]


_CHILDREN: Final = Branch.__struct_fields__[-ARITY:]
Node: TypeAlias = Leaf | Branch


def digest_of(node: Node) -> bytes:
    return node.digest if isinstance(node, Branch) else leaf_digest(node)


def count_of(node: Node) -> int:
    """How many entries there are below."""
    return node.count if isinstance(node, Branch) else len(node) // _ENTRY_BYTES


def entries_of(leaf: Leaf) -> list[tuple[bytes, bytes]]:
    """In key order."""
    return [(leaf[at : at + 32], leaf[at + 32 : at + 64]) for at in range(0, len(leaf), _ENTRY_BYTES)]


def leaf_digest(packed: bytes) -> bytes:
    return sha256(_LEAF + packed).digest() if packed else ZERO_DIGEST


def branch_digest(children: list[bytes]) -> bytes:
    return sha256(_BRANCH + b"".join(children)).digest()


def nibble(key_digest: bytes, depth: int) -> int:
    byte = key_digest[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


def build(entries: Entries, depth: int = 0) -> Node:
    """The trie of `entries`, which all share their first `depth` nibbles."""
    rows = sorted([key + value for key, value in entries.items()])
    return _build(rows, 0, len(rows), depth)


def build_many(rows: Iterable[bytes]) -> Node:
    """`build` of entries with key and value digest in one, in any order; takes little more memory than the trie."""
    parts = [bytearray() for _ in range(ARITY * ARITY)]
    for row in rows:
        parts[row[0]] += row
    children = [
        _joined([_build_part(parts, high * ARITY + low) for low in range(ARITY)]) for high in range(ARITY)
    ]  # fmt: skip
    return _joined(children)


def _build_part(parts: list[bytearray], first_byte: int) -> Node:
    packed, parts[first_byte] = bytes(parts[first_byte]), bytearray()
    rows = sorted([packed[at : at + _ENTRY_BYTES] for at in range(0, len(packed), _ENTRY_BYTES)])
    return _build(rows, 0, len(rows), 2)


def _build(rows: list[bytes], first: int, last: int, depth: int) -> Node:
    """The trie of the sorted `rows[first:last]` (key and value digest in one), which share `depth` nibbles."""
    if last - first <= LEAF_ENTRIES_MAX:
        return b"".join(rows[first:last])
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
    return _joined(children)


def _joined(children: Sequence[Node]) -> Node:
    """The branch over sixteen nodes, or one leaf where their entries have room in it."""
    count = sum(map(count_of, children))
    if count <= LEAF_ENTRIES_MAX:
        return _leaf_of(children)
    return Branch.over(children, b"".join(map(digest_of, children)), count)


def _leaf_of(children: Sequence[Node]) -> Leaf:
    """The children of a branch stand in key order, and so do their entries one after the other."""
    return b"".join([_leaf_of(child.children) if isinstance(child, Branch) else child for child in children])


def update(node: Node, changes: Mapping[bytes, bytes | None]) -> Node:
    """The trie after `changes` (None removes). Only the touched paths are digested again."""
    ordered = sorted(changes.items())
    if isinstance(node, Branch):
        return _update(node, ordered, 0, len(ordered), 0)
    return _update_leaf(node, ordered, 0)


def _update(node: Branch, changes: Sequence[Change], first: int, last: int, depth: int) -> Node:
    """`changes[first:last]` stand in key order and share `depth` nibbles.

    Every change of a block comes through here: what is usual, one change for a leaf, is done in place.
    """
    children, digests, count = list(node.children), bytearray(node.digests), node.count
    place, shift = depth >> 1, 0 if depth & 1 else 4
    while first < last:
        number = changes[first][0][place] >> shift & 15
        end = first + 1
        while end < last and changes[end][0][place] >> shift & 15 == number:
            end += 1
        child = children[number]
        if isinstance(child, Branch):
            below = _update(child, changes, first, end, depth + 1)
        elif end - first > 1 or len(leaf := _with(child, *changes[first])) > _LEAF_BYTES_MAX:
            below = _update_leaf(child, changes[first:end], depth + 1)
        else:
            below = leaf
        children[number] = below
        if type(below) is bytes is type(child):
            count += (len(below) - len(child)) // _ENTRY_BYTES
            digest = sha256(_LEAF + below).digest() if below else ZERO_DIGEST
        else:
            count += count_of(below) - count_of(child)
            digest = digest_of(below)
        digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES] = digest
        first = end
    return Branch.over(children, bytes(digests), count) if count > LEAF_ENTRIES_MAX else _leaf_of(children)


def _update_leaf(leaf: Leaf, changes: Sequence[Change], depth: int) -> Node:
    entries: dict[bytes, bytes | None] = dict(entries_of(leaf))
    entries.update(changes)
    return build({key: value for key, value in entries.items() if value is not None}, depth)


def _with(leaf: Leaf, key: bytes, value: bytes | None) -> Leaf:
    """The entries of a leaf with one more, one changed, or one gone."""
    at = _place_of(leaf, key)
    following = at + _ENTRY_BYTES
    if at < 0:
        low, high = 0, len(leaf) // _ENTRY_BYTES
        while low < high:
            middle = (low + high) >> 1
            at = middle * _ENTRY_BYTES
            if leaf[at : at + DIGEST_BYTES] < key:
                low = middle + 1
            else:
                high = middle
        at = following = low * _ENTRY_BYTES
    return leaf[:at] + (b"" if value is None else key + value) + leaf[following:]


def _place_of(leaf: Leaf, key: bytes) -> int:
    """Where the entry of a key digest begins; -1 if there is none."""
    at = leaf.find(key)
    while at > 0 and at % _ENTRY_BYTES:
        at = leaf.find(key, at + 1)
    return at


def find(node: Node, key: bytes) -> bytes | None:
    """The value digest under a key digest."""
    depth = 0
    while isinstance(node, Branch):
        node = node.child(nibble(key, depth))
        depth += 1
    at = _place_of(node, key)
    return None if at < 0 else node[at + DIGEST_BYTES : at + _ENTRY_BYTES]


def prove(node: Node, key: bytes) -> tuple[list[list[bytes]], list[tuple[bytes, bytes]]]:
    """What shows presence or absence of a key digest: the branches on its way (16 digests each, from the
    root down) and all entries of the leaf where it stands or would stand."""
    branches: list[list[bytes]] = []
    while isinstance(node, Branch):
        branches.append(node.child_digests())
        node = node.child(nibble(key, len(branches) - 1))
    return branches, entries_of(node)


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

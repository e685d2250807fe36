"""Merkle trees over lists, as in RFC 6962 section 2.1 with Kehu's tags.

A tree over n items splits at the largest power of two below n. Leaves and inner nodes are digested under
different tags, so a node can't pass for a leaf; the root also covers the count, so a list can't pass for
a shorter one.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.crypto import ZERO_DIGEST, digest


def leaf_digest(item: bytes) -> bytes:
    return digest("merkle-leaf", item)


def _node_digest(left: bytes, right: bytes) -> bytes:
    return digest("merkle-node", left + right)


def _tree(leaves: Sequence[bytes]) -> bytes:
    # Level by level: pairing neighbours and carrying an odd one up gives RFC 6962's shape.
    level = list(leaves)
    while len(level) > 1:
        paired = [_node_digest(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0] if level else ZERO_DIGEST


def root(items: Sequence[bytes]) -> bytes:
    """The root over `items` in order."""
    return _rooted(len(items), _tree([leaf_digest(item) for item in items]))


def _rooted(count: int, tree: bytes) -> bytes:
    return digest("merkle-root", count.to_bytes(8, "big") + tree)


def prove(items: Sequence[bytes], index: int) -> list[bytes]:
    """The sibling digests from leaf `index` up to the top."""
    level = [leaf_digest(item) for item in items]
    path: list[bytes] = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        paired = [_node_digest(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level, index = paired, index // 2
    return path


def verify(expected_root: bytes, item: bytes, index: int, count: int, path: Sequence[bytes]) -> bool:
    """Whether `item` stands at `index` of the `count` items under `expected_root`."""
    if not 0 <= index < count:
        return False
    node, position, width, used = leaf_digest(item), index, count, 0
    while width > 1:
        if position ^ 1 < width:
            if used == len(path):
                return False
            sibling = path[used]
            used += 1
            node = _node_digest(sibling, node) if position % 2 else _node_digest(node, sibling)
        position //= 2
        width = (width + 1) // 2
    return used == len(path) and _rooted(count, node) == expected_root

"""Inputs that are almost right: values changed inside their structure, and bytes changed without regard to it.

A seed is decoded once into a tree in which byte strings that are themselves encoded values are trees too (a block holds
batches, which hold envelopes, which hold bodies). A mutation changes one place of that tree and packs it again; parts
that did not change keep their bytes. Everything comes from one `Random`, so the same numbers give the same inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import msgpack

NESTING_MAX: Final = 12
INTEGERS: Final = (0, 1, -1, 15, 16, 17, 127, 128, 255, 256, 65_535, 65_536, 2**31, 2**32, 2**53, 2**63 - 1, 2**63,
                   2**64 - 1, -(2**63))  # fmt: skip
TEXTS: Final = (
    "",
    "x",
    "sales",
    "administration",
    "ok",
    "客户",
    "a/b",
    "../x",
    "\x00",
    "\u202e",
    "A" * 65,
    "z" * 5_000,
)
BYTES: Final = (b"", b"\x00", bytes(16), bytes(31), bytes(32), bytes(33), bytes(63), bytes(64), b"\xff" * 32, b"\x90")
OTHERS: Final[tuple[Any, ...]] = (None, True, False, [], {}, [None], {"": None}, 0.5, [[]] * 40, {"a": {"a": {}}})
TOKENS: Final = (
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\x90", b"\xc0", b"\xc1", b"\xca\x7f\xc0\x00\x00", b"\xdc\xff\xff",
    b"\xdd\xff\xff\xff\xff", b"\xdf\x00\x00\x00\x01", b"\xc6\xff\xff\xff\xff", b"\xd9\x01a",
    b"\xd4\x00\x00", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\r\n", b'"', b"{", b"[" * 9, b",", b"=",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", b"NaN", b"1e999", b"-0", b"%00", b"%2f..", b"\\ud800", b":", b";",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Nested:
    """A byte string that is an encoded value: as it was, or with another tree in it (`raw` is then None)."""

    raw: bytes | None
    tree: Any


def parse(raw: bytes, depth: int = 0) -> Any:
    """The tree of `raw`; raises ValueError where there is none."""
    try:
        value = msgpack.unpackb(raw, strict_map_key=False)
    except Exception as error:
        raise ValueError("not an encoded value") from error
    return _expand(value, depth)


def _expand(value: Any, depth: int) -> Any:
    if isinstance(value, list):
        return [_expand(item, depth) for item in value]
    if isinstance(value, dict):
        return {key: _expand(item, depth) for key, item in value.items()}
    if isinstance(value, bytes) and len(value) > 3 and depth < NESTING_MAX and value[0] & 0xE0 in (0x80, 0xC0):
        try:
            tree = parse(value, depth + 1)
        except ValueError:
            return value
        return Nested(value, tree) if isinstance(tree, list | dict) else value
    return value


def pack(tree: Any) -> bytes:
    """The bytes of a tree; what can't be packed (an integer out of range) is an empty list."""
    try:
        packed: bytes = msgpack.packb(tree, use_bin_type=True, default=_inner)
    except (OverflowError, ValueError, TypeError):
        return b"\x90"
    return packed


def _inner(value: Any) -> bytes:
    if isinstance(value, Nested):
        return pack(value.tree) if value.raw is None else value.raw
    raise TypeError(type(value).__name__)


def nested(raw: bytes) -> Nested:
    """An encoded value as a byte string of a larger tree."""
    return Nested(raw, parse(raw))


def bytes_of(tree: Any) -> bytes:
    """The byte string that `tree` stands for, or the encoding of what is none."""
    return _inner(tree) if isinstance(tree, Nested) else tree if isinstance(tree, bytes) else pack(tree)


class Mutator:
    """Makes inputs of `seeds`, which are encoded values, or trees of any other format with its own `dump`."""

    def __init__(self, seeds: Sequence[bytes], trees: Sequence[Any] = (), dump: Callable[[Any], bytes] = pack) -> None:
        self._seeds = list(seeds)
        self._dump = dump
        self.trees = list(trees) or [tree for seed in seeds if (tree := _tree_of(seed)) is not None]

    def draw(self, rng: Random) -> bytes:
        """One input; about one in fifty is a seed as it is, so that a target that refuses everything shows."""
        choice = rng.random()
        if choice < 0.02:
            return rng.choice(self._seeds)
        if choice < 0.35 or not self.trees:
            return change_bytes(rng, rng.choice(self._seeds))
        tree = rng.choice(self.trees)
        for _ in range(1 + (rng.random() < 0.25)):
            tree = self.change(rng, tree)
        data = self._dump(tree)
        return change_bytes(rng, data) if rng.random() < 0.05 else data

    def change(self, rng: Random, node: Any, depth: int = 0) -> Any:
        """`node` with one place changed."""
        is_here = rng.random() < 0.18 or depth > 40
        if isinstance(node, Nested):
            return node if is_here and rng.random() < 0.2 else Nested(None, self.change(rng, node.tree, depth + 1))
        if isinstance(node, list) and node:
            if is_here:
                return self._change_list(rng, node)
            place = rng.randrange(len(node))
            return [*node[:place], self.change(rng, node[place], depth + 1), *node[place + 1 :]]
        if isinstance(node, dict) and node:
            name = rng.choice(list(node))
            if is_here:
                return self._change_map(rng, node, name)
            return {**node, name: self.change(rng, node[name], depth + 1)}
        return self._change_leaf(rng, node)

    def _change_list(self, rng: Random, items: list[Any]) -> Any:
        place, other = rng.randrange(len(items)), rng.randrange(len(items))
        match rng.randrange(7):
            case 0:
                return items[:place] + items[place + 1 :]
            case 1:
                return [*items[:place], self._anything(rng), *items[place:]]
            case 2:
                return [*items, items[place]]
            case 3:
                return [items[other] if at == place else item for at, item in enumerate(items)]
            case 4:
                return items[: place + 1] * rng.choice((2, 3, 40))
            case 5:
                return list(reversed(items))
            case _:
                return self._anything(rng)

    def _change_map(self, rng: Random, items: dict[Any, Any], name: Any) -> Any:
        match rng.randrange(4):
            case 0:
                return {key: item for key, item in items.items() if key != name}
            case 1:
                return {**items, rng.choice(TEXTS): self._anything(rng)}
            case 2:
                return dict(reversed(items.items()))
            case _:
                return self._anything(rng)

    def _change_leaf(self, rng: Random, leaf: Any) -> Any:
        if rng.random() < 0.4:
            return self._anything(rng)
        if isinstance(leaf, bool) or leaf is None:
            return not leaf
        if isinstance(leaf, int):
            return rng.choice(
                (leaf + 1, leaf - 1, -leaf, leaf * 2, leaf ^ (1 << rng.randrange(63)), rng.choice(INTEGERS))
            )
        if isinstance(leaf, bytes):
            return change_bytes(rng, leaf)
        if isinstance(leaf, str):
            return change_bytes(rng, leaf.encode("utf-8", "replace")).decode("utf-8", "replace")
        return self._anything(rng)

    def _anything(self, rng: Random) -> Any:
        match rng.randrange(6):
            case 0:
                return rng.choice(INTEGERS)
            case 1:
                return rng.choice(TEXTS)
            case 2:
                return rng.choice(BYTES)
            case 3:
                return rng.choice(OTHERS)
            case 4:
                deep: Any = None
                for _ in range(rng.choice((3, 15, 16, 17, 40))):
                    deep = [deep] if rng.random() < 0.7 else {"a": deep}
                return deep
            case _:
                return self._part(rng)

    def _part(self, rng: Random) -> Any:
        """Some part of some seed, for another place."""
        node = rng.choice(self.trees) if self.trees else None
        while rng.random() < 0.8:
            if isinstance(node, Nested):
                node = node.tree
            elif isinstance(node, list) and node:
                node = rng.choice(node)
            elif isinstance(node, dict) and node:
                node = rng.choice(list(node.values()))
            else:
                break
        return node


def _tree_of(seed: bytes) -> Any:
    try:
        return parse(seed)
    except ValueError:
        return None


def change_bytes(rng: Random, data: bytes) -> bytes:
    """One to four changes that know nothing of the format."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(8):
            case 0 if changed:
                changed[place % len(changed)] ^= 1 << rng.randrange(8)
            case 1 if changed:
                changed[place % len(changed)] = rng.randrange(256)
            case 2:
                changed[place:place] = rng.choice(TOKENS)
            case 3:
                del changed[place : place + rng.choice((1, 2, 4, 32, 500))]
            case 4:
                changed[place:place] = changed[place : place + rng.choice((1, 4, 33, 500))]
            case 5:
                token = rng.choice(TOKENS)
                changed[place : place + len(token)] = token
            case 6:
                del changed[place:]
            case _ if place < len(changed) and changed[place] < 0x80:
                changed[place : place + 1] = bytes((0xCC, changed[place]))  # the long form of a small integer
    return bytes(changed)

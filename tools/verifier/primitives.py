"""Encoding, digests, strict Ed25519, Merkle trees and the trie, written from docs/spec and nothing else."""

from __future__ import annotations

import hashlib
from typing import Any

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ZEROS = bytes(32)
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
SMALL_ORDER_Y = {
    0,
    1,
    P - 1,
    int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
    int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
}


class VerificationError(Exception):
    """What is wrong, in one sentence."""


REFUSALS = (VerificationError, LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What comes of a file that is not what it should be: of another form in a place where its form was not asked about."""


def require(is_right: bool, problem: str) -> None:
    if not is_right:
        raise VerificationError(problem)


# encoding.md


def decode(data: bytes, bytes_max: int, elements_max: int = 65_536) -> Any:
    require(len(data) <= bytes_max, "too long")
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=False, object_pairs_hook=_map, max_ext_len=0)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise VerificationError(f"not msgpack of this kind: {type(error).__name__}") from error
    require(_count(value, 1) <= elements_max, "too many elements")
    require(msgpack.packb(value, use_bin_type=True) == data, "not the shortest form")
    return value


def encode(value: Any) -> bytes:
    """For values made of lists, text, bytes and integers, which is all that a verifier has to encode."""
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def _map(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    require(all(type(key) is str for key in keys), "a key is not a string")
    require(keys == sorted(set(keys)), "keys are not ascending")
    return dict(pairs)


def _count(value: Any, level: int) -> int:
    if type(value) in (list, dict):
        require(level <= 16, "nested too deep")
        items = value if type(value) is list else value.values()
        return 1 + len(value) + sum(_count(item, level + 1) for item in items)
    require(value is None or type(value) in (bool, int, str, bytes), "a kind that is not in the format")
    return 0


def structure(data: bytes, what: str, bytes_max: int, *kinds: Any) -> list[Any]:
    """A fixed structure: one kind per element; an integer n stands for a byte string of n."""
    value = decode(data, bytes_max)
    return checked(value, what, *kinds)


def checked(value: Any, what: str, *kinds: Any) -> list[Any]:
    require(type(value) is list and len(value) == len(kinds), f"{what}: not a list of {len(kinds)}")
    for position, (item, kind) in enumerate(zip(value, kinds, strict=True)):
        if type(kind) is int:
            is_right = type(item) is bytes and len(item) == kind
        elif kind is int:
            is_right = type(item) is int and item >= 0
        else:
            is_right = type(item) is kind
        require(is_right, f"{what}: position {position} is of another kind")
    found: list[Any] = value
    return found


# digests.md, signatures.md


def digest(tag: str, payload: bytes) -> bytes:
    return hashlib.sha256(b"kehu/" + tag.encode() + b"\x00" + payload).digest()


def _has_usable_y(point: bytes) -> bool:
    y = int.from_bytes(point, "little") % 2**255
    return y < P and y not in SMALL_ORDER_Y


def is_usable_key(key: bytes) -> bool:
    return len(key) == 32 and _has_usable_y(key)


def is_signed(key: bytes, purpose: str, chain_id: bytes, payload: bytes, signature: bytes) -> bool:
    return is_signed_raw(key, b"kehu/sign/" + purpose.encode() + b"\x00" + chain_id + payload, signature)


def is_signed_raw(key: bytes, message: bytes, signature: bytes) -> bool:
    if len(signature) != 64 or not is_usable_key(key) or not _has_usable_y(signature[:32]):
        return False
    if int.from_bytes(signature[32:], "little") >= L:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# batches-blocks.md


def merkle_root(items: list[bytes]) -> bytes:
    return digest("merkle-root", len(items).to_bytes(8, "big") + _tree([digest("merkle-leaf", item) for item in items]))


def _tree(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else ZEROS
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return digest("merkle-node", _tree(leaves[:split]) + _tree(leaves[split:]))


def is_in_merkle_tree(root: bytes, item: bytes, index: int, count: int, path: list[bytes]) -> bool:
    node, position, width, steps = digest("merkle-leaf", item), index, count, list(path)
    while width > 1:
        if position ^ 1 < width:
            if not steps:
                return False
            step = steps.pop(0)
            node = digest("merkle-node", step + node if position % 2 else node + step)
        position, width = position // 2, (width + 1) // 2
    return index < count and not steps and digest("merkle-root", count.to_bytes(8, "big") + node) == root


# state.md


def nibble(key_digest: bytes, number: int) -> int:
    return (key_digest[number // 2] >> (0 if number % 2 else 4)) & 15


def state_root(entries: dict[bytes, bytes], depth: int = 0) -> bytes:
    if len(entries) <= 16:
        return digest("state-leaf", b"".join(k + v for k, v in sorted(entries.items()))) if entries else ZEROS
    children = [{k: v for k, v in entries.items() if nibble(k, depth) == number} for number in range(16)]
    return digest("state-branch", b"".join(state_root(child, depth + 1) for child in children))


def root_of_state_proof(wanted: bytes, branches: list[list[bytes]], leaf: list[list[bytes]]) -> bytes:
    depth, keys = len(branches), [entry[0] for entry in leaf]
    require(depth <= 64 and len(leaf) <= 16, "state proof: too long")
    require(keys == sorted(set(keys)), "state proof: entries are not ascending")
    for key in keys:
        for number in range(depth):
            require(nibble(key, number) == nibble(wanted, number), "state proof: an entry of another place")
    node = digest("state-leaf", b"".join(key + value for key, value in leaf)) if leaf else ZEROS
    for number in range(depth - 1, -1, -1):
        require(len(branches[number]) == 16, "state proof: a branch is not 16 wide")
        require(branches[number][nibble(wanted, number)] == node, "state proof: the way is broken")
        node = digest("state-branch", b"".join(branches[number]))
    return node

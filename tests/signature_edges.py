"""Ed25519 signatures at the edges, for any message: what some library takes and Kehu's strict rule does not.

With the 151 vectors of Wycheproof these are 359 and more: the fourteen encodings of small order as key with each of
them as R and S = 0 (which lenient libraries take for every message), as R with an S that fits up to the torsion, every
y that is not reduced, and S plus multiples of the group's order. docs/spec/signatures.md has the rule.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chain.crypto import SigningKey

WYCHEPROOF: Final = Path(__file__).parents[2] / "shared" / "data" / "wycheproof" / "ed25519_test.json"
P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
ORDER_EIGHT_Y: Final = tuple(
    int.from_bytes(bytes.fromhex(text), "little")
    for text in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)
KEY: Final = SigningKey(hashlib.sha256(b"signature edges").digest())


@dataclass(frozen=True)
class Edge:
    """A key, and what stands for its signature over a message."""

    name: str
    key: bytes
    sign: Callable[[bytes], bytes]


def encoded(y: int, sign: int) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


TORSION: Final = tuple(
    encoded(y + extra, sign)
    for y in (0, 1, P - 1, *ORDER_EIGHT_Y)
    for extra in (0, P)
    for sign in (0, 1)
    if y + extra < 1 << 255
)


def _always(signature: bytes) -> Callable[[bytes], bytes]:
    return lambda _message: signature


def _with_commitment(point: bytes) -> Callable[[bytes], bytes]:
    """S = k a, so that S B = R + k A up to the torsion in R, which cofactored libraries drop."""
    scalar = int.from_bytes(hashlib.sha512(KEY.seed).digest()[:32], "little") & ~7 & ((1 << 254) - 1) | 1 << 254

    def sign(message: bytes) -> bytes:
        k = int.from_bytes(hashlib.sha512(point + KEY.public + message).digest(), "little")
        return point + (k * scalar % L).to_bytes(32, "little")

    return sign


def _plus_order(times: int) -> Callable[[bytes], bytes]:
    def sign(message: bytes) -> bytes:
        good = KEY.sign_raw(message)
        return good[:32] + (int.from_bytes(good[32:], "little") + times * L).to_bytes(32, "little")

    return sign


def edges() -> Iterator[Edge]:
    """All of them are to be refused."""
    for number, key in enumerate(TORSION):
        for other, point in enumerate(TORSION):
            yield Edge(f"torsion key {number}, R {other}", key, _always(point + bytes(32)))
    for number, point in enumerate(TORSION):
        yield Edge(f"torsion R {number}", KEY.public, _with_commitment(point))
    for extra in range(19):
        for sign in (0, 1):
            yield Edge(f"key y = p + {extra}, sign {sign}", encoded(P + extra, sign), _always(TORSION[2] + bytes(32)))
            yield Edge(f"R y = p + {extra}, sign {sign}", KEY.public, _with_commitment(encoded(P + extra, sign)))
    for times in range(1, 15):
        yield Edge(f"S + {times} L", KEY.public, _plus_order(times))


def wycheproof() -> Iterator[tuple[bytes, dict[str, Any]]]:
    """(public key, case) of every vector."""
    for group in json.loads(WYCHEPROOF.read_text(encoding="utf-8"))["testGroups"]:
        for case in group["tests"]:
            yield bytes.fromhex(group["publicKey"]["pk"]), case

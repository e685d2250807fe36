"""Digests and signatures, each under a tag that says what it is for.

`digest(tag, payload)` is SHA-256("kehu/" tag 0x00 payload). A signature is Ed25519 (RFC 8032) over
"kehu/sign/" purpose 0x00 chain-id payload, so nothing signed for one purpose or chain counts for another.

OpenSSL and libsodium disagree about Ed25519 at the edges (non-canonical and small-order points), and nodes
that disagree about a signature fork. `verify` therefore refuses the edges itself, before the library is asked:
S < L, A and R canonical (y < p) and not of small order. It is the only verify function in Kehu.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final, Protocol

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import CryptoError

from chain.errors import KEY_INVALID, KehuError

DIGEST_BYTES: Final = 32
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ZERO_DIGEST: Final = bytes(DIGEST_BYTES)

_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_SIGN_BIT: Final = 1 << 255
# The y coordinates of the eight points whose order divides the cofactor (RFC 7748, section 5.1 curve).
_SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _P - 1,
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
    }
)


def digest(tag: str, payload: bytes) -> bytes:
    """SHA-256 under a domain tag (docs/spec/digests.md lists the tags)."""
    return hashlib.sha256(tag_prefix(tag) + payload).digest()


@cache
def tag_prefix(tag: str) -> bytes:
    """What stands before the payload, for who digests so often that `digest` is too slow."""
    return b"kehu/%b\x00" % tag.encode()


def signed_message(purpose: str, chain_id: bytes, payload: bytes) -> bytes:
    """The exact bytes a signature covers."""
    return b"kehu/sign/%b\x00%b%b" % (purpose.encode(), chain_id, payload)


def _is_usable_point(encoded: bytes) -> bool:
    y = int.from_bytes(encoded, "little") & (_SIGN_BIT - 1)
    return y < _P and y not in _SMALL_ORDER_Y


def is_valid_key(key: bytes) -> bool:
    """Length, canonical encoding and order; not whether somebody holds the private half."""
    return type(key) is bytes and len(key) == KEY_BYTES and _is_usable_point(key)


def require_key(key: bytes) -> bytes:
    if not is_valid_key(key):
        raise KehuError(KEY_INVALID, key=key if isinstance(key, bytes) else type(key).__name__)
    return key


def verify_raw(key: bytes, message: bytes, signature: bytes) -> bool:
    """Strict Ed25519 over `message` as it stands; callers in Kehu use `verify`, which adds the tag."""
    if len(signature) != SIGNATURE_BYTES or not is_valid_key(key):
        return False
    if int.from_bytes(signature[32:], "little") >= _L or not _is_usable_point(signature[:32]):
        return False
    try:
        crypto_sign_open(signature + message, key)
    except (CryptoError, ValueError):
        return False
    return True


def verify(key: bytes, purpose: str, chain_id: bytes, payload: bytes, signature: bytes) -> bool:
    """Whether `signature` is `key`'s for this purpose on this chain."""
    return verify_raw(key, signed_message(purpose, chain_id, payload), signature)


class Signer(Protocol):
    """Whoever can sign: a key in memory, or a stand-in in the simulator."""

    @property
    def public(self) -> bytes: ...

    def sign(self, purpose: str, chain_id: bytes, payload: bytes) -> bytes: ...


class Verifier(Protocol):
    """`verify` as a value, so that the simulator can put a cheap one in its place."""

    def __call__(self, key: bytes, purpose: str, chain_id: bytes, payload: bytes, signature: bytes) -> bool: ...


class SigningKey:
    """An Ed25519 key made from 32 secret bytes that the caller drew. Its repr shows the public half only."""

    __slots__ = ("_secret", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_BYTES:
            raise KehuError(KEY_INVALID, problem="a seed is 32 bytes")
        self.seed = seed
        self.public, self._secret = crypto_sign_seed_keypair(seed)

    def sign(self, purpose: str, chain_id: bytes, payload: bytes) -> bytes:
        return self.sign_raw(signed_message(purpose, chain_id, payload))

    def sign_raw(self, message: bytes) -> bytes:
        """Ed25519 over `message` as it stands (HTTP message signatures bring their own framing)."""
        signed: bytes = crypto_sign(message, self._secret)
        return signed[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"SigningKey({self.public.hex()})"

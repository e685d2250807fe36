"""Signatures for simulations: a keyed hash in place of Ed25519, about thirty times as fast.

Nobody can make one without the secret, and replicas under test hold only their own, so forgery is as impossible as
with the real thing. The public halves are real keys, because validator sets accept nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from chain.crypto import SigningKey, signed_message
from chain.validators import Validator, ValidatorSet

NAMES = ("administration", "after_sales", "finance", "process", "sales", "technical", "x7", "x8", "x9", "x9a")


def tag(secret: bytes, purpose: str, chain_id: bytes, payload: bytes) -> bytes:
    return hashlib.blake2b(signed_message(purpose, chain_id, payload), key=secret).digest()


class CheapSigner:
    """chain.crypto.Signer with `secret` as the key of a keyed hash."""

    def __init__(self, key: SigningKey) -> None:
        self.public = key.public
        self._secret = key.seed

    def sign(self, purpose: str, chain_id: bytes, payload: bytes) -> bytes:
        return tag(self._secret, purpose, chain_id, payload)


class CheapVerifier:
    """chain.crypto.Verifier that knows every secret; it is the simulator's, not the replicas'."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        self._secrets = {key.public: key.seed for key in keys}

    def __call__(self, key: bytes, purpose: str, chain_id: bytes, payload: bytes, signature: bytes) -> bool:
        secret = self._secrets.get(key)
        return secret is not None and signature == tag(secret, purpose, chain_id, payload)


@lru_cache
def key_of(name: str, generation: int = 0) -> SigningKey:
    """A member's key; each change of it is a generation."""
    text = name if generation == 0 else f"{name} {generation}"
    return SigningKey(hashlib.sha256(text.encode()).digest())


@lru_cache
def keys_of(n: int) -> dict[str, SigningKey]:
    return {name: key_of(name) for name in NAMES[:n]}


@lru_cache
def validators_of(n: int, epoch: int = 0) -> ValidatorSet:
    return ValidatorSet(epoch, tuple(Validator(name, key.public) for name, key in sorted(keys_of(n).items())))

"""Nonces of signed requests that were accepted and could still be sent again: bounded, per key."""

from __future__ import annotations

from typing import Final

from chain.errors import KehuError, define

NONCES_PER_KEY_MAX: Final = 4_096
"""In one signature lifetime of 60 s: 68 signed requests a second from one person."""

AUTH_REPLAYED = define(
    "auth.replayed",
    "a request with this signature was answered before",
    "sign every request anew, with a nonce of its own",
)
AUTH_TOO_MANY = define(
    "auth.too_many",
    "this key has signed more requests in a minute than the node remembers",
    "wait as Retry-After says; sign fewer requests, or page through results with larger pages",
)


class NonceCache:
    """Only requests whose signature and key were found good come here, so strangers can't fill it."""

    def __init__(self) -> None:
        self._expiries: dict[bytes, dict[str, int]] = {}

    def __len__(self) -> int:
        return sum(len(nonces) for nonces in self._expiries.values())

    def use(self, key: bytes, nonce: str, expires_ms: int, now_ms: int) -> None:
        """Takes note of a nonce until `expires_ms`. Errors: auth.replayed, auth.too_many."""
        nonces = self._expiries.setdefault(key, {})
        if nonces.get(nonce, -1) >= now_ms:
            raise KehuError(AUTH_REPLAYED, key=key)
        if len(nonces) >= NONCES_PER_KEY_MAX:
            self._forget_expired(now_ms)
            nonces = self._expiries.setdefault(key, {})
        if len(nonces) >= NONCES_PER_KEY_MAX:
            raise KehuError(AUTH_TOO_MANY, key=key, limit=NONCES_PER_KEY_MAX)
        nonces[nonce] = expires_ms

    def _forget_expired(self, now_ms: int) -> None:
        for key, nonces in list(self._expiries.items()):
            self._expiries[key] = {nonce: until for nonce, until in nonces.items() if until >= now_ms}
            if not self._expiries[key]:
                del self._expiries[key]

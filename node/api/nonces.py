"""Nonces of signed requests that were accepted and could still be sent again: bounded, per key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from chain.errors import KehuError, define
from node.api.problems import RETRY_AFTER_MS

NONCES_PER_KEY_MAX: Final = 4_096
"""In one signature lifetime of 60 s: 68 signed requests a second from one person."""
SWEEP_MS: Final = 60_000
"""How often what has expired is forgotten. Left to keys that are full, it would lie there for all that never are."""

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
        self._swept_ms = 0

    def __len__(self) -> int:
        return sum(len(nonces) for nonces in self._expiries.values())

    def use(self, key: bytes, nonce: str, expires_ms: int, now_ms: int) -> None:
        """Takes note of a nonce until `expires_ms`. Errors: auth.replayed, auth.too_many."""
        if nonce in self._expiries.get(key, ()):  # expired or not: the caller's look at the clock was an earlier one
            raise KehuError(AUTH_REPLAYED, key=key)
        if abs(now_ms - self._swept_ms) >= SWEEP_MS:
            self._swept_ms = now_ms
            self._forget_expired(list(self._expiries), now_ms)
        if len(self._expiries.get(key, ())) >= NONCES_PER_KEY_MAX:
            self._forget_expired([key], now_ms)
        nonces = self._expiries.setdefault(key, {})
        if len(nonces) >= NONCES_PER_KEY_MAX:
            wait_ms = max(0, min(nonces.values()) - now_ms) + 1
            raise KehuError(AUTH_TOO_MANY, key=key, limit=NONCES_PER_KEY_MAX, **{RETRY_AFTER_MS: wait_ms})
        nonces[nonce] = expires_ms

    def _forget_expired(self, keys: Iterable[bytes], now_ms: int) -> None:
        for key in keys:
            nonces = {nonce: until for nonce, until in self._expiries[key].items() if until >= now_ms}
            if nonces:
                self._expiries[key] = nonces
            else:
                del self._expiries[key]

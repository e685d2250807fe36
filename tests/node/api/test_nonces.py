"""The memory of nonces: nothing is taken twice, and nothing is kept for longer than it could be sent again."""

from __future__ import annotations

import pytest

from chain.errors import KehuError
from node.api.nonces import NonceCache

LIFE_MS = 60_000


def test_a_nonce_of_the_last_moment_is_not_taken_a_second_time_in_the_next() -> None:
    """Whoever asks has compared the expiry with the clock a moment before."""
    nonces = NonceCache()
    nonces.use(b"li", "n", 5_000, 5_000)
    with pytest.raises(KehuError, match=r"auth\.replayed"):
        nonces.use(b"li", "n", 5_000, 5_001)


def test_what_has_expired_is_forgotten_for_everybody_and_not_only_for_keys_that_are_full() -> None:
    nonces = NonceCache()
    for person in range(50):
        for number in range(10):
            nonces.use(b"%d" % person, str(number), LIFE_MS, 0)
    assert len(nonces) == 500
    nonces.use(b"li", "n", 3 * LIFE_MS, 2 * LIFE_MS)
    assert len(nonces) == 1


def test_a_key_that_is_full_is_told_to_wait_until_its_own_have_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.api.nonces.NONCES_PER_KEY_MAX", 2)
    nonces = NonceCache()
    for number in range(2):
        nonces.use(b"li", str(number), 1_000 + number, 900)
    with pytest.raises(KehuError, match=r"auth\.too_many") as caught:
        nonces.use(b"li", "2", 2_000, 1_000)
    assert caught.value.details["retry_after_ms"] == 1
    with pytest.raises(KehuError, match=r"auth\.too_many") as caught:
        nonces.use(b"li", "2", 2_000, 950)
    assert caught.value.details["retry_after_ms"] == 51
    nonces.use(b"wang", "2", 2_000, 1_000)
    nonces.use(b"li", "2", 2_000, 1_001)

"""Scenario 39: what is sealed under one key never has the same nonce twice, also after a folder was put back."""

from __future__ import annotations

import pytest

from node.vault.seal import NONCE_BYTES, seal

SEALED = 1_000_000


@pytest.mark.slow
def test_a_million_seals_under_one_key_have_a_million_nonces() -> None:
    """They are drawn: nothing is kept that a copy of the folder could repeat."""
    assert len({seal(bytes(32), b"", b"")[:NONCE_BYTES] for _ in range(SEALED)}) == SEALED

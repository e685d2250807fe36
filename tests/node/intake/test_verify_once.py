"""Good signatures are remembered, and nothing else is."""

from __future__ import annotations

import pytest

from chain.crypto import SigningKey, digest, verify
from node.intake import verification
from node.intake.verification import RememberedSignatures

KEY, OTHER = SigningKey(bytes(32)), SigningKey(bytes([1] * 32))
CHAIN, OTHER_CHAIN = digest("genesis", b"one"), digest("genesis", b"another")
GOOD = KEY.sign("transaction", CHAIN, b"body")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Every verification that is really made."""
    made: list[tuple[object, ...]] = []

    def noted(*question: object) -> bool:
        made.append(question)
        return verify(*question)  # type: ignore[arg-type]

    monkeypatch.setattr(verification, "verify", noted)
    return made


def test_a_good_signature_is_verified_once(asked: list[tuple[object, ...]]) -> None:
    check = RememberedSignatures()
    assert all(check(KEY.public, "transaction", CHAIN, b"body", GOOD) for _ in range(3))
    assert len(asked) == 1


def test_a_bad_signature_is_refused_every_time(asked: list[tuple[object, ...]]) -> None:
    check = RememberedSignatures()
    assert not any(check(KEY.public, "transaction", CHAIN, b"body", bytes(64)) for _ in range(3))
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("key", "purpose", "chain_id", "payload"),
    [
        (OTHER.public, "transaction", CHAIN, b"body"),
        (KEY.public, "batch", CHAIN, b"body"),
        (KEY.public, "transaction", OTHER_CHAIN, b"body"),
        (KEY.public, "transaction", CHAIN, b"another body"),
    ],
)
def test_a_remembered_signature_counts_for_nothing_but_what_it_was_made_for(
    key: bytes, purpose: str, chain_id: bytes, payload: bytes
) -> None:
    check = RememberedSignatures()
    assert check(KEY.public, "transaction", CHAIN, b"body", GOOD)
    assert not check(key, purpose, chain_id, payload, GOOD)


def test_the_oldest_is_forgotten_when_there_are_too_many(
    asked: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "REMEMBERED_MAX", 2)
    check, payloads = RememberedSignatures(), (b"a", b"b", b"c")
    signatures = {payload: KEY.sign("transaction", CHAIN, payload) for payload in payloads}
    for payload in (*payloads, b"c", b"b", b"a"):
        assert check(KEY.public, "transaction", CHAIN, payload, signatures[payload])
    assert [question[3] for question in asked] == [b"a", b"b", b"c", b"a"]

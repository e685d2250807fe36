"""Digests under tags and strict Ed25519: every verifier must draw the same line at the edges."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import crypto
from chain.crypto import SigningKey, digest, is_valid_key, signed_message, verify, verify_raw
from chain.errors import KehuError

WYCHEPROOF = Path(__file__).parents[3] / "shared" / "data" / "wycheproof" / "ed25519_test.json"
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
ORDER_EIGHT_Y = (
    int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
    int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
)
KEY = SigningKey(hashlib.sha256(b"crypto test").digest())
MESSAGE = b"what was signed"


def encoded(y: int, sign: int) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


# Every 32 bytes that some library decodes to a point of small order: five y, p more where it fits, both signs.
TORSION = [
    encoded(y + extra, sign)
    for y in (0, 1, P - 1, *ORDER_EIGHT_Y)
    for extra in (0, P)
    for sign in (0, 1)
    if y + extra < 1 << 255
]


def test_there_are_fourteen_encodings_of_small_order() -> None:
    assert len(set(TORSION)) == 14


@pytest.mark.parametrize("point", TORSION)
def test_a_point_of_small_order_is_no_key_and_verifies_nothing(point: bytes) -> None:
    assert not is_valid_key(point)
    # With such a key S = 0, R = the identity verifies every message in lenient libraries.
    for commitment in TORSION:
        assert not verify_raw(point, MESSAGE, commitment + bytes(32))
    with pytest.raises(KehuError) as caught:
        crypto.require_key(point)
    assert caught.value.code == "key.invalid"


@pytest.mark.parametrize("point", TORSION)
def test_a_point_of_small_order_is_no_commitment(point: bytes) -> None:
    """S is made to fit: S = k a, so that S B = R + k A up to the torsion in R, which cofactored libraries drop."""
    scalar = hashlib.sha512(KEY.seed).digest()[:32]
    a = int.from_bytes(scalar, "little") & ~7 & ((1 << 254) - 1) | 1 << 254
    k = int.from_bytes(hashlib.sha512(point + KEY.public + MESSAGE).digest(), "little")
    assert not verify_raw(KEY.public, MESSAGE, point + (k * a % L).to_bytes(32, "little"))


@pytest.mark.parametrize("extra", range(19))
def test_a_y_that_is_not_reduced_is_no_key_and_no_commitment(extra: int) -> None:
    for sign in (0, 1):
        point = encoded(P + extra, sign)
        assert not is_valid_key(point)
        assert not verify_raw(KEY.public, MESSAGE, point + KEY.sign_raw(MESSAGE)[32:])


@given(st.binary(max_size=64))
def test_s_plus_multiples_of_the_order_is_refused(message: bytes) -> None:
    signature = KEY.sign_raw(message)
    assert verify_raw(KEY.public, message, signature)
    s = int.from_bytes(signature[32:], "little")
    for multiple in range(1, 16):
        if s + multiple * L < 1 << 256:
            assert not verify_raw(KEY.public, message, signature[:32] + (s + multiple * L).to_bytes(32, "little"))


@given(st.integers(0, 511))
def test_any_flipped_bit_of_a_signature_is_refused(bit: int) -> None:
    signature = bytearray(KEY.sign_raw(MESSAGE))
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify_raw(KEY.public, MESSAGE, bytes(signature))


@pytest.mark.parametrize("length", [0, 1, 31, 33, 63, 65, 128])
def test_other_lengths_are_refused(length: int) -> None:
    assert not verify_raw(KEY.public, MESSAGE, bytes(length))
    assert not verify_raw(bytes(length), MESSAGE, KEY.sign_raw(MESSAGE))
    with pytest.raises(KehuError):
        SigningKey(bytes(length))


def test_a_point_that_is_not_on_the_curve_verifies_nothing() -> None:
    assert not verify_raw(encoded(2, 0), MESSAGE, KEY.sign_raw(MESSAGE))


@pytest.mark.skipif(not WYCHEPROOF.exists(), reason="the Wycheproof vectors are not beside this checkout")
def test_the_wycheproof_vectors_are_judged_as_they_say() -> None:
    groups = json.loads(WYCHEPROOF.read_text())["testGroups"]
    judged = 0
    for group in groups:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            is_good = verify_raw(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert is_good == (case["result"] == "valid"), case
            judged += 1
    assert judged > 100


@pytest.mark.parametrize("changed", ["key", "purpose", "chain", "payload"])
def test_a_signature_counts_for_one_key_purpose_chain_and_payload(changed: str) -> None:
    chain, other = digest("genesis", b"one"), digest("genesis", b"other")
    signature = KEY.sign("batch", chain, b"payload")
    assert verify(KEY.public, "batch", chain, b"payload", signature)
    assert not verify(
        SigningKey(bytes(32)).public if changed == "key" else KEY.public,
        "transaction" if changed == "purpose" else "batch",
        other if changed == "chain" else chain,
        b"payloae" if changed == "payload" else b"payload",
        signature,
    )


def test_digests_and_messages_are_the_documented_bytes() -> None:
    assert digest("block", b"abc") == hashlib.sha256(b"kehu/block\x00abc").digest()
    assert signed_message("commit", bytes(32), b"abc") == b"kehu/sign/commit\x00" + bytes(32) + b"abc"


def test_a_key_shows_its_public_half_only() -> None:
    assert KEY.seed.hex() not in repr(KEY)
    assert KEY.public.hex() in repr(KEY)

"""Attestations: their bytes, kept by golden vectors, and what their signature holds together.

KEHU_REGENERATE_VECTORS=1 writes tests/vectors/attestation.json anew; a change in it is a change of the format.
"""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from chain import codec
from chain.attestation import (
    CHANGED,
    DATED,
    FOUND,
    NO_ANSWER,
    NONE,
    OUTCOMES,
    SAME,
    Attestation,
    Outcome,
    identifier_digest_of,
    phone_digest_of,
    sign_attestation,
)
from chain.crypto import SigningKey, digest
from chain.errors import KehuError
from chain.records import field_digest

VECTORS = Path(__file__).parent.parent / "vectors" / "attestation.json"
KEY = SigningKey(digest("test", b"gateway"))
CHAIN = digest("genesis", b"test")
OTHER = digest("test", b"other")
PHONE_SALT, IDENTIFIER_SALT = digest("test", b"phone salt"), digest("test", b"identifier salt")
NUMBER, IDENTIFIER = "+8613800138000", "a6k3wq5cdlnzxj2vtrys7m4efuob"


def attest(outcome: Outcome = FOUND, **changes: Any) -> Attestation:
    given: dict[str, Any] = {
        "customer": "c-0001",
        "phone_digest": phone_digest_of(CHAIN, "c-0001", PHONE_SALT, NUMBER),
        "outcome": outcome,
        "identifier_digest": identifier_digest_of(CHAIN, "c-0001", IDENTIFIER_SALT, IDENTIFIER)
        if outcome == FOUND
        else None,
        "since_day": 20_048 if outcome in DATED else None,
        "carrier": "移动-1",
        "time_ms": 1_732_200_000_000,
        "gateway": "gateway-1",
        "nonce": bytes(range(16)),
    }
    return sign_attestation(KEY, CHAIN, **(given | changes))


def made_vectors() -> dict[str, Any]:
    """What this code makes of the fixed inputs above: digests and attestations, bytes as hex."""
    attestations = []
    for outcome in OUTCOMES:
        made = attest(outcome)
        attestations.append(
            {
                "outcome": outcome,
                "payload": made.payload().hex(),
                "signature": made.signature.hex(),
                "bytes": codec.encode(made.to_value()).hex(),
            }
        )
    values: list[Any] = [NUMBER, "王小明", None, 7, ["a", True], {"city": "北京"}]
    digests = [
        {
            "table": "customers",
            "record": "c-0001",
            "field": "phone",
            "salt": PHONE_SALT.hex(),
            "value": value,
            "digest": field_digest(CHAIN, "customers", "c-0001", "phone", PHONE_SALT, value).hex(),
        }
        for value in values
    ]
    return {
        "chain_id": CHAIN.hex(),
        "gateway_key": KEY.public.hex(),
        "field_digests": digests,
        "identifier": {"salt": IDENTIFIER_SALT.hex(), "value": IDENTIFIER},
        "attestations": attestations,
    }


def test_attestation_golden_vectors_are_what_the_code_makes() -> None:
    made = made_vectors()
    if os.environ.get("KEHU_REGENERATE_VECTORS") == "1":
        VECTORS.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert json.loads(VECTORS.read_text(encoding="utf-8")) == made


def test_attestations_of_the_golden_vectors_decode_and_verify() -> None:
    kept = json.loads(VECTORS.read_text(encoding="utf-8"))
    assert len(kept["attestations"]) == 5
    for vector in kept["attestations"]:
        read = Attestation.from_value(codec.decode(bytes.fromhex(vector["bytes"]), 1024))
        assert read.outcome == vector["outcome"]
        assert read.is_valid(bytes.fromhex(kept["gateway_key"]), bytes.fromhex(kept["chain_id"]))
        assert codec.encode(read.to_value()).hex() == vector["bytes"]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_attestation_survives_its_encoding_and_verifies(outcome: Outcome) -> None:
    made = attest(outcome)
    read = Attestation.from_value(codec.decode(codec.encode(made.to_value()), 1024))
    assert read == made
    assert read.is_valid(KEY.public, CHAIN)


CHANGES: dict[str, Any] = {
    "customer": "c-0002",
    "phone_digest": OTHER,
    "identifier_digest": OTHER,
    "since_day": 20_049,
    "carrier": "移动-2",
    "time_ms": 1_732_200_000_001,
    "gateway": "gateway-2",
    "nonce": bytes(16),
    "signature": bytes(64),
}


def test_the_tampering_test_below_covers_every_field() -> None:
    assert set(CHANGES) | {"outcome"} == {field.name for field in fields(Attestation)}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_changing_any_field_breaks_the_signature(name: str) -> None:
    outcome = SAME if name == "since_day" else FOUND
    assert not replace(attest(outcome), **{name: CHANGES[name]}).is_valid(KEY.public, CHAIN)


def test_an_answer_cannot_be_turned_into_another_outcome() -> None:
    assert not replace(attest(NO_ANSWER), outcome=NONE).is_valid(KEY.public, CHAIN)
    assert not replace(attest(FOUND), outcome=NONE, identifier_digest=None).is_valid(KEY.public, CHAIN)
    assert not replace(attest(CHANGED), outcome=SAME).is_valid(KEY.public, CHAIN)


def test_an_attestation_counts_for_one_key_and_one_chain_only() -> None:
    assert not attest().is_valid(SigningKey(OTHER).public, CHAIN)
    assert not attest().is_valid(KEY.public, OTHER)


def test_a_signature_for_another_purpose_is_no_attestation() -> None:
    made = attest()
    assert not replace(made, signature=KEY.sign("prepare", CHAIN, made.payload())).is_valid(KEY.public, CHAIN)


def test_the_same_identifier_under_the_same_salt_has_the_same_digest_for_one_customer_only() -> None:
    digest_of = identifier_digest_of(CHAIN, "c-0001", IDENTIFIER_SALT, IDENTIFIER)
    assert identifier_digest_of(CHAIN, "c-0001", IDENTIFIER_SALT, IDENTIFIER) == digest_of
    assert identifier_digest_of(CHAIN, "c-0002", IDENTIFIER_SALT, IDENTIFIER) != digest_of
    assert identifier_digest_of(CHAIN, "c-0001", IDENTIFIER_SALT, IDENTIFIER[::-1]) != digest_of
    assert digest_of == field_digest(CHAIN, "customers", "c-0001", "identifier", IDENTIFIER_SALT, IDENTIFIER)


@pytest.mark.parametrize(
    "changes",
    [
        {"identifier_digest": None},
        {"outcome": NONE, "identifier_digest": OTHER},
        {"outcome": NO_ANSWER, "identifier_digest": OTHER},
        {"outcome": "maybe"},
        {"since_day": 20_048},
        {"outcome": SAME, "since_day": None},
        {"outcome": CHANGED, "identifier_digest": None, "since_day": -1},
        {"outcome": SAME, "since_day": 20_048, "identifier_digest": OTHER},
        {"customer": ""},
        {"customer": "c" * 65},
        {"customer": 1},
        {"phone_digest": bytes(31)},
        {"identifier_digest": bytes(33)},
        {"time_ms": -1},
        {"time_ms": True},
        {"time_ms": 1 << 64},
        {"gateway": ""},
        {"carrier": b"m"},
        {"nonce": bytes(15)},
    ],
)
def test_an_attestation_with_a_field_out_of_its_range_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(KehuError) as caught:
        attest(**changes)
    assert caught.value.code == "codec.shape"


def test_decoding_refuses_other_versions_and_shapes() -> None:
    good = attest().to_value()
    wrong = [
        None,
        {},
        [],
        good[:-1],
        [*good, 0],
        [1, *good[1:]],
        [3, *good[1:]],
        [True, *good[1:]],
        [*good[:-1], bytes(63)],
    ]
    for value in wrong:
        with pytest.raises(KehuError) as caught:
            Attestation.from_value(value)
        assert caught.value.code == "codec.shape"

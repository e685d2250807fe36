"""Attestations: what a gateway heard from a carrier, under the gateway's signature.

A contract can't call out, so the carrier's answer comes in as a value. It names the customer, and the number
and the identifier only as field digests; the contract compares the digests with the record. A new subscriber
of the same number has another identifier, hence another digest under the same salt. A platform that names no
identifiers says instead whether the subscriber has been the same since a day.

Whether the gateway is enrolled, the attestation fresh, and its nonce unused, is for the contract to say.
The format is docs/spec/attestation.md; golden vectors are tests/vectors/attestation.json.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from chain import codec
from chain.crypto import Signer, Verifier, verify
from chain.errors import CODEC_SHAPE, KehuError
from chain.records import field_digest

Outcome = Literal["found", "none", "same", "changed", "no_answer"]
FOUND: Final = "found"
"""The platform named the subscriber's identifier."""
NONE: Final = "none"
"""The platform says that the number has no subscriber: suspended, returned or never given out."""
SAME: Final = "same"
"""The platform says that the number's subscriber has not changed since a day."""
CHANGED: Final = "changed"
"""The platform says that the subscriber has changed since a day, or that there was none on it."""
NO_ANSWER: Final = "no_answer"
"""The platform could not be asked or gave no clear answer. Never to be read as "none" or "changed"."""
OUTCOMES: Final = (FOUND, NONE, SAME, CHANGED, NO_ANSWER)
DATED: Final = (SAME, CHANGED)
"""Outcomes that speak of the time since a day."""

PURPOSE: Final = "attestation"
NONCE_BYTES: Final = 16
NAME_LENGTH_MAX: Final = 64
CUSTOMER_TABLE: Final = "customers"
PHONE_FIELD: Final = "phone"
IDENTIFIER_FIELD: Final = "identifier"

DAY_MS: Final = 86_400_000
_VERSION: Final = 2
_LENGTH: Final = 11


def phone_digest_of(chain_id: bytes, customer: str, salt: bytes, number: str) -> bytes:
    """The field digest of a customer's number in E.164."""
    return field_digest(chain_id, CUSTOMER_TABLE, customer, PHONE_FIELD, salt, number)


def identifier_digest_of(chain_id: bytes, customer: str, salt: bytes, identifier: str) -> bytes:
    """The field digest of a customer's subscriber identifier."""
    return field_digest(chain_id, CUSTOMER_TABLE, customer, IDENTIFIER_FIELD, salt, identifier)


def _is_name(value: codec.Value) -> bool:
    return type(value) is str and 0 < len(value) <= NAME_LENGTH_MAX


def _is_nonce(value: codec.Value) -> bool:
    return type(value) is bytes and len(value) == NONCE_BYTES


@dataclass(frozen=True, slots=True)
class Attestation:
    """One answer. `identifier_digest` is there exactly when `outcome` is "found", `since_day` when it is dated.

    since_day: the calendar day that the platform was asked about, as days since 1970-01-01.

    customer, carrier, gateway: ids of 1 to 64 characters. phone_digest: the digest of the record's phone field
    when the platform was asked. time_ms: the gateway's clock when it had the answer, Unix time. nonce: 16 random
    bytes that make each attestation usable once. Errors: codec.shape.
    """

    customer: str
    phone_digest: bytes
    outcome: Outcome
    identifier_digest: bytes | None
    since_day: int | None
    carrier: str
    time_ms: int
    gateway: str
    nonce: bytes
    signature: bytes

    def __post_init__(self) -> None:
        codec.fields(
            self.to_value(),
            "attestation",
            lambda version: type(version) is int and version == _VERSION,
            _is_name,
            codec.is_digest,
            OUTCOMES.__contains__,
            codec.optional(codec.is_digest),
            codec.optional(codec.is_uint),
            _is_name,
            codec.is_uint,
            _is_name,
            _is_nonce,
            codec.is_signature,
        )
        if (self.outcome == FOUND) != (self.identifier_digest is not None):
            raise KehuError(
                CODEC_SHAPE,
                what="attestation",
                problem="an identifier digest belongs to the outcome found, and only to it",
                outcome=self.outcome,
            )
        if (self.outcome in DATED) != (self.since_day is not None):
            problem = "a day belongs to the outcomes same and changed, and only to them"
            raise KehuError(CODEC_SHAPE, what="attestation", problem=problem, outcome=self.outcome)

    def payload(self) -> bytes:
        """What the signature covers beside its purpose and the chain id: all other fields, in order."""
        return codec.encode_flat(self.to_value()[:-1])

    def is_valid(self, key: bytes, chain_id: bytes, check: Verifier = verify) -> bool:
        """Whether the gateway that holds `key` signed exactly this for this chain."""
        return check(key, PURPOSE, chain_id, self.payload(), self.signature)

    def to_value(self) -> codec.Value:
        return [
            _VERSION,
            self.customer,
            self.phone_digest,
            self.outcome,
            self.identifier_digest,
            self.since_day,
            self.carrier,
            self.time_ms,
            self.gateway,
            self.nonce,
            self.signature,
        ]

    @classmethod
    def from_value(cls, value: codec.Value) -> Attestation:
        if type(value) is not list or len(value) != _LENGTH or type(value[0]) is not int or value[0] != _VERSION:
            raise KehuError(CODEC_SHAPE, what="attestation", problem=f"not a list of {_LENGTH} with version {_VERSION}")
        return cls(*value[1:])


def sign_attestation(
    signer: Signer,
    chain_id: bytes,
    *,
    customer: str,
    phone_digest: bytes,
    outcome: Outcome,
    identifier_digest: bytes | None,
    carrier: str,
    time_ms: int,
    gateway: str,
    nonce: bytes,
    since_day: int | None = None,
) -> Attestation:
    """The attestation with these fields under `signer`'s signature. Errors: codec.shape."""
    names = (customer, phone_digest, outcome, identifier_digest, since_day, carrier, time_ms, gateway, nonce)
    unsigned = Attestation(*names, signature=bytes(64))
    return Attestation(*names, signature=signer.sign(PURPOSE, chain_id, unsigned.payload()))


def leading_answer(attestations: Sequence[Attestation]) -> Attestation:
    """The first that says what most of them say; clear answers go before "no_answer". There must be one at least."""
    clear = [one for one in attestations if one.outcome != NO_ANSWER] or list(attestations)
    votes = Counter((one.outcome, one.identifier_digest) for one in clear)
    return max(clear, key=lambda one: votes[one.outcome, one.identifier_digest])

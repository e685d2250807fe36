"""From a platform's answer to a signed attestation, and the check that nothing personal goes with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from chain.attestation import Attestation, identifier_digest_of, phone_digest_of, sign_attestation
from chain.crypto import Signer
from chain.errors import CODEC_SHAPE, KehuError, define
from chain.records import SALT_BYTES
from node.carrier.numbers import PHONE_MALFORMED, is_e164, national_digits
from node.carrier.platform import Answer

PHONE_MISMATCH = define(
    "carrier.phone_mismatch",
    "the phone digest is not that of this customer's number under this salt",
    "read the customer's current phone field again and ask with its number, salt and digest",
)
ATTESTATION_PERSONAL = define(
    "carrier.attestation_personal",
    "an attestation would have carried a number, an identifier or a salt in the clear",
    "give customers, carriers and gateways ids that are made of no personal value",
)


@dataclass(frozen=True, slots=True)
class Question:
    """What a gateway is asked: does `number` (E.164) still belong to the subscriber of `customer`?

    phone_digest: the customer's current phone field on the chain, which `phone_salt` opens to `number`.
    identifier_salt: 32 bytes; the salt of the recorded identifier field, or a new one for a first answer.
    since_ms: since when the number is known to be the customer's; None for a number that is new, for which it is now.
    """

    customer: str
    phone_digest: bytes
    number: str = field(repr=False)
    phone_salt: bytes = field(repr=False)
    identifier_salt: bytes = field(repr=False)
    since_ms: int | None = None

    def require_consistent(self, chain_id: bytes) -> None:
        """Raises unless the digest commits to this number: a gateway signs nothing that it can't know.

        Errors: phone.malformed, carrier.phone_mismatch, codec.shape.
        """
        if not is_e164(self.number):
            raise KehuError(PHONE_MALFORMED, rule="not in E.164")
        if len(self.identifier_salt) != SALT_BYTES:
            raise KehuError(CODEC_SHAPE, what="identifier salt", bytes=len(self.identifier_salt), expected=SALT_BYTES)
        opened = phone_digest_of(chain_id, self.customer, self.phone_salt, self.number)
        if opened != self.phone_digest:
            raise KehuError(PHONE_MISMATCH, expected=self.phone_digest, actual=opened)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Who heard the answer from whom and when: gateway and carrier ids, Unix time in ms, 16 random bytes."""

    gateway: str
    carrier: str
    time_ms: int
    nonce: bytes


def attest_answer(
    signer: Signer, chain_id: bytes, question: Question, answer: Answer, circumstances: Circumstances
) -> Attestation:
    """The attestation of `answer` under the gateway's key. Errors: carrier.attestation_personal, codec.shape."""
    identifier_digest = None
    if answer.identifier is not None:
        identifier_digest = identifier_digest_of(
            chain_id, question.customer, question.identifier_salt, answer.identifier
        )
    attestation = sign_attestation(
        signer,
        chain_id,
        customer=question.customer,
        phone_digest=question.phone_digest,
        outcome=answer.outcome,
        identifier_digest=identifier_digest,
        since_day=answer.since_day,
        carrier=circumstances.carrier,
        time_ms=circumstances.time_ms,
        gateway=circumstances.gateway,
        nonce=circumstances.nonce,
    )
    _require_nothing_personal(attestation.payload(), question, answer)
    return attestation


def _require_nothing_personal(payload: bytes, question: Question, answer: Answer) -> None:
    """Strings are plain UTF-8 in the canonical encoding, so looking for the bytes finds them in every field."""
    secrets = {
        "number": national_digits(question.number).encode(),
        "identifier": answer.identifier.encode() if answer.identifier else None,
        "phone salt": question.phone_salt,
        "identifier salt": question.identifier_salt,
    }
    for name, secret in secrets.items():
        if secret is not None and secret in payload:
            raise KehuError(ATTESTATION_PERSONAL, found=name)

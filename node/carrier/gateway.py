"""The gateway: asks a platform about a customer's number and signs what it heard.

The gateway knows the number and the salts for as long as one question takes. What leaves it under its signature,
the attestation, holds digests only; the identifier goes back to the caller, whose vault keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from chain.attestation import NONCE_BYTES, Attestation
from chain.crypto import Signer
from node.carrier.attest import Circumstances, Question, attest_answer
from node.carrier.platform import PlatformTable, Reason


@dataclass(frozen=True, slots=True)
class Attested:
    """The signed answer; with "found" the identifier behind its digest, with "no_answer" the reason.

    retry_after_ms: with "no_answer", how long the platform asked to be left alone, if it did.
    """

    attestation: Attestation
    identifier: str | None = field(default=None, repr=False)
    reason: Reason | None = None
    retry_after_ms: int | None = None


class Gateway:
    """One enrolled gateway. `clock` gives Unix time in ms; `draw(n)` gives n random bytes."""

    def __init__(
        self,
        gateway_id: str,
        key: Signer,
        platforms: PlatformTable,
        chain_id: bytes,
        clock: Callable[[], int],
        draw: Callable[[int], bytes],
    ) -> None:
        self.gateway_id = gateway_id
        self._key = key
        self._platforms = platforms
        self._chain_id = chain_id
        self._clock = clock
        self._draw = draw

    def held_ms(self, number: str) -> int:
        """How much longer the platform of `number` wants to be left alone. Errors: carrier.no_platform."""
        return self._platforms.platform_of(number).held_ms

    async def attest(
        self,
        customer: str,
        number: str,
        phone_digest: bytes,
        identifier_salt: bytes,
        *,
        phone_salt: bytes,
        since_ms: int | None = None,
    ) -> Attested:
        """`answer` to the question of these parts."""
        return await self.answer(Question(customer, phone_digest, number, phone_salt, identifier_salt, since_ms))

    async def answer(self, question: Question) -> Attested:
        """Asks the platform of the number and signs its answer, "no answer" included.

        A gateway does not sign for a digest it can't check: nothing is asked when number, salt and digest don't fit.
        The time is that of the answer.
        Errors: phone.malformed, carrier.phone_mismatch, carrier.no_platform, carrier.attestation_personal, codec.shape.
        """
        question.require_consistent(self._chain_id)
        platform = self._platforms.platform_of(question.number)
        since_ms = self._clock() if question.since_ms is None else question.since_ms
        answer = await platform.look_up(question.number, since_ms)
        circumstances = Circumstances(self.gateway_id, platform.name, self._clock(), self._draw(NONCE_BYTES))
        attestation = attest_answer(self._key, self._chain_id, question, answer, circumstances)
        return Attested(attestation, answer.identifier, answer.reason, answer.retry_after_ms)

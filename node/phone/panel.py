"""Several gateways on one number: where the policy wants k of them to agree, other departments' gateways are asked.

    phone.attest    [customer, phone digest, identifier salt, number | nil, phone salt | nil]
                    -> [attestation, identifier | nil, reason | nil]

About a recorded customer number and phone salt are nil: the asked node has them in its own vault, and so it has the
salt of a recorded identifier; the one in the request serves a first answer only. Number and salt go to another
department only if it will hold them as soon as the customer is recorded (docs/adr/0013-several-gateways.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chain import codec
from chain.attestation import NO_ANSWER, Attestation, identifier_digest_of, leading_answer
from chain.errors import KehuError, define
from chain.ledger import Ledger
from chain.records import SALT_BYTES
from chain.state import View
from contracts.deciding.policy import load_policy
from contracts.deciding.subjects import ACTIVE
from contracts.errors import ATTESTATION_OTHER_NUMBER, VAULT_NOT_ENTITLED
from contracts.people.attestations import require_about, require_attestation
from contracts.people.phone_identity import require_day
from contracts.records import load_record
from node.carrier.attest import Question
from node.carrier.gateway import Attested, Gateway
from node.phone.question import TABLE, Questions, may_hold, phone_digest_in
from node.vault.shares import Peers

ATTEST: Final = "phone.attest"
REQUEST_BYTES_MAX: Final = 4_096
TIMEOUT_S: Final = 15.0
"""For another department's gateway: its platform's deadline, its retries, and some."""

PHONE_ANSWER_MALFORMED = define(
    "phone.answer_malformed",
    "another department's node answered a question about a number with something else",
    "run matching versions on both sides",
)

log = logging.getLogger("kehu.phone")


@dataclass(frozen=True, slots=True)
class Heard:
    """What the gateways said: at least this node's own. identifier: behind the leading answer's digest, if it has
    one; reason and retry_after_ms: this node's own platform's, where it gave no answer."""

    attestations: tuple[Attestation, ...]
    identifier: str | None = field(default=None, repr=False)
    reason: str | None = None
    retry_after_ms: int | None = None

    @property
    def leading(self) -> Attestation:
        return leading_answer(self.attestations)

    def to_value(self) -> codec.Value:
        """As calls take it: one attestation, or a list of several."""
        values = [one.to_value() for one in self.attestations]
        return values[0] if len(values) == 1 else values


class Panel:
    """The own gateway and those of others. Serves them too, once `peers` is known."""

    def __init__(
        self,
        department: str,
        gateway: Gateway,
        questions: Questions,
        ledger: Ledger,
        peers: Peers | None,
        clock_ms: Callable[[], int],
    ) -> None:
        self._department, self._gateway, self._questions = department, gateway, questions
        self._ledger, self._peers, self._clock_ms = ledger, peers, clock_ms
        self.asked_by_others = 0
        if peers is not None:
            peers.handle(ATTEST, self.serve)

    def _view(self) -> View:
        return View(self._ledger.state.get)

    # --- asking

    async def ask(self, question: Question, *, is_recorded: bool) -> Heard:
        """Own platform first, then as many other departments' as are needed for k equal clear answers, if there are
        so many. Errors: those of the own gateway; others' are not."""
        own = await self._gateway.answer(question)
        answers = [own]
        required = int(load_policy(self._view())["phone"]["gateways_required"])
        others = self._others(question.customer) if required > 1 else []
        while others and (lacking := required - _agreeing(answers)) > 0:
            asked, others = others[:lacking], others[lacking:]
            requests = [self._ask_other(name, question, is_recorded=is_recorded) for name in asked]
            answers += [one for one in await asyncio.gather(*requests) if one is not None]
        attestations = tuple(one.attestation for one in answers)
        digest = leading_answer(attestations).identifier_digest
        identifiers = [one.identifier for one in answers if one.attestation.identifier_digest == digest is not None]
        return Heard(attestations, next(iter(identifiers), None), own.reason, own.retry_after_ms)

    def _others(self, customer: str) -> list[str]:
        """Other departments that have an active gateway and are entitled to the customer's number, by name."""
        view, now_ms = self._view(), self._clock_ms()
        rows = [row for _, row in self._ledger.state.scan("gateways") if row["status"] == ACTIVE]
        names = sorted({row["department"] for row in rows} - {self._department})
        return [name for name in names if may_hold(view, name, customer, "phone", now_ms)]

    async def _ask_other(self, department: str, question: Question, *, is_recorded: bool) -> Attested | None:
        if self._peers is None:
            return None
        number = [None, None] if is_recorded else [question.number, question.phone_salt]
        request = codec.encode([question.customer, question.phone_digest, question.identifier_salt, *number])
        try:
            answer = _decode_answer(await self._peers.request(department, ATTEST, request, TIMEOUT_S))
        except KehuError as error:
            log.warning("the gateway of %s was asked in vain: %s", department, error.details.get("reason", error.code))
            return None
        try:
            self._require_usable(department, question, answer)
        except KehuError as error:
            log.warning("the answer of the gateway of %s was left out: %s", department, error.code)
            return None
        return answer

    def _require_usable(self, department: str, question: Question, answer: Attested) -> None:
        """Raises unless contracts will take it for an answer of that department's gateway: one that they refuse would
        keep the others' from the record too. Errors: attestation.*, phone.answer_malformed."""
        view, said, chain_id = self._view(), answer.attestation, self._ledger.genesis.chain_id
        record = view.get(TABLE, question.customer)
        heard = {} if record is None else record["gateways"]
        require_about(said, question.customer)
        policy = load_policy(view)["phone"]
        require_attestation(chain_id, self._clock_ms(), view, said, question.phone_digest, heard, policy)
        require_day(said, question.since_ms)
        gateway, digest = view.get("gateways", said.gateway) or {}, None
        if answer.identifier is not None:
            digest = identifier_digest_of(chain_id, said.customer, question.identifier_salt, answer.identifier)
        if gateway.get("department") != department or digest != said.identifier_digest:
            raise KehuError(PHONE_ANSWER_MALFORMED, department=department)

    # --- being asked

    async def serve(self, department: str, payload: bytes) -> bytes:
        """Another department's question. Errors: vault.not_entitled, attestation.other_number, phone.unchanged,
        phone.not_held, record.unknown, codec.*, those of the gateway."""
        question = self._question_of(department, payload)
        self.asked_by_others += 1
        heard = await self._gateway.answer(question)
        return codec.encode([heard.attestation.to_value(), heard.identifier, heard.reason])

    def _question_of(self, department: str, payload: bytes) -> Question:
        customer, phone_digest, salt, number, phone_salt = _decode_request(payload)
        view, now_ms = self._view(), self._clock_ms()
        # Of a customer who is not recorded, it is the asker who knows the number: there is nothing to be entitled to.
        parties = [self._department] + ([department] if view.has(TABLE, customer) else [])
        for party in parties:
            if not may_hold(view, party, customer, "phone", now_ms):
                raise KehuError(VAULT_NOT_ENTITLED, department=party, customer=customer)
        if number is not None:
            self._questions.require_new_number(view, customer, phone_digest, number)
            return Question(customer, phone_digest, number, phone_salt, salt)
        record = load_record(view, TABLE, customer)
        current = phone_digest_in(customer, record)
        if current != phone_digest:
            raise KehuError(ATTESTATION_OTHER_NUMBER, expected=current, actual=phone_digest)
        return self._questions.of_record(customer, record, salt)


def _agreeing(answers: Sequence[Attested]) -> int:
    """How many gave the most frequent clear answer."""
    clear = [one.attestation for one in answers if one.attestation.outcome != NO_ANSWER]
    votes = Counter((one.outcome, one.identifier_digest) for one in clear)
    return max(votes.values(), default=0)


def _is_salt(value: codec.Value) -> bool:
    return type(value) is bytes and len(value) == SALT_BYTES


def _decode_request(payload: bytes) -> list[Any]:
    value = codec.decode(payload, REQUEST_BYTES_MAX)
    named = codec.fields(
        value,
        "question about a number",
        codec.is_text,
        codec.is_digest,
        _is_salt,
        codec.optional(codec.is_text),
        codec.optional(_is_salt),
    )
    return list(named)


def _decode_answer(raw: bytes) -> Attested:
    try:
        attestation, identifier, _ = codec.fields(
            codec.decode(raw, REQUEST_BYTES_MAX),
            "answer about a number",
            codec.is_list,
            codec.optional(codec.is_text),
            codec.optional(codec.is_text),
        )
        return Attested(Attestation.from_value(attestation), identifier)
    except KehuError as error:
        raise KehuError(PHONE_ANSWER_MALFORMED, reason=error.code) from None

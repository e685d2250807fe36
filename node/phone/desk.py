"""The node's side of the phone rule: asks the gateways for people who record customers, and checks again.

The contract decides what an answer means (`contracts.people.phone_status`); this desk finds who asks and may, has the
gateways asked (`node.phone.panel`), and puts the answers on the chain under the own gateway's key, "no answer" too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakValueDictionary

from chain.attestation import phone_digest_of
from chain.codec import Value
from chain.crypto import Signer
from chain.errors import KehuError, define
from chain.state import View
from chain.transaction import Call
from contracts.deciding.permissions import require_may
from contracts.deciding.policy import load_policy
from contracts.deciding.subjects import ACTIVE, Subject, subject_of_person
from contracts.errors import ATTESTATION_OTHER_DAY, ATTESTATION_REUSED, KEYS_REVOKED, KEYS_UNKNOWN, KEYS_WRONG_KIND
from contracts.records import Record, load_record
from node.carrier.attest import Question
from node.carrier.gateway import Gateway
from node.carrier.numbers import parse_number
from node.intake.own_transactions import OwnTransactions
from node.phone.due import DuePage, find_due, may_ask
from node.phone.kept import KeptIdentifiers
from node.phone.panel import Heard, Panel
from node.phone.question import TABLE, Questions
from node.vault.values import VaultValue, require_names

RATE_LIMITED_TRIES: Final = 3
"""How often a check by schedule is made when a platform wants to be left alone just then."""

_OVERTAKEN: Final = (ATTESTATION_REUSED.code, ATTESTATION_OTHER_DAY.code)
"""Refusals of an answer after another department brought later ones: of the same gateways, or one that confirmed the
subscriber, so that another day is the right one to ask about since."""

PHONE_NO_GATEWAY = define(
    "phone.no_gateway",
    "this department's node has no carrier configured or no gateway.key, so it can't ask about numbers",
    "add a [carrier] section to node.toml and a gateway (docs/carrier.md), or go through a department that has one",
)


@dataclass(frozen=True, slots=True)
class PhoneAnswer:
    """What a person who records a customer gets: one attestation or a list of them, as calls take it."""

    attestation: Value
    reason: str | None = None


class PhoneDesk:
    """`view()` gives the committed state."""

    def __init__(
        self,
        department: str,
        gateway: Gateway,
        gateway_key: Signer,
        region: str,
        chain_id: bytes,
        questions: Questions,
        panel: Panel,
        kept: KeptIdentifiers,
        view: Callable[[], View],
        own: OwnTransactions,
        clock_ms: Callable[[], int],
    ) -> None:
        self._department = department
        self._gateway = gateway
        self._gateway_key = gateway_key
        self._region = region
        self._chain_id = chain_id
        self._questions = questions
        self._panel = panel
        self._kept = kept
        self._view = view
        self._own = own
        self._clock_ms = clock_ms
        self._busy: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def attest(self, key: bytes, customer: str, phone: str, phone_salt: bytes) -> PhoneAnswer:
        """The carrier's signed answer about a number that the person behind `key` is about to record. The identifier
        that it may name is kept for that."""
        view = self._view()
        require_names(TABLE, customer, "identifier")
        record = customer if view.has(TABLE, customer) else None
        require_may(view, _person_of(view, key), "change", TABLE, record, ["phone"], self._clock_ms())
        _require_not_erased(view, customer)
        number = parse_number(phone, self._region)
        digest = phone_digest_of(self._chain_id, customer, phone_salt, number)
        self._questions.require_new_number(view, customer, digest, number)
        salt = self._questions.new_salt()
        heard = await self._panel.ask(Question(customer, digest, number, phone_salt, salt), is_recorded=False)
        _require_not_erased(self._view(), customer)  # what the platform said meanwhile is about nobody any more
        if heard.identifier is not None:
            limits = load_policy(self._view())["phone"]
            for_ms = limits["attestation_age_ms_max"] + limits["attestation_ahead_ms_max"]
            self._kept.keep(VaultValue(TABLE, customer, "identifier", salt, heard.identifier), for_ms)
        return PhoneAnswer(heard.to_value(), heard.reason)

    async def check(self, key: bytes, customer: str, max_age_ms: int | None) -> Mapping[str, Any]:
        """Asks about a recorded number unless the last answer is younger than `max_age_ms`; public facts only."""
        view = self._view()
        subject = _person_of(view, key)
        load_record(view, TABLE, customer)
        now_ms = self._clock_ms()
        if not may_ask(view, subject, customer, now_ms):
            require_may(view, subject, "change", TABLE, customer, ["phone"], now_ms)  # says why not
        return await self._check(customer, max_age_ms, subject.id)

    async def check_due(self, customer: str) -> Mapping[str, Any]:
        """A check by schedule: nobody asks for it, and it waits while the platform wants to be left alone."""
        max_age_ms = load_policy(self._view())["phone"]["sweep_age_ms"]
        result: Mapping[str, Any] = {}
        for _ in range(RATE_LIMITED_TRIES):
            held_ms = self.held_ms(customer)
            if held_ms > 0:
                await asyncio.sleep(held_ms / 1000)
            result = await self._check(customer, max_age_ms, None)
            if result.get("no_answer_reason") != "rate_limited":
                break
        return result

    def held_ms(self, customer: str) -> int:
        """How much longer the platform of the customer's number wants to be left alone. Errors: as `check`."""
        record = load_record(self._view(), TABLE, customer)
        return self._gateway.held_ms(self._questions.of_record(customer, record).number)

    async def due(self, key: bytes | None, after: int, limit: int) -> DuePage:
        """Customers whose last clear answer is older than the policy's sweep_age_ms and whose number this department
        may hold; with a key, only those that its person may have checked. `after`: the sequence number to go on after.
        """
        subject = None if key is None else _person_of(self._view(), key)
        return await find_due(self._view, self._department, subject, self._clock_ms(), after, limit)

    async def _check(self, customer: str, max_age_ms: int | None, asked_by: str | None) -> Mapping[str, Any]:
        lock = self._busy.setdefault(customer, asyncio.Lock())
        before_ms = load_record(self._view(), TABLE, customer)["checked_ms"]
        async with lock:  # answers of one gateway count in order of their times
            record = load_record(self._view(), TABLE, customer)
            checked_ms = record["checked_ms"]
            is_young = max_age_ms is not None and checked_ms is not None and self._clock_ms() - checked_ms < max_age_ms
            if is_young or checked_ms not in (None, before_ms):  # somebody asked meanwhile
                return _facts(customer, record, was_asked=False)
            question = self._questions.of_record(customer, record)
            heard = await self._panel.ask(question, is_recorded=True)
            return await self._record(customer, record, question, heard, asked_by)

    async def _record(
        self, customer: str, record: Record, question: Question, heard: Heard, asked_by: str | None
    ) -> Mapping[str, Any]:
        """Puts the answers on the chain and, where they bring a first identifier, the value into the vaults."""
        args: dict[str, Value] = {"attestation": heard.to_value()} | ({"asked_by": asked_by} if asked_by else {})
        values = []
        if "identifier" not in record["fields"] and heard.identifier is not None:
            values.append(VaultValue(TABLE, customer, "identifier", question.identifier_salt, heard.identifier))
        try:
            committed = await self._own.commit(self._gateway_key, [Call("phone.record", args)], values)
        except KehuError as error:
            now = load_record(self._view(), TABLE, customer)
            if error.code not in _OVERTAKEN or now["answers"] == record["answers"]:
                raise
            return _facts(customer, now, was_asked=False)
        return {
            **_facts(customer, load_record(self._view(), TABLE, customer), was_asked=True),
            "outcome": heard.leading.outcome,
            "no_answer_reason": heard.reason,
            "retry_after_ms": heard.retry_after_ms,
            "gateways": [one.gateway for one in heard.attestations],
            "transaction_id": committed.receipt.transaction_id.hex(),
            "height": committed.height,
        }


def _require_not_erased(view: View, customer: str) -> None:
    """Errors: record.erased."""
    if view.has(TABLE, customer):
        load_record(view, TABLE, customer)


def _person_of(view: View, key: bytes) -> Subject:
    """The person whose key signed the request. Errors: keys.unknown, keys.wrong_kind, keys.revoked."""
    row = view.get("keys", key.hex())
    if row is None:
        raise KehuError(KEYS_UNKNOWN, key=key)
    if row["kind"] != "person":
        raise KehuError(KEYS_WRONG_KIND, expected="person", actual=row["kind"])
    if row["status"] != ACTIVE:
        raise KehuError(KEYS_REVOKED, key=key)
    return subject_of_person(view, row["id"])


def _facts(customer: str, record: Record, *, was_asked: bool) -> dict[str, Any]:
    return {
        "customer": customer,
        "status": record["status"],
        "reason": record["reason"],
        "version": record["version"],
        "checked_ms": record["checked_ms"],
        "was_asked": was_asked,
    }

"""The node's side of the phone rule: asks its gateway for people who record customers, and checks again.

The contract decides what an answer means (`contracts.phone_identity`); this desk finds number and salts, asks, and
puts the answer on the chain under the gateway's key, "no answer" included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chain.attestation import FOUND, phone_digest_of
from chain.codec import Value
from chain.crypto import Signer
from chain.errors import KehuError, define
from chain.records import SALT_BYTES
from chain.state import View
from chain.transaction import Call
from contracts.errors import KEYS_REVOKED, KEYS_UNKNOWN, KEYS_WRONG_KIND
from contracts.permissions import require_may
from contracts.records import Record, load_record
from contracts.subjects import ACTIVE, Subject, subject_of_person
from node.carrier.gateway import Attested, Gateway
from node.carrier.numbers import parse_number
from node.own_transactions import OwnTransactions
from node.vault import Vault
from node.vault_values import VaultValue

TABLE: Final = "customers"

PHONE_NO_GATEWAY = define(
    "phone.no_gateway",
    "this department's node has no carrier configured, so it can't ask about numbers",
    "add a [carrier] section to node.toml and enrol the gateway, or go through a department that has one",
)
PHONE_NOT_HELD = define(
    "phone.not_held",
    "this department's vault does not hold the customer's number",
    "have the department entitled (`kehu assign` or `kehu grant`), or go through one that holds it",
)


@dataclass(frozen=True, slots=True)
class PhoneAnswer:
    """What a person who records a customer gets: `identifier` is personal, and their client commits to it."""

    attestation: Value
    identifier: str | None = field(default=None, repr=False)
    reason: str | None = None


class PhoneDesk:
    """`view()` gives the committed state; `draw(n)` n random bytes."""

    def __init__(
        self,
        gateway: Gateway,
        gateway_key: Signer,
        region: str,
        chain_id: bytes,
        vault: Vault,
        view: Callable[[], View],
        own: OwnTransactions,
        clock_ms: Callable[[], int],
        draw: Callable[[int], bytes],
    ) -> None:
        self._gateway = gateway
        self._gateway_key = gateway_key
        self._region = region
        self._chain_id = chain_id
        self._vault = vault
        self._view = view
        self._own = own
        self._clock_ms = clock_ms
        self._draw = draw

    async def attest(
        self, key: bytes, customer: str, phone: str, phone_salt: bytes, identifier_salt: bytes
    ) -> PhoneAnswer:
        """The carrier's signed answer about a number that the person behind `key` is about to record."""
        view = self._view()
        record = customer if view.has(TABLE, customer) else None
        require_may(view, _person_of(view, key), "change", TABLE, record, ["phone"], self._clock_ms())
        number = parse_number(phone, self._region)
        digest = phone_digest_of(self._chain_id, customer, phone_salt, number)
        heard = await self._gateway.attest(customer, number, digest, identifier_salt, phone_salt=phone_salt)
        return PhoneAnswer(heard.attestation.to_value(), heard.identifier, heard.reason)

    async def check(self, key: bytes, customer: str, max_age_ms: int | None) -> Mapping[str, Any]:
        """Asks about a recorded number unless the last answer is younger than `max_age_ms`; public facts only."""
        view, now_ms = self._view(), self._clock_ms()
        subject, record = _person_of(view, key), load_record(view, TABLE, customer)
        self._require_may_ask(view, subject, customer, now_ms)
        checked_ms = record["checked_ms"]
        if max_age_ms is not None and checked_ms is not None and now_ms - checked_ms < max_age_ms:
            return _facts(customer, record, was_asked=False)
        attested, value = await self._ask(customer, record)
        calls = [Call("phone.record", {"attestation": attested.attestation.to_value()})]
        committed = await self._own.commit(self._gateway_key, calls, [value] if value else [])
        after = load_record(self._view(), TABLE, customer)
        return {
            **_facts(customer, after, was_asked=True),
            "outcome": attested.attestation.outcome,
            "no_answer_reason": attested.reason,
            "transaction_id": committed.receipt.transaction_id.hex(),
            "height": committed.height,
        }

    def _require_may_ask(self, view: View, subject: Subject, customer: str, now_ms: int) -> None:
        """Whoever may contact the customer or change the number may have it checked."""
        try:
            require_may(view, subject, "contact", TABLE, customer, ["phone"], now_ms)
        except KehuError:
            require_may(view, subject, "change", TABLE, customer, ["phone"], now_ms)

    async def _ask(self, customer: str, record: Record) -> tuple[Attested, VaultValue | None]:
        """The answer and, where it brings a first identifier, the value that goes with its digest."""
        phone_digest = record["fields"]["phone"][0]
        phone = self._vault.get(TABLE, customer, "phone", phone_digest)
        if phone is None:
            raise KehuError(PHONE_NOT_HELD, customer=customer)
        salt = self._identifier_salt(customer, record)
        attested = await self._gateway.attest(customer, phone.value, phone_digest, salt, phone_salt=phone.salt)
        is_first = "identifier" not in record["fields"] and attested.attestation.outcome == FOUND
        if not is_first or attested.identifier is None:
            return attested, None
        return attested, VaultValue(TABLE, customer, "identifier", salt, attested.identifier)

    def _identifier_salt(self, customer: str, record: Record) -> bytes:
        known = record["fields"].get("identifier")
        if known is None:
            return self._draw(SALT_BYTES)
        held = self._vault.get(TABLE, customer, "identifier", known[0])
        if held is None:
            raise KehuError(PHONE_NOT_HELD, customer=customer)
        return held.salt


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

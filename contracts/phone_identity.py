"""The phone-identity rule: a customer counts as reachable only while the number is still the same subscriber's.

What a carrier answered changes the status so (status now, answer -> status then):

  (recorded)             found -> valid; else refused, or temporary as the caller chose
  temporary              found -> valid, the identifier is set; none -> temporary
  valid                  the same identifier -> valid; another -> invalid reassigned; none -> invalid unavailable
  invalid (unavailable)  as valid
  invalid (reassigned)   stays; only the customer's new number with its own answer ends it
  any                    no_answer -> unchanged, but recorded

An answer counts once `gateways_required` gateways agree on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chain import codec
from chain.attestation import NO_ANSWER, NONE, Attestation
from chain.crypto import digest
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.attestations import Heard, require_about, require_attestation
from contracts.base import ATTESTATION, Args, is_record_id, methods, stamp
from contracts.errors import CALL_ARGUMENTS, PHONE_IDENTIFIER, PHONE_NO_IDENTIFIER
from contracts.permissions import require_may
from contracts.policy import load_policy
from contracts.records import Record, load_record, write_fields
from contracts.subjects import ACTIVE, Subject, resolve_sender

VALID: Final = "valid"
TEMPORARY: Final = "temporary"
INVALID: Final = "invalid"
REASSIGNED: Final = "reassigned"
UNAVAILABLE: Final = "unavailable"


@dataclass(frozen=True, slots=True)
class Standing:
    """A customer's phone status: reason is None unless invalid; identifier is a digest or None."""

    status: str
    reason: str | None
    identifier: bytes | None


def judge(now: Standing, outcome: str, identifier: bytes | None) -> Standing:
    """What an agreed answer makes of a status; the table above."""
    if outcome == NO_ANSWER or now.reason == REASSIGNED:
        return now
    if outcome == NONE:
        return now if now.status == TEMPORARY else Standing(INVALID, UNAVAILABLE, now.identifier)
    if now.identifier is None or now.identifier == identifier:
        return Standing(VALID, None, identifier)
    return Standing(INVALID, REASSIGNED, now.identifier)


_UNASKED: Final = Standing(TEMPORARY, None, None)


def new_phone_facts() -> dict[str, Any]:
    """The phone's public facts of a record that no carrier has been asked about."""
    return {"status": TEMPORARY, "reason": None, "checked_ms": None, "answers": 0, "gateways": {}}


def standing_of(record: Record) -> Standing:
    identifier = record["fields"].get("identifier")
    return Standing(record["status"], record["reason"], None if identifier is None else identifier[0])


def hear(
    context: CallContext, view: View, record: Record, now: Standing, phone_digest: bytes, attestation: Attestation
) -> Standing:
    """Takes an attestation: checks it, notes it in `record` and in the answers, and says what follows from `now`.

    The caller stores the record, with the identifier if there is a new one. Errors: attestation.*.
    """
    policy = load_policy(view)["phone"]
    heard: Heard = record["gateways"]
    require_attestation(context, view, attestation, phone_digest, heard, policy)
    heard[attestation.gateway] = [attestation.time_ms, attestation.outcome, attestation.identifier_digest]
    is_agreed = attestation.outcome != NO_ANSWER and _is_agreed(context, view, attestation, heard, policy)
    then = judge(now, attestation.outcome, attestation.identifier_digest) if is_agreed else now
    if is_agreed:
        record["checked_ms"] = attestation.time_ms
    record["status"], record["reason"] = then.status, then.reason
    record["answers"] += 1
    _write_answer(context, view, record, attestation, is_agreed)
    return then


def _is_agreed(
    context: CallContext, view: View, attestation: Attestation, heard: Heard, policy: Mapping[str, int]
) -> bool:
    """Whether enough active gateways have said the same recently; this one has, just now."""
    agreeing, required = 1, policy["gateways_required"]
    earliest = context.time_ms - policy["attestation_age_ms_max"]
    answer = [attestation.outcome, attestation.identifier_digest]
    for gateway, (time_ms, *said) in heard.items():
        if agreeing >= required:
            break
        if gateway == attestation.gateway or time_ms < earliest or said != answer:
            continue
        row = view.get("gateways", gateway)
        agreeing += row is not None and row["status"] == ACTIVE
    return agreeing >= required


def _write_answer(context: CallContext, view: View, record: Record, attestation: Attestation, is_agreed: bool) -> None:
    answer = {
        "outcome": attestation.outcome,
        "gateway": attestation.gateway,
        "carrier": attestation.carrier,
        "asked_ms": attestation.time_ms,
        "attestation": digest("attestation", codec.encode_flat(attestation.to_value())),
        "agreed": is_agreed,
        "status": record["status"],
        "reason": record["reason"],
        **stamp(context),
    }
    view.put("answers", f"{attestation.customer}.{record['answers']}", answer)


def take_number(
    context: CallContext, view: View, record: Record, customer: str, digests: Mapping[str, bytes], args: Args
) -> dict[str, bytes]:
    """A number that is new to `record` (a fresh one or a changed phone), with its own answer if there is one.

    Gives the field digests to store. Errors: phone.no_identifier, phone.identifier_unattested, attestation.*.
    """
    then = _UNASKED
    record["status"], record["reason"], record["checked_ms"] = then.status, then.reason, None
    if args["attestation"] is not None:
        attestation = Attestation.from_value(args["attestation"])
        require_about(attestation, customer)
        then = hear(context, view, record, then, digests["phone"], attestation)
    if digests.get("identifier", then.identifier) != then.identifier:
        raise KehuError(PHONE_IDENTIFIER, customer=customer)
    if then.identifier is not None:
        return {**digests, "identifier": then.identifier}
    if not args["temporary"]:
        raise KehuError(PHONE_NO_IDENTIFIER, customer=customer)
    return dict(digests)


def forget_answers(record: Record) -> None:
    """What gateways said about the old number no longer counts; that they said it still guards against reuse."""
    record["gateways"] = {gateway: [time_ms, None, None] for gateway, (time_ms, *_) in record["gateways"].items()}


def record_answer(context: CallContext, view: View, args: Args) -> codec.Value:
    """An answer about a recorded customer, brought by a gateway, a node, or somebody who may change the number."""
    sender = resolve_sender(context, view)
    attestation = Attestation.from_value(args["attestation"])
    customer = attestation.customer
    if not is_record_id(customer):
        raise KehuError(CALL_ARGUMENTS, call="phone.record", argument="attestation", expected="a customer's id in it")
    record = load_record(view, "customers", customer)
    if sender.kind == "person":
        require_may(view, sender, "change", "customers", customer, ["phone"], context.time_ms)
    before = standing_of(record)
    then = hear(context, view, record, before, record["fields"]["phone"][0], attestation)
    _store(context, view, sender, customer, record, before, then)
    return {
        "customer": customer,
        "status": then.status,
        "reason": then.reason,
        "version": record["version"],
        "answer": record["answers"],
    }


def _store(
    context: CallContext, view: View, sender: Subject, customer: str, record: Record, before: Standing, then: Standing
) -> None:
    """A first identifier is a change of the record's fields; a status alone is not."""
    if then.identifier is not None and then.identifier != before.identifier:
        digests = {"identifier": then.identifier}
        write_fields(context, view, sender, "customers", customer, record, digests)
    else:
        view.put("customers", customer, record)


METHODS: Final = methods(("phone.record", record_answer, {"attestation": ATTESTATION}))

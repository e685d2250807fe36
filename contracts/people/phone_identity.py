"""The phone-identity rule: a customer counts as reachable only while the number is still the same subscriber's.

Carriers' answers come in as attestations. Each is checked and becomes a row of `answers`; it counts once
`gateways_required` gateways agree on it, and then changes the status as `contracts.people.phone_status` says.

trusted_ms of a record is since when the number is known to be this customer's: when it was recorded, later when the
last answer that confirmed the subscriber came. A platform that says whether the subscriber changed "since" is believed
for that day only: for an earlier one it could name the change to this customer, for a later one it could miss a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chain import codec
from chain.attestation import DATED, DAY_MS, FOUND, NO_ANSWER, Attestation
from chain.crypto import digest
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import ATTESTATIONS, RECORD, Args, is_record_id, methods, optional, stamp
from contracts.deciding.permissions import require_may
from contracts.deciding.policy import load_policy
from contracts.deciding.subjects import ACTIVE, Subject, is_department, resolve_sender, subject_of_person
from contracts.departments.features import ANSWERS_IN_ORDER, OUT_OF_SERVICE, PRESENT_GATEWAYS
from contracts.errors import (
    ATTESTATION_OTHER_DAY,
    CALL_ARGUMENTS,
    PEOPLE_WRONG_NODE,
    PHONE_IDENTIFIER,
    PHONE_NO_IDENTIFIER,
)
from contracts.people.attestations import Heard, attestations_of, require_about, require_attestation
from contracts.people.phone_status import INVALID, TEMPORARY, UNASKED, VALID, Standing, judge
from contracts.records import Record, load_record, write_fields

_EAST_MS: Final = 14 * 3_600_000
_WEST_MS: Final = 12 * 3_600_000
"""How far time zones are from UTC. A platform counts days in its own; the contract takes any that there is."""


def new_phone_facts() -> dict[str, Any]:
    """The phone's public facts of a record that no carrier has been asked about."""
    facts = {"status": TEMPORARY, "reason": None, "checked_ms": None, "trusted_ms": None}
    return {**facts, "answers": 0, "gateways": {}}


def standing_of(record: Record) -> Standing:
    identifier = record["fields"].get("identifier")
    return Standing(record["status"], record["reason"], None if identifier is None else identifier[0])


@dataclass(frozen=True, slots=True)
class Hearing:
    """Answers about one record's number, taken one by one; who brings them, and who wanted to know (None: a schedule).

    `since_ms`: the moment since which a platform is to vouch for the subscriber; None for a number that is new, for
    which it is the moment of the answer itself.
    """

    context: CallContext
    view: View
    record: Record
    phone_digest: bytes
    since_ms: int | None
    by: Subject
    asked_by: str | None

    def take(self, now: Standing, attestation: Attestation) -> Standing:
        """Checks an attestation, notes it in `record` and in the answers, and says what follows from `now`.

        The caller stores the record, with the identifier if there is a new one. Errors: attestation.*.
        """
        context, view, record = self.context, self.view, self.record
        policy = load_policy(view)["phone"]
        heard: Heard = record["gateways"]
        require_attestation(context.chain_id, context.time_ms, view, attestation, self.phone_digest, heard, policy)
        require_day(attestation, self.since_ms)
        heard[attestation.gateway] = [attestation.time_ms, attestation.outcome, attestation.identifier_digest]
        is_agreed = (
            attestation.outcome != NO_ANSWER
            and _is_agreed(context, view, attestation, heard, policy)
            and not _is_late_identifier(now, record, attestation, policy)
            and not _is_strangers(context, now, attestation)
            and not _is_overtaken(context, record, attestation)
            and not _is_another_first(context, view, record, attestation, policy)
        )
        then = judge(now, attestation.outcome, attestation.identifier_digest) if is_agreed else now
        if is_agreed:
            record["checked_ms"] = attestation.time_ms
        if is_agreed and then.status == VALID:
            record["trusted_ms"] = attestation.time_ms
        record["status"], record["reason"] = then.status, then.reason
        record["answers"] += 1
        self._write_answer(attestation, is_agreed=is_agreed)
        return then

    def _write_answer(self, attestation: Attestation, *, is_agreed: bool) -> None:
        answer = {
            "outcome": attestation.outcome,
            "since_day": attestation.since_day,
            "gateway": attestation.gateway,
            "carrier": attestation.carrier,
            "asked_ms": attestation.time_ms,
            "attestation": digest("attestation", codec.encode_flat(attestation.to_value())),
            "agreed": is_agreed,
            "status": self.record["status"],
            "reason": self.record["reason"],
            "by": self.by.text,
            "asked_by": self.asked_by,
            **stamp(self.context),
        }
        self.view.put("answers", f"{attestation.customer}.{self.record['answers']}", answer)


def require_day(attestation: Attestation, since_ms: int | None) -> None:
    """`since_ms`: as in `Hearing`. Errors: attestation.other_day."""
    if attestation.outcome not in DATED or attestation.since_day is None:
        return
    since_ms = attestation.time_ms if since_ms is None else since_ms
    first, last = (since_ms - _WEST_MS) // DAY_MS, (since_ms + _EAST_MS) // DAY_MS
    if not first <= attestation.since_day <= last:
        raise KehuError(ATTESTATION_OTHER_DAY, first=first, last=last, actual=attestation.since_day)


def _is_late_identifier(now: Standing, record: Record, attestation: Attestation, policy: Mapping[str, int]) -> bool:
    """Whether a first identifier comes too late to be this customer's for certain.

    A customer whom Number Recycling confirmed has no identifier. One that a look-up finds is taken as theirs while
    that confirmation would still do for contact; later it could be a new subscriber's.
    """
    if attestation.outcome != FOUND or now.identifier is not None or now.status == TEMPORARY:
        return False
    return bool(attestation.time_ms - record["trusted_ms"] > policy["contact_age_ms_max"])


def _is_strangers(context: CallContext, now: Standing, attestation: Attestation) -> bool:
    """Whether an identifier is the first one of a number that was out of service since somebody vouched for it: nothing
    says that the subscriber who has it now is the one who had it then."""
    is_first = attestation.outcome == FOUND and now.identifier is None and now.status == INVALID
    return context.protocol >= OUT_OF_SERVICE and is_first


def _is_overtaken(context: CallContext, record: Record, attestation: Attestation) -> bool:
    """Whether a later answer has counted already: what one department's node brings late does not undo what another's
    platform said since."""
    checked_ms = record["checked_ms"]
    is_older = checked_ms is not None and attestation.time_ms < checked_ms
    return context.protocol >= ANSWERS_IN_ORDER and is_older


def _is_another_first(
    context: CallContext, view: View, record: Record, attestation: Attestation, policy: Mapping[str, int]
) -> bool:
    """Whether another identifier may be the recorded one under another salt.

    Nodes that ask for a first identifier draw its salt. Two that ask at once draw two, and who is late knows nothing
    of the other's yet: what was heard until shortly after the first came says nothing of a new subscriber.
    """
    if context.protocol < ANSWERS_IN_ORDER or attestation.outcome != FOUND or "identifier" not in record["fields"]:
        return False
    recorded, version = record["fields"]["identifier"]
    change = view.get("changes", f"customers.{attestation.customer}.{version}")
    is_by_answer = change is not None and change["fields"] == ["identifier"]  # and did not come with the number
    if recorded == attestation.identifier_digest or change is None or not is_by_answer:
        return False
    return bool(attestation.time_ms <= change["time_ms"] + policy["attestation_ahead_ms_max"])


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
        agreeing += _is_believed(context, view, gateway)
    return agreeing >= required


def _is_believed(context: CallContext, view: View, gateway: str) -> bool:
    """Whether what a gateway said before still counts: one of a department that was removed would be refused now."""
    row = view.get("gateways", gateway)
    if row is None or row["status"] != ACTIVE:
        return False
    return context.protocol < PRESENT_GATEWAYS or is_department(view, row["department"])


def take_number(
    context: CallContext, view: View, sender: Subject, record: Record, customer: str, args: Args
) -> dict[str, bytes]:
    """A number that is new to `record` (a fresh one or a changed phone), with its own answers if there are any.

    Gives the field digests to store. Errors: phone.no_identifier, phone.identifier_unattested, attestation.*.
    """
    digests: dict[str, bytes] = args["fields"]
    then = UNASKED
    record["status"], record["reason"], record["checked_ms"] = then.status, then.reason, None
    record["trusted_ms"] = context.time_ms
    hearing = Hearing(context, view, record, digests["phone"], None, sender, sender.text)
    for attestation in [] if args["attestation"] is None else attestations_of(args["attestation"]):
        require_about(attestation, customer)
        then = hearing.take(then, attestation)
    if digests.get("identifier", then.identifier) != then.identifier:
        raise KehuError(PHONE_IDENTIFIER, customer=customer)
    if then.identifier is not None:
        return {**digests, "identifier": then.identifier}
    if then.status != VALID and not args["temporary"]:
        raise KehuError(PHONE_NO_IDENTIFIER, customer=customer)
    return dict(digests)


def forget_answers(record: Record) -> None:
    """What gateways said about the old number no longer counts; that they said it still guards against reuse."""
    record["gateways"] = {gateway: [time_ms, None, None] for gateway, (time_ms, *_) in record["gateways"].items()}


def record_answer(context: CallContext, view: View, args: Args) -> codec.Value:
    """Answers about a recorded customer, brought by a gateway, a node, or somebody who may change the number."""
    sender = resolve_sender(context, view)
    attestations = attestations_of(args["attestation"])
    customer = attestations[0].customer
    if not is_record_id(customer):
        raise KehuError(CALL_ARGUMENTS, call="phone.record", argument="attestation", expected="a customer's id in it")
    record = load_record(view, "customers", customer)
    if sender.kind == "person":
        require_may(view, sender, "change", "customers", customer, ["phone"], context.time_ms)
    before = then = standing_of(record)
    asked_by = _asked_by(view, sender, args.get("asked_by"))
    phone_digest, since_ms = record["fields"]["phone"][0], record["trusted_ms"]
    hearing = Hearing(context, view, record, phone_digest, since_ms, sender, asked_by)
    for attestation in attestations:
        require_about(attestation, customer)
        then = hearing.take(then, attestation)
    _store(context, view, sender, customer, record, before, then)
    return {
        "customer": customer,
        "status": then.status,
        "reason": then.reason,
        "version": record["version"],
        "answer": record["answers"],
    }


def _asked_by(view: View, sender: Subject, person: str | None) -> str | None:
    """Who wanted to know, as the sender's node says; people who send speak for themselves."""
    if sender.kind == "person":
        return sender.text
    if person is None:
        return None
    asker = subject_of_person(view, person)
    if asker.department != sender.department:
        raise KehuError(PEOPLE_WRONG_NODE, expected=asker.department, actual=sender.department)
    return asker.text


def _store(
    context: CallContext, view: View, sender: Subject, customer: str, record: Record, before: Standing, then: Standing
) -> None:
    """A first identifier is a change of the record's fields; a status alone is not."""
    if then.identifier is not None and then.identifier != before.identifier:
        digests = {"identifier": then.identifier}
        write_fields(context, view, sender, "customers", customer, record, digests)
    else:
        view.put("customers", customer, record)


METHODS: Final = methods(("phone.record", record_answer, {"attestation": ATTESTATIONS, "asked_by": optional(RECORD)}))

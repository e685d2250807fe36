"""The contact gate: a number is given out only for a purpose, to who may, and while it is still the customer's."""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.execution import CallContext
from chain.state import View
from contracts.base import PURPOSE, RECORD, Args, methods
from contracts.deciding.permissions import ALLOWED, Resource, may
from contracts.deciding.policy import load_policy
from contracts.deciding.subjects import require_person
from contracts.errors import PHONE_INVALID, PHONE_RECHECK_NEEDED, PHONE_TEMPORARY
from contracts.people.phone_status import INVALID, REASSIGNED, TEMPORARY
from contracts.reading.accesses import answer_fields, record_access
from contracts.records import Record, load_record

RELEASED: Final = "released"
REFUSED: Final = "refused"


def contact(context: CallContext, view: View, args: Args) -> codec.Value:
    """Released or refused, both are recorded with their code."""
    sender, customer = require_person(context, view), args["customer"]
    record = load_record(view, "customers", customer)
    decision = may(view, sender, "contact", Resource("customers", customer, "phone", args["purpose"]), context.time_ms)
    age_ms_max = load_policy(view)["phone"]["contact_age_ms_max"]
    code = reachability(record, context.time_ms, age_ms_max) if decision.allowed else decision.code
    if code == ALLOWED:
        answers = answer_fields(record, {"phone": decision})
    else:
        answers = {"phone": {"allowed": False, "code": code}}
    outcome = RELEASED if code == ALLOWED else REFUSED
    if code == ALLOWED:
        view.put("contacts", customer, {"time_ms": context.time_ms})  # a retention period begins anew
    more: dict[str, Any] = {"outcome": outcome, "code": code}
    record_access(context, view, sender, "customers", customer, "contact", args["purpose"], answers, **more)
    return {"customer": customer, "version": record["version"], **more, "fields": answers}


def reachability(record: Record, time_ms: int, age_ms_max: int) -> str:
    """ "ok" if the number may be used now, else why not.

    A number that belongs to somebody else now stays so however often it is checked; any other status may have
    changed since the last clear answer, so an old answer asks for a new one.
    """
    if record["reason"] == REASSIGNED:
        return PHONE_INVALID.code
    if record["checked_ms"] is None or time_ms - record["checked_ms"] > age_ms_max:
        return PHONE_RECHECK_NEEDED.code
    if record["status"] == INVALID:
        return PHONE_INVALID.code
    return PHONE_TEMPORARY.code if record["status"] == TEMPORARY else ALLOWED


METHODS: Final = methods(("access.contact", contact, {"customer": RECORD, "purpose": PURPOSE}))

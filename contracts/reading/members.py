"""What belongs to a record, now or as of a height: an organisation's people, a project's participations and payments.

From these reads a client's org chart and a project's map are put together, at any height: all departments agree on
each of them, and each record shown has its row of access. Who may read nothing of the owner is refused; of the members
everybody who may read the owner sees the facts, and of their values what `may` allows today.
"""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import AFTER, FIELDS, HEIGHT, LIMIT, PURPOSE, RECORD, TABLE, Args, methods, nullable, require_early
from contracts.deciding.permissions import Case, Resource, may
from contracts.deciding.subjects import Subject, require_person, require_person_or_customer
from contracts.projects.membership import MEMBERS, count_entries, entry
from contracts.reading.access import LOOKED_AT_MAX, VALUES_MAX, require_asked
from contracts.reading.accesses import answer_fields, answer_past_fields, record_access, shown_record
from contracts.reading.versions import record_at, require_past, require_record_at
from contracts.records import Record, chosen_fields, load_record
from contracts.work_errors import ACCESS_NO_MEMBERS

FOR_CUSTOMERS: Final = (("projects", "progress"), ("projects", "progress_answers"))
"""What customers may ask for too, of their own projects."""


def members(context: CallContext, view: View, args: Args) -> codec.Value:
    """The records of `table` that belong to `record` of the table `of`, in the order in which they came."""
    require_early(context)
    sender, of, owner, table, as_of = _asked(context, view, args)
    decision = may(view, sender, "read", Resource(of, owner, None, args["purpose"]), context.time_ms)
    known = require_asked(view, table, args["fields"])
    outcome: dict[str, Any] = {"of_table": table, "as_of": as_of, "code": decision.code}
    record_access(context, view, sender, of, owner, "members", args["purpose"], {}, **outcome)
    answer = {"of": of, "record": owner, "table": table, "as_of": as_of, "allowed": decision.allowed}
    answer |= {"because": decision.because, "code": decision.code}
    if not decision.allowed:
        return {**answer, "records": [], "next": None}
    case = Case(view, sender, "read", table, args["purpose"], context.time_ms)
    last, number = count_entries(view, of, owner, table), args["after"]
    until = min(last, number + LOOKED_AT_MAX)
    shown: list[dict[str, Any]] = []
    values = 0
    while number < until and len(shown) < args["limit"] and values < VALUES_MAX:
        number += 1
        found = _member(context, view, sender, case, args, number, known)
        if found is not None:
            shown.append(found)
            values += len(found["fields"])
    return {**answer, "records": shown, "next": number if number < last else None}


def _asked(context: CallContext, view: View, args: Args) -> tuple[Subject, str, str, str, int | None]:
    of, owner, table = args["of"], args["record"], args["table"]
    is_for_customers = (of, table) in FOR_CUSTOMERS
    sender = (require_person_or_customer if is_for_customers else require_person)(context, view)
    if table not in MEMBERS.get(of, ()):
        raise KehuError(ACCESS_NO_MEMBERS, of=of, table=table, expected=", ".join(MEMBERS.get(of, ())))
    load_record(view, of, owner)
    as_of: int | None = args["as_of"]
    if as_of is not None:
        require_past(context, table, as_of)
        require_record_at(view, of, owner, as_of)
    return sender, of, owner, table, as_of


def _member(
    context: CallContext, view: View, sender: Subject, case: Case, args: Args, number: int, known: list[str]
) -> dict[str, Any] | None:
    """The member of this number, its access recorded; None if it was not there or belonged elsewhere."""
    table, as_of = args["table"], args["as_of"]
    record_id = entry(view, args["of"], args["record"], table, number)
    record = None if record_id is None else view.get(table, record_id)
    if record_id is None or record is None:
        return None
    seen = record if as_of is None else record_at(view, table, record_id, as_of)
    if seen is None or not _belongs(view, args["of"], args["record"], table, seen, as_of):
        return None
    decisions = case.decide_fields(record_id, chosen_fields(seen, args["fields"], known))
    time: dict[str, Any] = {} if as_of is None else {"as_of": as_of}
    answers = answer_fields(seen, decisions) if as_of is None else answer_past_fields(record, seen, decisions)
    record_access(context, view, sender, table, record_id, "members", args["purpose"], answers, **time)
    return shown_record(table, record_id, seen, answers, context.time_ms if as_of is None else None)


def _belongs(view: View, of: str, owner: str, table: str, record: Record, as_of: int | None) -> bool:
    """People move between organisations, and their relations with them; everything else stays where it was made."""
    if of != "organisations" or table not in ("customers", "relations"):
        return True
    if table == "customers":
        return bool(record.get("organisation") == owner)
    return any(_place(view, record[end], as_of) == owner for end in ("from", "to") if end in record)


def _place(view: View, customer: str, as_of: int | None) -> str | None:
    record = view.get("customers", customer) if as_of is None else record_at(view, "customers", customer, as_of)
    return None if record is None else record.get("organisation")


METHODS: Final = methods(
    (
        "access.members",
        members,
        {
            "of": TABLE,
            "record": RECORD,
            "table": TABLE,
            "as_of": nullable(HEIGHT),
            "after": AFTER,
            "limit": LIMIT,
            "fields": FIELDS,
            "purpose": PURPOSE,
        },
    ),
)

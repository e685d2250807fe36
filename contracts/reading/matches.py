"""Matches: a node found records with a value that somebody asked about, before recording it a second time.

Only who may read the field of a record learns that the record has the value, and it goes on the record as an access.
The value itself stays with the node: neither the call nor its result says what it is.
"""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import PURPOSE, RECORD, TABLE, Args, Argument, is_field_name, is_record_id, methods
from contracts.deciding.permissions import Case
from contracts.deciding.policy import load_policy, require_fields
from contracts.deciding.subjects import require_kind, subject_of_person
from contracts.errors import PEOPLE_WRONG_NODE
from contracts.reading.accesses import answer_fields, record_access
from contracts.records import load_with_tombstone

MATCHES_MAX: Final = 100


def match(context: CallContext, view: View, args: Args) -> codec.Value:
    """Which of the records the person may be told of; each of them gets its row of accesses."""
    node, person = require_kind(context, view, "node"), subject_of_person(view, args["person"])
    if person.department != node.department:
        raise KehuError(PEOPLE_WRONG_NODE, expected=person.department, actual=node.department)
    table, field = args["table"], args["field"]
    require_fields(load_policy(view), table, [field])
    case = Case(view, person, "read", table, args["purpose"], context.time_ms)
    told: list[str] = []
    for record_id in args["records"]:
        record = load_with_tombstone(view, table, record_id)
        decision = case.decide(record_id, field)
        if not decision.allowed or field not in record["fields"]:
            continue
        answers: dict[str, Any] = answer_fields(record, {field: decision})
        record_access(context, view, person, table, record_id, "match", args["purpose"], answers)
        told.append(record_id)
    return {"person": person.id, "table": table, "field": field, "records": told}


def _are_records(value: codec.Value) -> bool:
    if type(value) is not list or len(value) > MATCHES_MAX:
        return False
    return all(map(is_record_id, value)) and len(set(value)) == len(value)


METHODS: Final = methods(
    (
        "access.match",
        match,
        {
            "person": RECORD,
            "table": TABLE,
            "field": Argument("the name of a field", is_field_name),
            "records": Argument(f"at most {MATCHES_MAX} distinct record ids", _are_records),
            "purpose": PURPOSE,
        },
    ),
)

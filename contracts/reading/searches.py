"""Searches: who looks for records by personal values, and what a node found for them.

What is looked for may be personal, so the chain has a salted digest of the query only. The node that holds the values
looks, and names the records it found; every department then decides about each as about any read. So a node can
leave records out, but neither show one that the reader may not see nor show any off the record.

  searches/<person>.<n>   the open search: {table, query, over, fields, limit, purpose, key, department, stamp}

`over` names the fields that the query goes over. That a record was found tells something about them, so it is shown
only to who may read all of them.
"""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import (
    FIELDS,
    FIELDS_MAX,
    LIMIT,
    NOWHERE,
    PURPOSE,
    RECORD,
    TABLE,
    VERSION,
    Args,
    Argument,
    is_field_list,
    is_record_id,
    methods,
    next_number,
    require_early,
    stamp,
)
from contracts.deciding.permissions import Case
from contracts.deciding.policy import load_policy, require_fields, require_table
from contracts.deciding.subjects import ACTIVE, Subject, require_kind, require_person, subject_of_person
from contracts.errors import KEYS_REVOKED, SEARCH_OLD, SEARCH_OTHER_NODE, SEARCH_UNKNOWN
from contracts.reading.access import VALUES_MAX
from contracts.reading.accesses import answer_fields, record_access, shown_record
from contracts.records import RECORD_TABLES, chosen_fields, load_record

SEARCH_AGE_MS_MAX: Final = 300_000
"""How long a search may wait for its answer."""
FOUND_MAX: Final = 100


def search(context: CallContext, view: View, args: Args) -> codec.Value:
    """Puts on the record that somebody is going to search, for what and over which fields."""
    sender, table = require_person(context, view), args["table"]
    policy = load_policy(view)
    require_table(policy, table)
    for fields in (args["fields"], args["over"]):
        require_fields(policy, table, [field for field in fields if field != "*"])
    number = next_number(view, f"searches.{sender.id}")
    asked = {name: args[name] for name in ("table", "query", "over", "fields", "limit", "purpose")}
    row = {**asked, "key": context.key.hex(), "department": sender.department, **stamp(context)}
    view.put("searches", f"{sender.id}.{number}", row)
    more: dict[str, Any] = {"search": number, "query": args["query"], "over": args["over"]}
    record_access(context, view, sender, table, NOWHERE, "search", args["purpose"], {}, **more)
    return {"person": sender.id, "search": number, "table": table}


def found(context: CallContext, view: View, args: Args) -> codec.Value:
    """A node's answer to a search: which of the records it names the person who searched may see, field by field."""
    require_early(context)
    node = require_kind(context, view, "node")
    row = _open_search(context, view, node, args["person"], args["search"])
    view.delete("searches", f"{args['person']}.{args['search']}")
    reader = subject_of_person(view, args["person"])
    case = Case(view, reader, "read", row["table"], row["purpose"], context.time_ms)
    shown: list[dict[str, Any]] = []
    looked = values = 0
    for record_id in args["records"]:
        if len(shown) == row["limit"] or values >= VALUES_MAX:
            break
        looked += 1
        answer = _answer(context, view, reader, case, row, record_id, args["search"])
        if answer is not None:
            shown.append(answer)
            values += len(answer["fields"])
    return {
        "person": args["person"],
        "search": args["search"],
        "key": row["key"],
        "table": row["table"],
        "records": shown,
        "looked": looked,
    }


def _open_search(context: CallContext, view: View, node: Subject, person: str, number: int) -> dict[str, Any]:
    """Errors: search.unknown, search.other_node, search.old, keys.revoked."""
    row = view.get("searches", f"{person}.{number}")
    if row is None:
        raise KehuError(SEARCH_UNKNOWN, person=person, search=number)
    if row["department"] != node.department:
        raise KehuError(SEARCH_OTHER_NODE, expected=row["department"], actual=node.department)
    if context.time_ms - row["time_ms"] > SEARCH_AGE_MS_MAX:
        raise KehuError(SEARCH_OLD, person=person, search=number, limit_ms=SEARCH_AGE_MS_MAX)
    key = view.get("keys", row["key"])
    if key is None or key["status"] != ACTIVE:
        raise KehuError(KEYS_REVOKED, key=row["key"])
    return row


def _answer(
    context: CallContext, view: View, reader: Subject, case: Case, row: dict[str, Any], record_id: str, number: int
) -> dict[str, Any] | None:
    """The record as the reader may see it, its access recorded; None if the query or all fields are not for them."""
    table = row["table"]
    if not may_be_found(case, record_id, row["over"], row["fields"]) or table not in RECORD_TABLES:
        return None
    try:
        record = load_record(view, table, record_id)
    except KehuError:
        return None
    known = require_table(load_policy(view), table)
    answers = answer_fields(record, case.decide_fields(record_id, chosen_fields(record, row["fields"], known)))
    record_access(context, view, reader, table, record_id, "search", row["purpose"], answers, search=number)
    return shown_record(table, record_id, record, answers, context.time_ms)


def may_be_found(case: Case, record_id: str, over: list[str], fields: list[str]) -> bool:
    """Whether the reader may know that the record was found over these fields, and see any of those asked for."""
    if not all(case.decide(record_id, field).allowed for field in over):
        return False
    if fields == ["*"]:
        return case.decide(record_id, None).allowed
    return any(case.decide(record_id, field).allowed for field in fields)


def _are_records(value: codec.Value) -> bool:
    if type(value) is not list or len(value) > FOUND_MAX:
        return False
    return all(map(is_record_id, value)) and len(set(value)) == len(value)


METHODS: Final = methods(
    (
        "access.search",
        search,
        {
            "table": TABLE,
            "query": Argument("the salted digest of the query, 32 bytes", codec.is_digest),
            "over": Argument(
                f"at most {FIELDS_MAX} distinct field names",
                lambda value: value == [] or (is_field_list(value) and value != ["*"]),
            ),
            "fields": FIELDS,
            "limit": LIMIT,
            "purpose": PURPOSE,
        },
    ),
    (
        "access.found",
        found,
        {
            "person": RECORD,
            "search": VERSION,
            "records": Argument(f"at most {FOUND_MAX} distinct record ids", _are_records),
        },
    ),
)

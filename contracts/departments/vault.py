"""Releases: one department's vault gave values to another's. Both must be entitled to hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import DEPARTMENT, EVERY, FIELDS, RECORD, TABLE, VERSION, Args, methods, next_number, stamp
from contracts.deciding.holders import holders_of
from contracts.deciding.policy import load_policy, require_fields, require_table
from contracts.deciding.subjects import require_department, require_kind
from contracts.errors import FIELD_ABSENT, VAULT_NOT_ENTITLED, VAULT_NOT_HOLDER, VERSION_CONFLICT
from contracts.records import chosen_fields, load_record


def record_release(context: CallContext, view: View, args: Args) -> codec.Value:
    """By the releasing department's node. `version` is the record's when the values left.

    A release of an older version may be recorded after the record has changed; a later version can't exist.
    """
    sender, table, record_id = require_kind(context, view, "node"), args["table"], args["record"]
    require_department(view, args["to"])
    policy = load_policy(view)
    known = require_table(policy, table)
    if args["fields"] != [EVERY]:
        require_fields(policy, table, args["fields"])
    record = load_record(view, table, record_id)
    if args["version"] > record["version"]:
        raise KehuError(
            VERSION_CONFLICT, table=table, record=record_id, expected=args["version"], actual=record["version"]
        )
    fields = chosen_fields(record, args["fields"], known)
    entitled = holders_of(view, table, record_id, fields, context.time_ms)  # of all at once: one by one takes as often
    for field in fields:
        if field not in record["fields"]:
            raise KehuError(FIELD_ABSENT, table=table, record=record_id, field=field)
        _require_both(entitled[field], sender.department, args["to"], table, record_id, field)
    number = next_number(view, f"releases.{table}.{record_id}")
    row = {"from": sender.department, "to": args["to"], "fields": fields, "version": args["version"], **stamp(context)}
    view.put("releases", f"{table}.{record_id}.{number}", row)
    return {"table": table, "record": record_id, "release": number}


def _require_both(entitled: Sequence[str], sender: str, to: str, table: str, record_id: str, field: str) -> None:
    if sender not in entitled:
        raise KehuError(VAULT_NOT_HOLDER, department=sender, table=table, record=record_id, field=field)
    if to not in entitled:
        raise KehuError(VAULT_NOT_ENTITLED, department=to, table=table, record=record_id, field=field)


METHODS: Final = methods(
    (
        "vault.record_release",
        record_release,
        {"table": TABLE, "record": RECORD, "fields": FIELDS, "version": VERSION, "to": DEPARTMENT},
    ),
)

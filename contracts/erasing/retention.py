"""Retention: the policy says for how long a record may lie untouched; then any department's node has it erased.

The period counts from the last change of the record; for a customer from the last change of the customer or of what is
erased with it, or from the last time the number was given out, whichever is latest. People are due once revoked.
"""

from __future__ import annotations

from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import RECORD, TABLE, Args, methods
from contracts.deciding.policy import load_policy
from contracts.deciding.subjects import ACTIVE, require_kind
from contracts.departments.changes import present_protocol
from contracts.erasing.endings import ERASED, erased_together
from contracts.erasing.erasure import BY_RETENTION, CONTACTS, ERASURES, bury, require_free, require_gone_person
from contracts.erasing.holds import is_held
from contracts.errors import ERASURE_NOT_DUE, RECORD_ERASED
from contracts.records import RECORD_TABLES, load_record

REASON_TEXT: Final = "retention"


def expire(context: CallContext, view: View, args: Args) -> codec.Value:
    """By any node. The first one has it erased; for those who come after there is nothing left to do."""
    sender, table, record_id = require_kind(context, view, "node"), args["table"], args["record"]
    try:
        record = load_record(view, table, record_id)
    except KehuError as error:
        if error.spec is not RECORD_ERASED:
            raise
        return {"table": table, "record": record_id, "erased": False}
    require_free(context, view, table, record_id)
    require_gone_person(table, record_id, record)
    due_ms = expires_ms(view, table, record_id)
    if due_ms is None or due_ms > context.time_ms:
        raise KehuError(ERASURE_NOT_DUE, table=table, record=record_id, due_ms=due_ms, time_ms=context.time_ms)
    bury(context, view, sender, table, record_id, record, REASON_TEXT, BY_RETENTION)
    return {"table": table, "record": record_id, "erased": True}


def expires_ms(view: View, table: str, record_id: str) -> int | None:
    """When the record's retention period ends; None if the policy has none for its table."""
    period_ms: int | None = load_policy(view)["retention"].get(table)
    if period_ms is None:
        return None
    touched = [_changed_ms(view, *one) for one in erased_together(view, table, record_id)]
    contact = view.get(CONTACTS, record_id) if table == "customers" else None
    if contact is not None:
        touched.append(int(contact["time_ms"]))
    return max(touched) + period_ms


def _changed_ms(view: View, table: str, record_id: str) -> int:
    """When the present version was written."""
    record = view.get(table, record_id) or {"version": 0}
    change = view.get("changes", f"{table}.{record_id}.{record['version']}")
    return 0 if change is None else int(change["time_ms"])


def is_due(view: View, table: str, record_id: str, time_ms: int) -> bool:
    """Whether `expire` would erase it at this time, by the newest rules that were agreed on."""
    record = view.get(table, record_id) if table in RECORD_TABLES else None
    if record is None or ERASED in record:
        return False
    if table == "people" and record["status"] == ACTIVE:
        return False
    due_ms = expires_ms(view, table, record_id)
    if due_ms is None or due_ms > time_ms:
        return False
    version = present_protocol(view)
    return not any(is_held(view, *one, version) for one in erased_together(view, table, record_id))


def is_erased(view: View, table: str, record_id: str) -> bool:
    return view.has(ERASURES, f"{table}.{record_id}")


METHODS: Final = methods(("erasure.expire", expire, {"table": TABLE, "record": RECORD}))

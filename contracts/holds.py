"""Legal holds: while one lies on a record, nothing erases it, neither an order nor a retention period.

holds/<table>.<record>   {reason, by, stamp, released: {reason, by, stamp} | nil}: the last hold
"""

from __future__ import annotations

from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import REASON, RECORD, TABLE, Args, methods, stamp
from contracts.errors import ERASURE_HELD, ERASURE_HOLD_EXISTS, ERASURE_NOT_HELD
from contracts.records import load_record
from contracts.subjects import require_administrator

HOLDS: Final = "holds"


def held_for(view: View, table: str, record_id: str) -> str | None:
    """The reason of the hold that lies on the record; None if there is none."""
    row = view.get(HOLDS, f"{table}.{record_id}")
    return None if row is None or row["released"] is not None else str(row["reason"])


def is_held(view: View, table: str, record_id: str) -> bool:
    return held_for(view, table, record_id) is not None


def require_not_held(view: View, table: str, record_id: str) -> None:
    """Errors: erasure.held."""
    if is_held(view, table, record_id):
        raise KehuError(ERASURE_HELD, table=table, record=record_id)


def hold(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, table, record_id = require_administrator(context, view), args["table"], args["record"]
    load_record(view, table, record_id)
    if is_held(view, table, record_id):
        raise KehuError(ERASURE_HOLD_EXISTS, table=table, record=record_id)
    row = {"reason": args["reason"], "by": sender.text, **stamp(context), "released": None}
    view.put(HOLDS, f"{table}.{record_id}", row)
    return {"table": table, "record": record_id, "held": True}


def release(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, table, record_id = require_administrator(context, view), args["table"], args["record"]
    row = view.get(HOLDS, f"{table}.{record_id}")
    if row is None or row["released"] is not None:
        raise KehuError(ERASURE_NOT_HELD, table=table, record=record_id)
    row["released"] = {"reason": args["reason"], "by": sender.text, **stamp(context)}
    view.put(HOLDS, f"{table}.{record_id}", row)
    return {"table": table, "record": record_id, "held": False}


_ARGUMENTS: Final = {"table": TABLE, "record": RECORD, "reason": REASON}

METHODS: Final = methods(("erasure.hold", hold, _ARGUMENTS), ("erasure.release", release, _ARGUMENTS))

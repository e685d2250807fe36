"""Legal holds: while one lies on a record, nothing erases it, neither an order nor a retention period.

holds/<table>.<record>   {reason, by, stamp, released: {reason, by, stamp} | nil}: the last hold

One on a customer lies on the customer's participations, demands and feedback too. A relation is two customers', so that
a hold on one of them is nothing that the other's erasure would have to wait for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import REASON, RECORD, TABLE, Args, methods, stamp
from contracts.deciding.subjects import require_administrator
from contracts.departments.features import HELD_TOGETHER
from contracts.errors import ERASURE_HELD, ERASURE_HOLD_EXISTS, ERASURE_NOT_HELD
from contracts.records import load_record

HOLDS: Final = "holds"
OF_CUSTOMERS: Final = ("participations", "demands", "feedback")
"""Tables whose records a hold on their customer keeps, too."""


def held_for(view: View, table: str, record_id: str, version: int) -> str | None:
    """The reason of the hold that lies on the record, by the rules of this version; None if there is none."""
    return next((_reason(view, *place) for place in _held_places(view, table, record_id, version)), None)


def _held_places(view: View, table: str, record_id: str, version: int) -> Iterator[tuple[str, str]]:
    """The records on which there is a hold that keeps this one."""
    places = _places(view, table, record_id, version)
    return (place for place in places if _reason(view, *place) is not None)


def _places(view: View, table: str, record_id: str, version: int) -> Iterator[tuple[str, str]]:
    yield table, record_id
    row = view.get(table, record_id) if version >= HELD_TOGETHER and table in OF_CUSTOMERS else None
    if row is not None:
        yield "customers", row["customer"]


def _reason(view: View, table: str, record_id: str) -> str | None:
    row = view.get(HOLDS, f"{table}.{record_id}")
    return None if row is None or row["released"] is not None else str(row["reason"])


def is_held(view: View, table: str, record_id: str, version: int) -> bool:
    return held_for(view, table, record_id, version) is not None


def require_not_held(context: CallContext, view: View, table: str, record_id: str) -> None:
    """Errors: erasure.held, with the record that has to be released."""
    for held_table, held in _held_places(view, table, record_id, context.protocol):
        raise KehuError(ERASURE_HELD, table=held_table, record=held)


def hold(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, table, record_id = require_administrator(context, view), args["table"], args["record"]
    load_record(view, table, record_id)
    if _reason(view, table, record_id) is not None:
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

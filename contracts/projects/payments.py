"""Payments: what is due when, in which currency, and whether it is paid. Amounts are values, which finance hold."""

from __future__ import annotations

from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import DIGESTS, DIGESTS_OR_NONE, RECORD, VERSION, Args, Argument, is_within, methods
from contracts.deciding.subjects import Subject, require_person
from contracts.projects.currencies import is_currency
from contracts.projects.dues import OPEN
from contracts.projects.membership import add_entry, count_use
from contracts.records import Record
from contracts.work_errors import PAYMENT_STATE
from contracts.writing import begin_change, finish_change, load_open, register_record, require_writer, written

TABLE: Final = "payments"
PAID: Final = "paid"
CANCELLED: Final = "cancelled"


def register(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, project = require_person(context, view), args["project"]
    load_open(view, "projects", project)
    facts = {
        "project": project,
        "currency": args["currency"],
        "due_ms": args["due_ms"],
        "state": OPEN,
        "paid_ms": None,
    }
    record = register_record(context, view, sender, TABLE, args, facts, needed=("amount",))
    require_writer(context, view, sender, TABLE, args)
    add_entry(view, "projects", project, TABLE, args["payment"])
    count_use(view, "projects", project, TABLE, 1)
    return {**written(TABLE, args["payment"], record), "state": OPEN}


def update(context: CallContext, view: View, args: Args) -> codec.Value:
    """Amount, note and due date of a payment that is still open."""
    sender, record = _begin(context, view, args)
    return {**finish_change(context, view, sender, TABLE, args, record, {"due_ms": args["due_ms"]}), "state": OPEN}


def settle(context: CallContext, view: View, args: Args) -> codec.Value:
    """The money has come, at `paid_ms`."""
    sender, record = _begin(context, view, args)
    return _end(context, view, sender, args, record, {"state": PAID, "paid_ms": args["paid_ms"]})


def cancel(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, record = _begin(context, view, args)
    return _end(context, view, sender, args, record, {"state": CANCELLED})


def _begin(context: CallContext, view: View, args: Args) -> tuple[Subject, Record]:
    sender, record = begin_change(context, view, TABLE, args)
    if record["state"] != OPEN:
        raise KehuError(PAYMENT_STATE, payment=args["payment"], state=record["state"])
    return sender, record


def _end(
    context: CallContext, view: View, sender: Subject, args: Args, record: Record, facts: dict[str, codec.Value]
) -> dict[str, codec.Value]:
    count_use(view, "projects", record["project"], TABLE, -1)
    return {**finish_change(context, view, sender, TABLE, args, record, facts), "state": facts["state"]}


_TIME: Final = Argument("UTC milliseconds", is_within(1, 1 << 62))

METHODS: Final = methods(
    (
        "payments.register",
        register,
        {
            "payment": RECORD,
            "project": RECORD,
            "currency": Argument("a currency code of ISO 4217", is_currency),
            "due_ms": _TIME,
            "fields": DIGESTS,
        },
    ),
    ("payments.update", update, {"payment": RECORD, "version": VERSION, "due_ms": _TIME, "fields": DIGESTS_OR_NONE}),
    ("payments.settle", settle, {"payment": RECORD, "version": VERSION, "paid_ms": _TIME, "fields": DIGESTS_OR_NONE}),
    ("payments.cancel", cancel, {"payment": RECORD, "version": VERSION, "fields": DIGESTS_OR_NONE}),
)

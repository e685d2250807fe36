"""Demands: what a customer asked for, registered by any department, with its state."""

from __future__ import annotations

from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import DIGESTS, DIGESTS_OR_NONE, RECORD, VERSION, Args, Argument, methods, nullable, one_of
from contracts.deciding.subjects import require_person
from contracts.projects.membership import add_entry, count_use, require_room
from contracts.projects.participations import require_client
from contracts.records import load_record
from contracts.work_errors import DEMAND_STATE
from contracts.writing import begin_change, finish_change, load_open, register_record, require_writer, written

TABLE: Final = "demands"
OPEN: Final = "open"
FOLLOWING: Final = {
    OPEN: ("accepted", "rejected"),
    "accepted": ("done", "rejected"),
    "done": (OPEN,),
    "rejected": (OPEN,),
}
"""State -> the states that may follow."""
PENDING: Final = (OPEN, "accepted")


def register(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, customer, project = require_person(context, view), args["customer"], args["project"]
    load_record(view, "customers", customer)
    if project is not None:
        require_client(view, customer, load_open(view, "projects", project), project)
    require_room(context, view, customer, TABLE)
    facts = {"customer": customer, "project": project, "state": OPEN}
    record = register_record(context, view, sender, TABLE, args, facts, needed=("text",))
    require_writer(context, view, sender, TABLE, args)
    add_entry(view, "customers", customer, TABLE, args["demand"])
    if project is not None:
        add_entry(view, "projects", project, TABLE, args["demand"])
        count_use(view, "projects", project, TABLE, 1)
    return {**written(TABLE, args["demand"], record), "state": OPEN}


def update(context: CallContext, view: View, args: Args) -> codec.Value:
    """Text, answer and state; the state may stay as it is."""
    sender, record = begin_change(context, view, TABLE, args)
    before, after = record["state"], args["state"]
    if after not in (before, *FOLLOWING[before]):
        raise KehuError(DEMAND_STATE, demand=args["demand"], actual=before, expected=", ".join(FOLLOWING[before]))
    change = (after in PENDING) - (before in PENDING)
    if record["project"] is not None and change:
        load_open(view, "projects", record["project"])
        count_use(view, "projects", record["project"], TABLE, change)
    return {**finish_change(context, view, sender, TABLE, args, record, {"state": after}), "state": after}


METHODS: Final = methods(
    (
        "demands.register",
        register,
        {"demand": RECORD, "customer": RECORD, "project": nullable(RECORD), "fields": DIGESTS},
    ),
    (
        "demands.update",
        update,
        {
            "demand": RECORD,
            "version": VERSION,
            "state": Argument(f"one of {', '.join(FOLLOWING)}", one_of(*FOLLOWING)),
            "fields": DIGESTS_OR_NONE,
        },
    ),
)

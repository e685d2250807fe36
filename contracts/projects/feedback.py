"""Feedback: what a customer sent in, a remark or a request for correction, and how the administration resolved it."""

from __future__ import annotations

from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import ADMINISTRATION, DIGESTS, FLAG, RECORD, VERSION, Args, Argument, methods, nullable, one_of
from contracts.deciding.own import is_own
from contracts.deciding.subjects import Subject, require_kind
from contracts.departments.features import OWN_FEEDBACK
from contracts.errors import FIELD_MISSING, RECORD_UNKNOWN
from contracts.projects.membership import add_entry, require_room
from contracts.projects.participations import require_client
from contracts.records import load_record
from contracts.work_errors import FEEDBACK_AUTHOR, FEEDBACK_STATE
from contracts.writing import begin_change, finish_change, load_open, register_record, require_writer, written

TABLE: Final = "feedback"
OPEN: Final = "open"
OUTCOMES: Final = ("resolved", "rejected")
CUSTOMER_ROLE: Final = "customer"
"""A person of this role has the id of the customer they are."""


def send(context: CallContext, view: View, args: Args) -> codec.Value:
    """By the customer, or by the administration for a customer who wrote or called."""
    sender, customer, project = require_kind(context, view, "person"), args["customer"], args["project"]
    if context.protocol < OWN_FEEDBACK:
        load_record(view, "customers", customer)
    is_theirs = _require_author(sender, customer)
    load_record(view, "customers", customer)
    if context.protocol >= OWN_FEEDBACK and is_theirs and project is not None:
        _require_own(view, customer, project)
    require_room(context, view, customer, TABLE)
    if project is not None:
        require_client(view, customer, load_open(view, "projects", project), project)
    facts = {
        "customer": customer,
        "project": project,
        "correction": args["correction"],
        "own": is_theirs,
        "state": OPEN,
    }
    record = register_record(context, view, sender, TABLE, args, facts, needed=("text",))
    if not is_theirs:
        require_writer(context, view, sender, TABLE, args)
    add_entry(view, "customers", customer, TABLE, args["feedback"])
    if project is not None:
        add_entry(view, "projects", project, TABLE, args["feedback"])
    return {**written(TABLE, args["feedback"], record), "state": OPEN}


def _require_author(sender: Subject, customer: str) -> bool:
    """Whether the sender is the customer; else it must be somebody of the administration. Errors: feedback.author."""
    if sender.role == CUSTOMER_ROLE:
        if sender.id == customer:
            return True
    elif sender.department == ADMINISTRATION:
        return False
    raise KehuError(FEEDBACK_AUTHOR, subject=sender.text, customer=customer)


def _require_own(view: View, customer: str, project: str) -> None:
    """Of one that is not theirs a customer hears as much as of one that is not there. Errors: record.unknown."""
    if not is_own(view, customer, "projects", project):
        raise KehuError(RECORD_UNKNOWN, table="projects", record=project)


def resolve(context: CallContext, view: View, args: Args) -> codec.Value:
    """With what was done or why not."""
    sender, record = begin_change(context, view, TABLE, args)
    if "resolution" not in args["fields"]:
        raise KehuError(FIELD_MISSING, table=TABLE, field="resolution")
    if record["state"] != OPEN:
        raise KehuError(FEEDBACK_STATE, feedback=args["feedback"], state=record["state"])
    outcome = args["outcome"]
    return {**finish_change(context, view, sender, TABLE, args, record, {"state": outcome}), "state": outcome}


METHODS: Final = methods(
    (
        "feedback.send",
        send,
        {
            "feedback": RECORD,
            "customer": RECORD,
            "project": nullable(RECORD),
            "correction": FLAG,
            "fields": DIGESTS,
        },
    ),
    (
        "feedback.resolve",
        resolve,
        {
            "feedback": RECORD,
            "version": VERSION,
            "outcome": Argument(f"one of {', '.join(OUTCOMES)}", one_of(*OUTCOMES)),
            "fields": DIGESTS,
        },
    ),
)

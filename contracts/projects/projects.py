"""Projects, and how they travel: from department to department, to a neighbour in the policy's order.

A project's stage is the department in whose hands it is. Each hand-over is a record of its own, so that its note stays
readable when the project has gone on.
"""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import DEPARTMENT, DIGESTS, RECORD, VERSION, Args, methods
from contracts.deciding.entitlements import add_assignment
from contracts.deciding.policy import load_policy
from contracts.deciding.subjects import Subject, is_administrator, require_administrator, require_person
from contracts.projects.membership import PROJECTS_MAX, add_entry, count_use, require_unused, tie
from contracts.records import Record, require_version, write_fields
from contracts.work_errors import PROJECT_NOT_NEIGHBOUR, PROJECT_NOT_OWNER, PROJECT_SAME_STAGE, PROJECT_STAGE_UNKNOWN
from contracts.writing import (
    CLOSED,
    begin_change,
    finish_change,
    load_open,
    new_facts,
    register_record,
    require_writer,
    written,
)

TABLE: Final = "projects"
HANDOVERS: Final = "handovers"
FORWARD: Final = "forward"
BACK: Final = "back"
CORRECTION: Final = "correction"


def register(context: CallContext, view: View, args: Args) -> codec.Value:
    """A project begins at the first stage, in whose department it is registered, and is assigned to the sender."""
    sender, organisation = require_person(context, view), args["organisation"]
    load_open(view, "organisations", organisation)
    stage = _order(view)[0]
    facts = new_facts(organisation=organisation, stage=stage)
    record = register_record(context, view, sender, TABLE, args, facts, needed=("name",))
    require_writer(context, view, sender, TABLE, args)
    add_entry(view, "organisations", organisation, TABLE, args["project"])
    tie(view, "organisations", organisation, "projects", args["project"], "", PROJECTS_MAX)
    count_use(view, "organisations", organisation, TABLE, 1)
    add_assignment(context, view, TABLE, args["project"], sender.text, sender.department, sender)
    return {**written(TABLE, args["project"], record), "stage": stage}


def update(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, record = begin_change(context, view, TABLE, args)
    return finish_change(context, view, sender, TABLE, args, record)


def close(context: CallContext, view: View, args: Args) -> codec.Value:
    """By its owner or an administrator, once no demand or payment is open."""
    sender, record = begin_change(context, view, TABLE, args)
    if not is_administrator(sender):
        _require_owner(sender, args["project"], record)
    require_unused(view, TABLE, args["project"])
    count_use(view, "organisations", record["organisation"], TABLE, -1)
    return finish_change(context, view, sender, TABLE, args, record, {"status": CLOSED})


# Travelling


def hand_over(context: CallContext, view: View, args: Args) -> codec.Value:
    """By the department that has the project, to a neighbour."""
    sender = require_person(context, view)
    record = _project_at(view, args)
    order, stage, to = _order(view), record["stage"], args["to"]
    _require_owner(sender, args["project"], record)
    _require_stage(order, to)
    if stage not in order or abs(order.index(to) - order.index(stage)) != 1:
        neighbours = [order[i] for i in range(len(order)) if stage in order and abs(i - order.index(stage)) == 1]
        raise KehuError(PROJECT_NOT_NEIGHBOUR, project=args["project"], to=to, expected=", ".join(neighbours))
    kind = FORWARD if order.index(to) > order.index(stage) else BACK
    return _move(context, view, sender, record, args, kind)


def correct(context: CallContext, view: View, args: Args) -> codec.Value:
    """By an administrator, to any stage; it is on the record as a correction."""
    sender = require_administrator(context, view)
    record = _project_at(view, args)
    _require_stage(_order(view), args["to"])
    if args["to"] == record["stage"]:
        raise KehuError(PROJECT_SAME_STAGE, project=args["project"], stage=record["stage"])
    return _move(context, view, sender, record, args, CORRECTION)


def _move(context: CallContext, view: View, sender: Subject, record: Record, args: Args, kind: str) -> dict[str, Any]:
    project = args["project"]
    facts = {"project": project, "from": record["stage"], "to": args["to"], "kind": kind}
    handover = register_record(context, view, sender, HANDOVERS, args, facts, needed=("note",))
    require_writer(context, view, sender, HANDOVERS, args)
    add_entry(view, TABLE, project, HANDOVERS, args["handover"])
    write_fields(context, view, sender, TABLE, project, record, {}, facts={"stage": args["to"]})
    moved = {"project": project, "project_version": record["version"], "stage": args["to"], "kind": kind}
    return {**written(HANDOVERS, args["handover"], handover), **moved}


def _project_at(view: View, args: Args) -> Record:
    record = load_open(view, TABLE, args["project"])
    require_version(TABLE, args["project"], record, args["version"])
    return record


def _require_owner(sender: Subject, project: str, record: Record) -> None:
    if sender.department != record["stage"]:
        raise KehuError(PROJECT_NOT_OWNER, project=project, expected=record["stage"], actual=sender.department)


def _require_stage(order: list[str], stage: str) -> None:
    if stage not in order:
        raise KehuError(PROJECT_STAGE_UNKNOWN, stage=stage, expected=", ".join(order))


def _order(view: View) -> list[str]:
    """The departments in the order in which projects travel. Errors: project.stage_unknown if there is none."""
    order: list[str] = load_policy(view)["neighbours"]
    if not order:
        raise KehuError(PROJECT_STAGE_UNKNOWN, stage=None, expected="")
    return order


_HANDOVER: Final = {"handover": RECORD, "project": RECORD, "version": VERSION, "to": DEPARTMENT, "fields": DIGESTS}

METHODS: Final = methods(
    ("projects.register", register, {"project": RECORD, "organisation": RECORD, "fields": DIGESTS}),
    ("projects.update", update, {"project": RECORD, "version": VERSION, "fields": DIGESTS}),
    ("projects.close", close, {"project": RECORD, "version": VERSION}),
    ("handovers.make", hand_over, _HANDOVER),
    ("handovers.correct", correct, _HANDOVER),
)

"""Client organisations and their departments, a tree, and where in it customers have their place."""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import DIGESTS, RECORD, VERSION, Args, methods, nullable
from contracts.deciding.permissions import require_may
from contracts.deciding.policy import WITHIN, load_policy
from contracts.deciding.subjects import require_person
from contracts.departments.features import BOUNDED_WALKS
from contracts.projects.membership import (
    DEPARTMENTS_MAX,
    add_entry,
    add_entry_once,
    count_entries,
    count_use,
    leave_place,
    require_below,
    require_level,
    require_unused,
    ties_of,
)
from contracts.records import Record, load_record, load_with_tombstone, require_version, write_fields
from contracts.work_errors import RECORD_IN_USE, TREE_CYCLE, TREE_OTHER_ORGANISATION
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

ORGANISATIONS: Final = "organisations"
DEPARTMENTS: Final = "client_departments"
CUSTOMERS: Final = "customers"
_PLACE_FIELDS: Final = ("department", "organisation")
"""Who may change these texts of a customer may also place the customer."""


def register(context: CallContext, view: View, args: Args) -> codec.Value:
    sender = require_person(context, view)
    record = register_record(context, view, sender, ORGANISATIONS, args, new_facts(), needed=("name",))
    require_writer(context, view, sender, ORGANISATIONS, args)
    return written(ORGANISATIONS, args["organisation"], record)


def update(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, record = begin_change(context, view, ORGANISATIONS, args)
    return finish_change(context, view, sender, ORGANISATIONS, args, record)


def close(context: CallContext, view: View, args: Args) -> codec.Value:
    """Ends an organisation without open departments, projects and placed customers."""
    sender, record = begin_change(context, view, ORGANISATIONS, args)
    require_unused(view, ORGANISATIONS, args["organisation"])
    return finish_change(context, view, sender, ORGANISATIONS, args, record, {"status": CLOSED})


# The tree of client departments


def register_department(context: CallContext, view: View, args: Args) -> codec.Value:
    """A department at the top of its organisation (parent nil) or below another one."""
    sender, organisation = require_person(context, view), args["organisation"]
    load_open(view, ORGANISATIONS, organisation)
    _require_in(view, args["parent"], organisation)
    require_below(
        count_entries(view, ORGANISATIONS, organisation, DEPARTMENTS) + 1,
        DEPARTMENTS_MAX, ORGANISATIONS, organisation, DEPARTMENTS,
    )  # fmt: skip
    facts = new_facts(organisation=organisation, parent=args["parent"])
    record = register_record(context, view, sender, DEPARTMENTS, args, facts, needed=("name",))
    add_entry(view, ORGANISATIONS, organisation, DEPARTMENTS, args["client_department"])
    count_department(view, record, 1)
    if context.protocol >= BOUNDED_WALKS:
        _require_place(context, view, args["client_department"], args["parent"])
    require_writer(context, view, sender, DEPARTMENTS, args)
    return written(DEPARTMENTS, args["client_department"], record)


def update_department(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, record = begin_change(context, view, DEPARTMENTS, args)
    return finish_change(context, view, sender, DEPARTMENTS, args, record)


def move_department(context: CallContext, view: View, args: Args) -> codec.Value:
    """Hangs a department, with all below it, under another parent or to the top."""
    sender, record = begin_change(context, view, DEPARTMENTS, args)
    _require_in(view, args["parent"], record["organisation"])
    _require_place(context, view, args["client_department"], args["parent"])
    count_department(view, record, -1)
    result = finish_change(context, view, sender, DEPARTMENTS, args, record, {"parent": args["parent"]})
    count_department(view, record, 1)
    return result


def close_department(context: CallContext, view: View, args: Args) -> codec.Value:
    """Ends a department in which nothing and nobody is left."""
    sender, record = begin_change(context, view, DEPARTMENTS, args)
    require_unused(view, DEPARTMENTS, args["client_department"])
    count_department(view, record, -1)
    return finish_change(context, view, sender, DEPARTMENTS, args, record, {"status": CLOSED})


def count_department(view: View, record: Record, change: int) -> None:
    """In the organisation and in the parent, which can't be closed while it has departments."""
    count_use(view, ORGANISATIONS, record["organisation"], DEPARTMENTS, change)
    if record["parent"] is not None:
        count_use(view, DEPARTMENTS, record["parent"], DEPARTMENTS, change)


def _require_in(view: View, department: str | None, organisation: str | None) -> None:
    """That an open department is in an organisation. Errors: record.*, tree.other_organisation."""
    if department is None:
        return
    actual = load_open(view, DEPARTMENTS, department)["organisation"]
    if actual != organisation:
        raise KehuError(TREE_OTHER_ORGANISATION, client_department=department, expected=organisation, actual=actual)


def _require_place(context: CallContext, view: View, department: str, parent: str | None) -> None:
    """Walks up from the new parent, which ends soon; what is erased on the way has its place still.

    Errors: tree.cycle, tree.too_deep.
    """
    load = load_with_tombstone if context.protocol >= BOUNDED_WALKS else load_record
    above, level = parent, 0
    while above is not None:
        if above == department:
            raise KehuError(TREE_CYCLE, client_department=department, parent=parent)
        level += 1
        require_level(context, level, department)
        above = load(view, DEPARTMENTS, above)["parent"]


# Where customers have their place


def place(context: CallContext, view: View, args: Args) -> codec.Value:
    """Puts a customer into an organisation and a department of it, or into none; the move stays in the history."""
    sender, customer = require_person(context, view), args["customer"]
    record = load_record(view, CUSTOMERS, customer)
    require_may(view, sender, "change", CUSTOMERS, customer, _PLACE_FIELDS, context.time_ms)
    require_version(CUSTOMERS, customer, record, args["version"])
    after = (args["organisation"], args["client_department"])
    if after[0] is not None:
        load_open(view, ORGANISATIONS, after[0])
    _require_in(view, after[1], after[0])
    if record.get("organisation") != after[0]:
        _require_free(view, customer)
    leave_place(view, record)
    for table, owner in zip((ORGANISATIONS, DEPARTMENTS), after, strict=True):
        if owner is not None:
            count_use(view, table, owner, CUSTOMERS, 1)
    facts = {"organisation": after[0], "client_department": after[1]}
    write_fields(context, view, sender, CUSTOMERS, customer, record, {}, facts=facts)
    if after[0] is not None:
        _enter(view, customer, after[0])
    return {**written(CUSTOMERS, customer, record), **facts}


def _require_free(view: View, customer: str) -> None:
    """Who changes the organisation leaves its projects and reporting lines first. Errors: record.in_use."""
    ties = ties_of(view, CUSTOMERS, customer)
    kinds = load_policy(view)["relation_kinds"]
    for relation in ties["relations"]:
        if kinds.get(load_record(view, "relations", relation)["kind"]) == WITHIN:
            raise KehuError(RECORD_IN_USE, table=CUSTOMERS, record=customer, by=f"relations/{relation}")
    for project, participation in ties["projects"].items():
        if load_record(view, "projects", project)["status"] != CLOSED:
            raise KehuError(RECORD_IN_USE, table=CUSTOMERS, record=customer, by=f"participations/{participation}")


def _enter(view: View, customer: str, organisation: str) -> None:
    """The organisation's map shows the customer from now on, and the relations that came along."""
    add_entry_once(view, ORGANISATIONS, organisation, CUSTOMERS, customer)
    for relation in ties_of(view, CUSTOMERS, customer)["relations"]:
        add_entry_once(view, ORGANISATIONS, organisation, "relations", relation)


_ORGANISATION: Final[dict[str, Any]] = {"organisation": RECORD}
_DEPARTMENT: Final[dict[str, Any]] = {"client_department": RECORD}

METHODS: Final = methods(
    ("organisations.register", register, {**_ORGANISATION, "fields": DIGESTS}),
    ("organisations.update", update, {**_ORGANISATION, "version": VERSION, "fields": DIGESTS}),
    ("organisations.close", close, {**_ORGANISATION, "version": VERSION}),
    (
        "client_departments.register",
        register_department,
        {**_DEPARTMENT, "organisation": RECORD, "parent": nullable(RECORD), "fields": DIGESTS},
    ),
    ("client_departments.update", update_department, {**_DEPARTMENT, "version": VERSION, "fields": DIGESTS}),
    ("client_departments.move", move_department, {**_DEPARTMENT, "version": VERSION, "parent": nullable(RECORD)}),
    ("client_departments.close", close_department, {**_DEPARTMENT, "version": VERSION}),
    (
        "customers.place",
        place,
        {
            "customer": RECORD,
            "version": VERSION,
            "organisation": nullable(RECORD),
            "client_department": nullable(RECORD),
        },
    ),
)

"""Participations: what part a customer has in a project of the customer's organisation, and how they stand to it."""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import DIGESTS_OR_NONE, RECORD, VERSION, Args, Argument, methods, one_of
from contracts.deciding.entitlements import covers
from contracts.deciding.permissions import require_may
from contracts.deciding.policy import rules_about
from contracts.deciding.scopes import PROJECT
from contracts.deciding.subjects import require_person
from contracts.departments.features import WHOLE_CUSTOMER
from contracts.projects.membership import (
    PARTICIPANTS_MAX,
    PARTICIPATIONS_MAX,
    add_entry,
    count_entries,
    require_below,
    require_room,
    tie,
    ties_of,
    untie,
)
from contracts.records import load_record
from contracts.work_errors import PARTICIPATION_EXISTS, PROJECT_OTHER_ORGANISATION
from contracts.writing import (
    CLOSED,
    WEIGHT,
    WORD,
    begin_change,
    finish_change,
    load_open,
    new_facts,
    register_record,
    require_writer,
    written,
)

TABLE: Final = "participations"
CUSTOMERS: Final = "customers"
RIGHTS: Final = ("decides", "approves", "advises", "vetoes", "uses")
STANCES: Final = ("supports", "neutral", "opposes", "unknown")
_PART: Final = ("role", "right", "weight", "stance")


def register(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, customer, project = require_person(context, view), args["customer"], args["project"]
    require_client(view, customer, load_open(view, "projects", project), project)
    present = ties_of(view, "customers", customer)["projects"].get(project)
    if present is not None:
        raise KehuError(PARTICIPATION_EXISTS, project=project, customer=customer, participation=present)
    require_room(context, view, customer, TABLE)
    require_below(count_entries(view, "projects", project, TABLE) + 1, PARTICIPANTS_MAX, "projects", project, TABLE)
    require_may(view, sender, "read", "customers", customer, _opened(context, view, customer), context.time_ms)
    facts = new_facts(project=project, customer=customer, **{name: args[name] for name in _PART})
    record = register_record(context, view, sender, TABLE, args, facts)
    require_writer(context, view, sender, TABLE, args)
    tie(view, "customers", customer, "projects", project, args["participation"], PARTICIPATIONS_MAX)
    for of, owner in (("projects", project), ("customers", customer)):
        add_entry(view, of, owner, TABLE, args["participation"])
    return written(TABLE, args["participation"], record)


def _opened(context: CallContext, view: View, customer: str) -> list[str]:
    """The customer's fields that rules open to whoever has a project in hand: only who sees them all may bring the
    customer in, or a grant of one would be one of the others."""
    if context.protocol < WHOLE_CUSTOMER:
        return ["name"]
    rules = [rule for rule in rules_about(view, CUSTOMERS) if rule["scope"] == PROJECT]
    present = load_record(view, CUSTOMERS, customer)["fields"]
    return sorted({"name"} | {field for field in present if any(_opens(rule, field) for rule in rules)})


def _opens(rule: dict[str, Any], field: str) -> bool:
    """Whether people are shown the field by this rule. Of a contact they are shown the number."""
    is_shown = field == "phone" or any(action != "contact" for action in rule["actions"])
    return is_shown and covers(rule["fields"], field)


def require_client(view: View, customer: str, project: dict[str, Any], project_id: str) -> None:
    """That a customer is of the project's organisation. Errors: record.unknown, project.other_organisation."""
    actual = load_record(view, "customers", customer).get("organisation")
    if actual != project["organisation"]:
        raise KehuError(
            PROJECT_OTHER_ORGANISATION,
            project=project_id,
            customer=customer,
            expected=project["organisation"],
            actual=actual,
        )


def update(context: CallContext, view: View, args: Args) -> codec.Value:
    """The part as it is now, whole; how it was stays in the history."""
    sender, record = begin_change(context, view, TABLE, args)
    load_open(view, "projects", record["project"])
    return finish_change(context, view, sender, TABLE, args, record, {name: args[name] for name in _PART})


def close(context: CallContext, view: View, args: Args) -> codec.Value:
    """The customer takes no part any more."""
    sender, record = begin_change(context, view, TABLE, args)
    untie(view, "customers", record["customer"], "projects", record["project"])
    return finish_change(context, view, sender, TABLE, args, record, {"status": CLOSED})


_ARGUMENTS: Final = {
    "role": WORD,
    "right": Argument(f"one of {', '.join(RIGHTS)}", one_of(*RIGHTS)),
    "weight": WEIGHT,
    "stance": Argument(f"one of {', '.join(STANCES)}", one_of(*STANCES)),
    "fields": DIGESTS_OR_NONE,
}

METHODS: Final = methods(
    (
        "participations.register",
        register,
        {"participation": RECORD, "project": RECORD, "customer": RECORD, **_ARGUMENTS},
    ),
    ("participations.update", update, {"participation": RECORD, "version": VERSION, **_ARGUMENTS}),
    ("participations.close", close, {"participation": RECORD, "version": VERSION}),
)

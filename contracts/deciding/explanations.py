"""Why somebody may or may not do something: `explain`, and the call that puts the question on the record.

About anybody for administrators, about oneself for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from chain import codec
from chain.execution import CallContext
from chain.state import View
from contracts.base import (
    ACTIONS,
    EVERY,
    FIELD,
    PURPOSE,
    RECORD,
    RECORD_OR_EVERY,
    TABLE,
    Args,
    Argument,
    methods,
    one_of,
    optional,
    require_early,
)
from contracts.deciding.entitlements import assignments
from contracts.deciding.grounds import Ground, grounds
from contracts.deciding.permissions import ALLOWED, Case, Decision, Resource
from contracts.deciding.policy import load_policy, require_table
from contracts.deciding.reach import reach
from contracts.deciding.subjects import Subject, is_administrator, require_person, subject_of_person
from contracts.errors import PERMISSION_ADMINISTRATOR
from contracts.reading.accesses import record_access
from contracts.reading.trails import LOGS
from contracts.records import load_record

GROUNDS_MAX: Final = 100
"""Grounds told in one answer; of more than that, how many were left out."""
WHY: Final = "why"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, the grounds for it, those it goes by first and in order, to whom the record is assigned, and to which
    projects it belongs."""

    decision: Decision
    grounds: tuple[Ground, ...]
    assigned: tuple[str, ...]
    projects: tuple[str, ...]


def explain(view: View, subject: Subject, action: str, resource: Resource, time_ms: int) -> Explanation:
    """What `may` decides about a record (None: about all, "*"), and by which rules, grants and ties that fit or miss.
    Never another verdict: both put the same questions to the same case."""
    case = Case(view, subject, action, resource.table, resource.purpose, time_ms)
    table, record = resource.table, resource.record or EVERY
    return Explanation(
        case.decide(record, resource.field),
        tuple(grounds(view, case, table, record, resource.field)),
        tuple(assignments(view, table, record)),
        () if record == EVERY else reach(view, table, record).projects,
    )


def why(context: CallContext, view: View, args: Args) -> codec.Value:
    require_early(context)
    sender, about = require_person(context, view), subject_of_person(view, args["person"])
    require_table(load_policy(view), args["table"])
    if args["record"] != EVERY and args["table"] not in LOGS:
        load_record(view, args["table"], args["record"])
    allowed = about.id == sender.id or is_administrator(sender)
    code = ALLOWED if allowed else PERMISSION_ADMINISTRATOR.code
    asked = {name: args.get(name) for name in ("action", "table", "record", "field", "purpose")}
    record_access(context, view, sender, "people", about.id, WHY, WHY, {}, code=code, about=asked)
    answer: dict[str, Any] = {"person": about.id, **asked, "allowed": allowed, "code": code}
    if not allowed:
        return answer | {"verdict": None, "grounds": [], "left_out": 0, "assigned": [], "projects": []}
    resource = Resource(args["table"], args["record"], args.get("field"), args.get("purpose"))
    return answer | _told(explain(view, about, args["action"], resource, context.time_ms))


def _told(explanation: Explanation) -> dict[str, Any]:
    """The grounds that miss least first, so that those left out never include the one that decided."""
    decision = explanation.decision
    ordered = sorted(explanation.grounds, key=lambda ground: len(ground.misses))
    told = [
        {"name": one.name, "misses": list(one.misses), "ties": list(one.ties), "terms": one.terms}
        for one in ordered[:GROUNDS_MAX]
    ]
    return {
        "verdict": {"allowed": decision.allowed, "because": decision.because, "code": decision.code},
        "grounds": told,
        "left_out": len(ordered) - len(told),
        "assigned": list(explanation.assigned),
        "projects": list(explanation.projects),
    }


METHODS: Final = methods(
    (
        "access.why",
        why,
        {
            "person": RECORD,
            "action": Argument(f"one of {', '.join(ACTIONS)}", one_of(*ACTIONS)),
            "table": TABLE,
            "record": RECORD_OR_EVERY,
            "field": optional(FIELD),
            "purpose": optional(PURPOSE),
        },
    ),
)

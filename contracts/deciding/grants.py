"""The administration's calls about permissions: grant, revoke, assign, unassign, limit grants, set the policy."""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import (
    ACTION_LIST,
    EVERY,
    FIELDS,
    PURPOSE,
    RECORD,
    SUBJECT,
    TABLE,
    TABLE_OR_EVERY,
    Args,
    Argument,
    count_of,
    is_purpose,
    is_within,
    methods,
    nullable,
    stamp,
)
from contracts.deciding.entitlements import add_assignment, add_grant, remove_assignment, remove_grant
from contracts.deciding.policy import (
    load_policy,
    policy_row,
    require_fields,
    require_policy,
    require_table,
    write_policy,
)
from contracts.deciding.reach import PROJECT_TABLES
from contracts.deciding.scopes import ASSIGNED, GRANT_SCOPE, PROJECT, split_scope
from contracts.deciding.scopes import RECORD as RECORD_SCOPE
from contracts.deciding.subjects import (
    ACTIVE,
    REVOKED,
    is_department,
    person,
    require_administrator,
    require_department,
)
from contracts.departments.features import GRANT_LIMITS, PRESENT_SUBJECTS
from contracts.errors import (
    GRANT_EXISTS,
    GRANT_EXPIRED,
    GRANT_PURPOSE,
    GRANT_REVOKED,
    GRANT_SCOPE_EMPTY,
    GRANT_TABLE,
    GRANT_TOO_LONG,
    GRANT_UNKNOWN,
    PEOPLE_REVOKED,
)
from contracts.records import RECORD_TABLES, load_record


def grant(context: CallContext, view: View, args: Args) -> codec.Value:
    """Allows a person or department what the policy does not: these actions, here, for this purpose, until then."""
    sender = require_administrator(context, view)
    if view.has("grants", args["grant"]):
        raise KehuError(GRANT_EXISTS, grant=args["grant"])
    require_subject(context, view, args["subject"])
    _require_target(view, args)
    if args["expires_ms"] is not None and args["expires_ms"] <= context.time_ms:
        raise KehuError(GRANT_EXPIRED, time_ms=context.time_ms, expires_ms=args["expires_ms"])
    _require_limit(context, view, args["expires_ms"])
    terms: dict[str, Any] = {name: args[name] for name in _GRANT if name != "grant"}
    given = {"by": sender.text, **stamp(context)}
    view.put("grants", args["grant"], {**terms, "status": ACTIVE, "granted": given, "revoked": None})
    add_grant(view, args["grant"], terms, context.time_ms)
    return {"grant": args["grant"]}


def _require_limit(context: CallContext, view: View, expires_ms: int | None) -> None:
    """Errors: grant.too_long."""
    row = view.get(_LIMIT, "current") if context.protocol >= GRANT_LIMITS else None
    limit = None if row is None else row["duration_ms_max"]
    if limit is not None and (expires_ms is None or expires_ms > context.time_ms + limit):
        raise KehuError(GRANT_TOO_LONG, time_ms=context.time_ms, duration_ms_max=limit, expires_ms=expires_ms)


def limit_grants(context: CallContext, view: View, args: Args) -> codec.Value:
    """From the next call on no grant is given for longer than this, or without end. Those that are there stay."""
    sender = require_administrator(context, view)
    limit = args["duration_ms_max"]
    view.put(_LIMIT, "current", {"duration_ms_max": limit, "by": sender.text, **stamp(context)})
    return {"duration_ms_max": limit}


def _require_target(view: View, args: Args) -> None:
    """That table, scope and fields exist and fit each other, and that the purpose can ever match."""
    policy, table = load_policy(view), args["table"]
    kind, named = split_scope(args["scope"])
    if table == EVERY:
        if kind == RECORD_SCOPE or args["fields"] != [EVERY]:
            raise KehuError(GRANT_TABLE, scope=args["scope"])
    else:
        require_table(policy, table)
        if args["fields"] != [EVERY]:
            require_fields(policy, table, args["fields"])
    if table not in _TABLES_OF.get(kind, (table,)):
        raise KehuError(GRANT_SCOPE_EMPTY, table=table, scope=args["scope"])
    if named:
        load_record(view, "projects" if kind == PROJECT else table, named)
    if args["purpose"] != EVERY and "change" in args["actions"]:
        raise KehuError(GRANT_PURPOSE, purpose=args["purpose"])


_TABLES_OF: Final = {PROJECT: (*PROJECT_TABLES, EVERY), ASSIGNED: (*RECORD_TABLES, EVERY)}
"""Kind of scope -> the tables whose records can be in it, where that is not every table."""


def revoke(context: CallContext, view: View, args: Args) -> codec.Value:
    """Ends a grant from the next call on."""
    sender = require_administrator(context, view)
    row = view.get("grants", args["grant"])
    if row is None:
        raise KehuError(GRANT_UNKNOWN, grant=args["grant"])
    if row["status"] != ACTIVE:
        raise KehuError(GRANT_REVOKED, grant=args["grant"])
    remove_grant(view, args["grant"], row)
    revoked = {"by": sender.text, **stamp(context)}
    view.put("grants", args["grant"], {**row, "status": REVOKED, "revoked": revoked})
    return {"grant": args["grant"]}


def assign(context: CallContext, view: View, args: Args) -> codec.Value:
    """Ties a record to a person or department; what that allows, the policy's scopes say."""
    sender = require_administrator(context, view)
    load_record(view, args["table"], args["record"])
    department = require_subject(context, view, args["subject"])
    add_assignment(context, view, args["table"], args["record"], args["subject"], department, sender)
    return {"table": args["table"], "record": args["record"], "subject": args["subject"]}


def unassign(context: CallContext, view: View, args: Args) -> codec.Value:
    require_administrator(context, view)
    load_record(view, args["table"], args["record"])
    remove_assignment(view, args["table"], args["record"], args["subject"])
    return {"table": args["table"], "record": args["record"], "subject": args["subject"]}


def set_policy(context: CallContext, view: View, args: Args) -> codec.Value:
    """Replaces the whole policy."""
    require_administrator(context, view)
    version = policy_row(view)["version"]
    departments = count_of(view, "departments")
    require_policy(args["policy"], lambda department: is_department(view, department), departments, context.protocol)
    write_policy(view, args["policy"], version + 1, context.height)
    return {"version": version + 1}


def require_subject(context: CallContext, view: View, subject: str) -> str:
    """The department of a person or department that exists and is active. Errors: *.unknown, people.revoked."""
    kind, _, id_ = subject.partition(":")
    if kind == "department":
        require_department(view, id_)
        return id_
    record = person(view, id_)
    if record["status"] != ACTIVE:
        raise KehuError(PEOPLE_REVOKED, person=id_)
    if context.protocol >= PRESENT_SUBJECTS:
        require_department(view, record["department"])
    return str(record["department"])


_OR_EVERY: Final = 'or "*"'
_GRANT: Final = {
    "grant": RECORD,
    "subject": SUBJECT,
    "actions": ACTION_LIST,
    "table": TABLE_OR_EVERY,
    "scope": GRANT_SCOPE,
    "fields": FIELDS,
    "purpose": Argument(f"{PURPOSE.expected} {_OR_EVERY}", lambda value: value == EVERY or is_purpose(value)),
    "expires_ms": nullable(Argument("UTC milliseconds", is_within(1, 1 << 62))),
}
_LIMIT: Final = "grant_limits"
_MINUTE_MS: Final = 60_000
_TEN_YEARS_MS: Final = 3_650 * 86_400_000
_DURATION: Final = Argument("milliseconds, a minute to ten years", is_within(_MINUTE_MS, _TEN_YEARS_MS))
_ASSIGNMENT: Final = {"table": TABLE, "record": RECORD, "subject": SUBJECT}

METHODS: Final = methods(
    ("permissions.grant", grant, _GRANT),
    ("permissions.revoke", revoke, {"grant": RECORD}),
    ("permissions.assign", assign, _ASSIGNMENT),
    ("permissions.unassign", unassign, _ASSIGNMENT),
    ("permissions.limit_grants", limit_grants, {"duration_ms_max": nullable(_DURATION)}),
    ("permissions.set_policy", set_policy, {"policy": Argument("a policy (a map)", codec.is_map)}),
)

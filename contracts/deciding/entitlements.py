"""What the state says about grants and assignments: the indexes a decision reads, and how they are kept.

  grants/<id>                               the grant as given, with its status
  subject_grants/<subject>.<table>.<scope>  {grants: {id: terms}} of one subject in one scope
  scope_grants/<table>.<scope>              {subjects: [...]} who has grants there
  granted_projects/<subject>.<table>        {projects: [...]} of which the subject has grants
  journals/grants.<subject>                 every grant the subject was ever given
  assignments/<table>.<record>              {subjects: {subject: {department, by, height, time_ms}}}

`table` may be "*", for all tables. So a decision about a record needs a few small reads for each scope that the record
is in (contracts.deciding.scopes), whatever else was granted.
"""

from __future__ import annotations

from typing import Any, Final

from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import EVERY
from contracts.deciding.scopes import PROJECT, split_scope
from contracts.deciding.subjects import Subject
from contracts.errors import ASSIGNMENT_EXISTS, ASSIGNMENT_LIMIT, ASSIGNMENT_UNKNOWN, GRANT_LIMIT
from contracts.reading.journals import add_entry

GRANTS_MAX: Final = 64
"""Live grants of one subject in one scope."""
GRANTED_SUBJECTS_MAX: Final = 512
"""Subjects with grants in one scope."""
GRANTED_PROJECTS_MAX: Final = 512
"""Projects of which one subject has grants."""
ASSIGNED_SUBJECTS_MAX: Final = 64

Terms = dict[str, Any]
TERMS: Final = ("actions", "fields", "purpose", "expires_ms")
"""What stands in the index of a grant."""


def covers(fields: list[str], field: str | None) -> bool:
    """Whether a rule's or grant's fields include `field`; None asks for any."""
    return field is None or EVERY in fields or field in fields


def is_live(terms: Terms, time_ms: int | None) -> bool:
    """Whether the grant has not expired; None asks regardless of time. It ends *at* its expiry."""
    return time_ms is None or terms["expires_ms"] is None or terms["expires_ms"] > time_ms


def grants_of(view: View, subject: str, table: str, scope: str) -> dict[str, Terms]:
    """id -> terms, in order of id; `table` may be "*". Expired ones may still be among them."""
    row = view.look("subject_grants", f"{subject}.{table}.{scope}")
    return {} if row is None else row["grants"]


def granted_subjects(view: View, table: str, scope: str) -> list[str]:
    row = view.look("scope_grants", f"{table}.{scope}")
    return [] if row is None else row["subjects"]


def granted_projects(view: View, subject: str, table: str) -> list[str]:
    """The projects of which the subject has grants for the table, in order of id; expired ones may be among them."""
    row = view.look("granted_projects", f"{subject}.{table}")
    return [] if row is None else row["projects"]


def add_grant(view: View, grant_id: str, grant: dict[str, Any], time_ms: int) -> None:
    """Enters a grant into the indexes and drops expired ones beside it. Errors: grant.limit."""
    subject, table, scope = grant["subject"], grant["table"], grant["scope"]
    grants = {id_: terms for id_, terms in grants_of(view, subject, table, scope).items() if is_live(terms, time_ms)}
    grants[grant_id] = {name: grant[name] for name in TERMS}
    subjects = sorted({*granted_subjects(view, table, scope), subject})
    _require_below(len(grants), GRANTS_MAX, grant)
    _require_below(len(subjects), GRANTED_SUBJECTS_MAX, grant)
    view.put("subject_grants", f"{subject}.{table}.{scope}", {"grants": grants})
    view.put("scope_grants", f"{table}.{scope}", {"subjects": subjects})
    add_entry(view, f"grants.{subject}", grant_id)
    kind, named = split_scope(scope)
    if kind == PROJECT:
        projects = sorted({*granted_projects(view, subject, table), named})
        _require_below(len(projects), GRANTED_PROJECTS_MAX, grant)
        view.put("granted_projects", f"{subject}.{table}", {"projects": projects})


def _require_below(count: int, limit: int, grant: dict[str, Any]) -> None:
    if count > limit:
        raise KehuError(GRANT_LIMIT, **{name: grant[name] for name in ("subject", "table", "scope")}, limit=limit)


def remove_grant(view: View, grant_id: str, grant: dict[str, Any]) -> None:
    """Takes a grant out of the indexes; one that expired may have left them before."""
    subject, table, scope = grant["subject"], grant["table"], grant["scope"]
    grants = dict(grants_of(view, subject, table, scope))
    if grants.pop(grant_id, None) is None:
        return
    if grants:
        view.put("subject_grants", f"{subject}.{table}.{scope}", {"grants": grants})
        return
    view.delete("subject_grants", f"{subject}.{table}.{scope}")
    _put_or_delete(view, "scope_grants", f"{table}.{scope}", "subjects", granted_subjects(view, table, scope), subject)
    kind, named = split_scope(scope)
    if kind == PROJECT:
        projects = granted_projects(view, subject, table)
        _put_or_delete(view, "granted_projects", f"{subject}.{table}", "projects", projects, named)


def _put_or_delete(view: View, table: str, key: str, name: str, items: list[str], gone: str) -> None:
    """Writes a list without one of its items; an empty list is no row."""
    left = [item for item in items if item != gone]
    if left:
        view.put(table, key, {name: left})
    else:
        view.delete(table, key)


def assignments(view: View, table: str, record: str) -> dict[str, dict[str, Any]]:
    """subject -> {department, by, height, time_ms}, in order of subject."""
    row = view.look("assignments", f"{table}.{record}")
    return {} if row is None else row["subjects"]


def add_assignment(
    context: CallContext, view: View, table: str, record: str, subject: str, department: str, by: Subject
) -> None:
    """Errors: assignment.exists, assignment.limit."""
    subjects = dict(assignments(view, table, record))
    if subject in subjects:
        raise KehuError(ASSIGNMENT_EXISTS, table=table, record=record, subject=subject)
    if len(subjects) >= ASSIGNED_SUBJECTS_MAX:
        raise KehuError(ASSIGNMENT_LIMIT, table=table, record=record, limit=ASSIGNED_SUBJECTS_MAX)
    subjects[subject] = {
        "department": department,
        "by": by.text,
        "height": context.height,
        "time_ms": context.time_ms,
    }
    view.put("assignments", f"{table}.{record}", {"subjects": subjects})


def remove_assignment(view: View, table: str, record: str, subject: str) -> None:
    """Errors: assignment.unknown."""
    subjects = dict(assignments(view, table, record))
    if subjects.pop(subject, None) is None:
        raise KehuError(ASSIGNMENT_UNKNOWN, table=table, record=record, subject=subject)
    if subjects:
        view.put("assignments", f"{table}.{record}", {"subjects": subjects})
    else:
        view.delete("assignments", f"{table}.{record}")

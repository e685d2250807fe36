"""What the state says about grants and assignments: the indexes a decision reads, and how they are kept.

  grants/<id>                                the grant as given, with its status
  subject_grants/<subject>.<table>.<record>  {grants: {id: terms}} of one subject, record or "*"
  record_grants/<table>.<record>             {subjects: [...]} who has grants there
  assignments/<table>.<record>               {subjects: {subject: {department, by, height, time_ms}}}

So a decision needs at most four small reads of grants and one of assignments, whatever else was granted.
"""

from __future__ import annotations

from typing import Any, Final

from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import EVERY
from contracts.errors import ASSIGNMENT_EXISTS, ASSIGNMENT_LIMIT, ASSIGNMENT_UNKNOWN, GRANT_LIMIT
from contracts.subjects import Subject

GRANTS_MAX: Final = 64
"""Live grants of one subject on one record (or on "*")."""
GRANTED_SUBJECTS_MAX: Final = 512
"""Subjects with grants on one record (or on "*")."""
ASSIGNED_SUBJECTS_MAX: Final = 64

Terms = dict[str, Any]
"""{actions, fields, purpose, expires_ms}"""


def covers(fields: list[str], field: str | None) -> bool:
    """Whether a rule's or grant's fields include `field`; None asks for any."""
    return field is None or EVERY in fields or field in fields


def is_live(terms: Terms, time_ms: int | None) -> bool:
    """Whether the grant has not expired; None asks regardless of time. It ends *at* its expiry."""
    return time_ms is None or terms["expires_ms"] is None or terms["expires_ms"] > time_ms


def grants_of(view: View, subject: str, table: str, record: str) -> dict[str, Terms]:
    """id -> terms, in order of id; `record` may be "*". Expired ones may still be among them."""
    row = view.get("subject_grants", f"{subject}.{table}.{record}")
    return {} if row is None else row["grants"]


def granted_subjects(view: View, table: str, record: str) -> list[str]:
    row = view.get("record_grants", f"{table}.{record}")
    return [] if row is None else row["subjects"]


def add_grant(view: View, grant_id: str, grant: dict[str, Any], time_ms: int) -> None:
    """Enters a grant into the indexes and drops expired ones beside it. Errors: grant.limit."""
    subject, table, record = grant["subject"], grant["table"], grant["record"]
    grants = {id_: terms for id_, terms in grants_of(view, subject, table, record).items() if is_live(terms, time_ms)}
    grants[grant_id] = {name: grant[name] for name in ("actions", "fields", "purpose", "expires_ms")}
    subjects = sorted({*granted_subjects(view, table, record), subject})
    if len(grants) > GRANTS_MAX or len(subjects) > GRANTED_SUBJECTS_MAX:
        raise KehuError(GRANT_LIMIT, subject=subject, table=table, record=record, limit=GRANTS_MAX)
    view.put("subject_grants", f"{subject}.{table}.{record}", {"grants": grants})
    view.put("record_grants", f"{table}.{record}", {"subjects": subjects})


def remove_grant(view: View, grant_id: str, grant: dict[str, Any]) -> None:
    """Takes a grant out of the indexes; one that expired may have left them before."""
    subject, table, record = grant["subject"], grant["table"], grant["record"]
    grants = grants_of(view, subject, table, record)
    if grants.pop(grant_id, None) is None:
        return
    if grants:
        view.put("subject_grants", f"{subject}.{table}.{record}", {"grants": grants})
        return
    view.delete("subject_grants", f"{subject}.{table}.{record}")
    subjects = [other for other in granted_subjects(view, table, record) if other != subject]
    if subjects:
        view.put("record_grants", f"{table}.{record}", {"subjects": subjects})
    else:
        view.delete("record_grants", f"{table}.{record}")


def assignments(view: View, table: str, record: str) -> dict[str, dict[str, Any]]:
    """subject -> {department, by, height, time_ms}, in order of subject."""
    row = view.get("assignments", f"{table}.{record}")
    return {} if row is None else row["subjects"]


def add_assignment(
    context: CallContext, view: View, table: str, record: str, subject: str, department: str, by: Subject
) -> None:
    """Errors: assignment.exists, assignment.limit."""
    subjects = assignments(view, table, record)
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
    subjects = assignments(view, table, record)
    if subjects.pop(subject, None) is None:
        raise KehuError(ASSIGNMENT_UNKNOWN, table=table, record=record, subject=subject)
    if subjects:
        view.put("assignments", f"{table}.{record}", {"subjects": subjects})
    else:
        view.delete("assignments", f"{table}.{record}")

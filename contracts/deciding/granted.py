"""A subject's grants about one record, by the scopes that the record is in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from chain.state import View
from contracts.base import EVERY
from contracts.deciding.entitlements import assignments, granted_subjects, grants_of
from contracts.deciding.reach import PROJECT_TABLES, reach
from contracts.deciding.say import Grant, Say
from contracts.deciding.scopes import ALL, ASSIGNED, RECORD, project_scope, record_scope, split_scope


def grants_about(
    view: View, say: Say, record: str | None, in_project: Callable[[str], Iterable[Grant]] | None = None
) -> Iterator[Grant]:
    """Those in whose scope the record is, in the order in which they decide: all, assigned, projects by id, the
    record; the person's before the department's, the table's before those for all tables, by id. None is a record
    about to be registered, which will be assigned to the person. `in_project` gives those of a project, if not all."""
    yield from say.in_all
    if record is None:
        yield from (grant for grant in say.in_assigned if grant.subject == say.person)
        return
    if say.in_assigned:
        assigned = assignments(view, say.table, record)
        yield from (grant for grant in say.in_assigned if grant.subject in assigned)
    if say.projects:
        for project in sorted(say.projects.intersection(reach(view, say.table, record).projects)):
            yield from in_project(project) if in_project else say.grants_in(view, project_scope(project))
    yield from say.grants_in(view, record_scope(record), (say.table,))


def grants_on(view: View, table: str, record: str) -> Iterator[str]:
    """The ids of all grants that name this record, for whatever table."""
    scopes = [(table, record_scope(record))]
    if table == "projects":
        scopes += [(of, project_scope(record)) for of in (*PROJECT_TABLES, EVERY)]
    for of, scope in scopes:
        for subject in granted_subjects(view, of, scope):
            yield from grants_of(view, subject, of, scope)


def is_in_grants_scope(view: View, grant: Mapping[str, Any], table: str, record: str) -> bool:
    """Whether a record of this table is in the scope of a grant, which may have ended."""
    kind, named = split_scope(grant["scope"])
    if kind == ALL:
        return True
    if kind == ASSIGNED:
        return grant["subject"] in assignments(view, table, record)
    return named == record if kind == RECORD else named in reach(view, table, record).projects

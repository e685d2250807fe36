"""A subject's grants for one table, by the scopes that a record is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.state import View
from contracts.base import EVERY
from contracts.entitlements import Terms, assignments, granted_projects, granted_subjects, grants_of
from contracts.reach import PROJECT_TABLES, reach
from contracts.scopes import ALL, ASSIGNED, RECORD, project_scope, record_scope, split_scope


def grant_name(grant_id: str) -> str:
    """How a decision names the grant that allowed it."""
    return f"grant:{grant_id}"


@dataclass(frozen=True, slots=True)
class Grant:
    """`table` may be "*"; terms: {actions, fields, purpose, expires_ms}."""

    id: str
    subject: str
    table: str
    scope: str
    terms: Terms

    @property
    def name(self) -> str:
        return grant_name(self.id)


class Granted:
    """What `subjects` (first the person, then the department) were granted for `table`, as far as it `fits`. What all
    records share is read once; of records, the one last asked about is remembered, since fields come one by one."""

    def __init__(self, view: View, subjects: Sequence[str], table: str, fits: Callable[[Terms], bool]) -> None:
        self._view, self._subjects, self._table, self._fits = view, tuple(subjects), table, fits
        self._shared: dict[str, list[Grant]] = {}
        self._about: tuple[str, list[Grant]] | None = None
        self.projects = frozenset(
            project for subject in subjects for of in (table, EVERY) for project in granted_projects(view, subject, of)
        )
        """The projects of which there are grants, live or not."""

    def in_all(self) -> list[Grant]:
        return self._in(ALL)

    def in_assigned(self) -> list[Grant]:
        return self._in(ASSIGNED)

    def about(self, record: str | None) -> list[Grant]:
        """Those in whose scope the record is, in the order in which they decide: all, assigned, projects by id, the
        record; the person's before the department's, the table's before those for all tables, by id. None is a record
        about to be registered, which will be assigned to the person."""
        if record is None:
            return self.in_all() + [grant for grant in self.in_assigned() if grant.subject == self._subjects[0]]
        if self._about is None or self._about[0] != record:
            self._about = record, list(self._find(record))
        return self._about[1]

    def _find(self, record: str) -> Iterator[Grant]:
        yield from self.in_all()
        if self.in_assigned():
            assigned = assignments(self._view, self._table, record)
            yield from (grant for grant in self.in_assigned() if grant.subject in assigned)
        if self.projects:
            for project in sorted(self.projects.intersection(reach(self._view, self._table, record).projects)):
                yield from self._in(project_scope(project))
        yield from self._read(record_scope(record), (self._table,))

    def _in(self, scope: str) -> list[Grant]:
        if scope not in self._shared:
            self._shared[scope] = list(self._read(scope, (self._table, EVERY)))
        return self._shared[scope]

    def _read(self, scope: str, tables: Sequence[str]) -> Iterator[Grant]:
        for subject in self._subjects:
            for table in tables:
                for id_, terms in grants_of(self._view, subject, table, scope).items():
                    if self._fits(terms):
                        yield Grant(id_, subject, table, scope, terms)


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

"""Who is entitled to hold a value: the decision of contracts.deciding.permissions in its other direction.

It follows from the same rules, grants and scopes, so whoever may see a value has a department that may hold it. All of
it is pure: a node's vault asks over its own state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chain.state import View
from contracts.base import ACTIONS, EVERY
from contracts.deciding.entitlements import assignments, covers, granted_subjects, grants_of, is_live
from contracts.deciding.policy import load_policy, rules_about
from contracts.deciding.reach import reach, stage_of
from contracts.deciding.scopes import ALL, ASSIGNED, PROJECT, project_scope, record_scope
from contracts.deciding.subjects import ACTIVE, WORKING_ROLES, is_department


class _About:
    """What rules and grants ask about one record: whom it is assigned to, and through what it is reached."""

    def __init__(self, view: View, table: str, record: str) -> None:
        self.view, self.table, self.record = view, table, record
        self.assigned = assignments(view, table, record)
        self.through = reach(view, table, record)
        self._near: list[tuple[str, str]] | None = None
        self._far: list[tuple[str, str]] | None = None

    def near(self) -> list[tuple[str, str]]:
        """Subject and department of the assignments of the record itself to who works there."""
        if self._near is None:
            self._near = self._working(self.assigned)
        return self._near

    def far(self) -> list[tuple[str, str]]:
        """The same, with those of what the record is reached through, and the departments that have it in hand."""
        if self._far is None:
            through = [("customers", one) for one in self.through.customers]
            through += [("projects", one) for one in self.through.projects]
            found = [tie for of in through for tie in self._working(assignments(self.view, *of))]
            stages = dict.fromkeys(stage_of(self.view, project) for project in self.through.projects)
            self._far = self.near() + found + [(f"department:{stage}", stage) for stage in stages if stage is not None]
        return self._far

    def _working(self, assigned: Mapping[str, dict[str, Any]]) -> list[tuple[str, str]]:
        return [(subject, terms["department"]) for subject, terms in assigned.items() if _works(self.view, subject)]


def _entitlements(
    view: View, table: str, record: str, fields: Sequence[str], time_ms: int | None
) -> Iterator[tuple[list[str], str]]:
    """Which departments are entitled to any of `fields`, each with the fields that the rule or grant is for, more than
    once if more than one says so."""
    about = _About(view, table, record)
    for rule in rules_about(view, table):
        if not any(action in rule["actions"] for action in ACTIONS):
            continue
        if any(covers(rule["fields"], field) for field in fields) and _gives(rule, about):
            yield rule["fields"], rule["department"]
    for subject, of_table, scope in _granted(about):
        grants = grants_of(view, subject, of_table, scope)
        department = _department_of(view, subject) if grants else None
        if department is None:
            continue
        for terms in grants.values():
            if any(action in terms["actions"] for action in ACTIONS) and is_live(terms, time_ms):
                yield terms["fields"], department


def _granted(about: _About) -> Iterator[tuple[str, str, str]]:
    """Subject, table ("*" too) and scope, wherever there may be grants that have the record in their scope."""
    scopes = [ALL, *map(project_scope, about.through.projects)]
    for of_table in (about.table, EVERY):
        for scope in scopes:
            yield from ((subject, of_table, scope) for subject in granted_subjects(about.view, of_table, scope))
        yield from ((subject, of_table, ASSIGNED) for subject in about.assigned)
    one = record_scope(about.record)
    yield from ((subject, about.table, one) for subject in granted_subjects(about.view, about.table, one))


def _gives(rule: dict[str, Any], about: _About) -> bool:
    """Whether a rule gives anybody of its department a say over the record."""
    department, scope = rule["department"], rule["scope"]
    if scope == ALL:
        return True
    ties = about.far() if scope == PROJECT else about.near()
    return any(at == department and (scope != ASSIGNED or who.startswith("person:")) for who, at in ties)


def _works(view: View, subject: str) -> bool:
    """Whether rules of the policy apply to the subject: a department, or somebody active who works there."""
    kind, _, id_ = subject.partition(":")
    if kind == "department":
        return True
    person = view.get("people", id_)
    return person is not None and person["status"] == ACTIVE and person["role"] in WORKING_ROLES


def _department_of(view: View, subject: str) -> str | None:
    """The department whose vault serves the subject; None for a revoked person and a department that was removed."""
    kind, _, id_ = subject.partition(":")
    department = id_
    if kind != "department":
        person = view.get("people", id_)
        if person is None or person["status"] != ACTIVE:
            return None
        department = person["department"]
    return department if is_department(view, department) else None


def holders(view: View, table: str, record: str, field: str, time_ms: int | None = None) -> tuple[str, ...]:
    """The departments entitled to hold this value, in order of id: those with any action on it.

    Changing counts too: who writes a value keeps it before the transaction is proposed. Purposes are left out of
    account. Without `time_ms` grants count until they are revoked; with it, until they expire. Revoked people count no
    longer.
    """
    return holders_of(view, table, record, [field], time_ms)[field]


def holders_of(
    view: View, table: str, record: str, fields: Sequence[str], time_ms: int | None = None
) -> dict[str, tuple[str, ...]]:
    """`holders` of several fields of a record, for little more than one costs."""
    known = load_policy(view)["tables"].get(table, ())
    asked = [field for field in fields if field in known]
    found: dict[str, set[str]] = {field: set() for field in fields}
    for covered, department in _entitlements(view, table, record, asked, time_ms):
        for field in asked:
            if covers(covered, field):
                found[field].add(department)
    return {field: tuple(sorted(departments)) for field, departments in found.items()}

"""Who may do what: the one decision.

`may` (and `Case`, the same for many fields and records) is the only place where access is decided. It denies
unless a rule of the policy or a live grant has the record in its scope and allows. Its other direction, who is entitled
to hold a value, is contracts.deciding.holders; what makes or misses a decision, contracts.deciding.explanations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from chain.errors import KehuError
from chain.state import View
from contracts.deciding.entitlements import assignments, covers
from contracts.deciding.granted import grants_about
from contracts.deciding.own import is_own
from contracts.deciding.policy import rule_name
from contracts.deciding.reach import Hands
from contracts.deciding.say import Grant, first_to_cover, say_of
from contracts.deciding.scopes import ALL, ASSIGNED, DEPARTMENT_SCOPE, PROJECT, project_scope
from contracts.deciding.subjects import Subject
from contracts.errors import (
    FIELD_UNKNOWN,
    KEYS_REVOKED,
    KEYS_WRONG_KIND,
    PEOPLE_REVOKED,
    PEOPLE_UNKNOWN,
    PERMISSION_DENIED,
    TABLE_UNKNOWN,
)

ALLOWED: Final = "ok"
_TIES: Final = (ALL, ASSIGNED, DEPARTMENT_SCOPE)
"""Scopes that ask at most to whom a record is assigned."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What is to be read, changed, contacted or exported.

    record: None is one the subject is about to register, which will be assigned to the subject.
    field: None asks whether there is any field for which the answer is yes.
    purpose: None (changes have none) is covered by rules and by grants for every purpose.
    """

    table: str
    record: str | None
    field: str | None = None
    purpose: str | None = None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """`because` names the rule or grant that allowed ("rule:sales.customers.assigned", "grant:g7"), else None;
    `code` is "ok" or the error code of the refusal."""

    allowed: bool
    because: str | None
    code: str


@dataclass(frozen=True, slots=True)
class Horizon:
    """What a subject can have a say over at all. `is_open`: any record; otherwise only records that are assigned to
    one of the subjects `assigned`, on which one of `granted` has a grant, that belong to one of `projects`, and if
    `hands` is a department, those that are reached through projects in its hands, or through projects or customers
    assigned to one of `assigned`."""

    is_open: bool
    assigned: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()
    hands: str | None = None
    projects: tuple[str, ...] = ()


def may(view: View, subject: Subject, action: str, resource: Resource, time_ms: int) -> Decision:
    """Whether `subject` may do `action` to `resource` at `time_ms` (the block's time). Denies by default."""
    case = Case(view, subject, action, resource.table, resource.purpose, time_ms)
    return case.decide(resource.record, resource.field)


_DENIED: Final = Decision(False, None, PERMISSION_DENIED.code)


class Case:
    """One subject's say over one table, then `decide` goes field by field. Of records, what was read about the last one
    is remembered, since its fields come one by one."""

    def __init__(self, view: View, subject: Subject, action: str, table: str, purpose: str | None, time_ms: int):
        self._view, self._action, self._table = view, action, table
        self.say = say_of(view, subject, action, table, purpose, time_ms)
        self._hands: Hands | None = None
        self._record: str | None = None
        self._assigned: Mapping[str, Any] | None = None
        self._reached: bool | None = None
        self._grants: list[Grant] | None = None
        self._in_projects: dict[str, list[Grant]] = {}

    def decide(self, record: str | None, field: str | None) -> Decision:
        say = self.say
        refusal = say.refusal(field)
        if refusal is not None:
            return Decision(False, None, refusal)
        if self.is_foreign(record):
            return _DENIED
        for rule in say.rules:
            if covers(rule["fields"], field) and self.is_in_scope(rule["scope"], record):
                return Decision(True, rule_name(rule), ALLOWED)
        for grant in self._deciding_grants(record):
            if covers(grant.terms["fields"], field):
                return Decision(True, grant.name, ALLOWED)
        return _DENIED

    def is_foreign(self, record: str | None) -> bool:
        """Whether the subject is a customer and this not their own to read, so that whatever they are granted does
        not count."""
        if self.say.customer is None:
            return False
        return self._action != "read" or not is_own(self._view, self.say.customer, self._table, record)

    def grants_about(self, record: str | None) -> list[Grant]:
        """The live grants for this action and purpose in whose scope the record is, in the order of `decide`."""
        return list(grants_about(self._view, self.say, record))

    def _deciding_grants(self, record: str | None) -> list[Grant]:
        """Those of them that may be the first to allow a field."""
        self._recall(record)
        if self._grants is None:
            about = list(grants_about(self._view, self.say.deciding, record, self._in_project))
            many = len(about) > 1
            self._grants = first_to_cover((None, one.terms["fields"], one) for one in about) if many else about
        return self._grants

    def _in_project(self, project: str) -> list[Grant]:
        """Many records are of the same few projects, so each of these is looked at once."""
        if project not in self._in_projects:
            found = self.say.grants_in(self._view, project_scope(project))
            self._in_projects[project] = first_to_cover((None, grant.terms["fields"], grant) for grant in found)
        return self._in_projects[project]

    @property
    def goes_by_ties(self) -> bool:
        """Whether nothing else about a record counts for this subject than its assignments, grants on it, and whether
        it belongs to one of `projects`."""
        return self.say.customer is None and all(rule["scope"] in _TIES for rule, _ in self.say.my_rules)

    @property
    def projects(self) -> tuple[str, ...]:
        """The projects of which the subject has grants, whatever the action."""
        return tuple(sorted(self.say.projects))

    def horizon(self) -> Horizon:
        """A superset of the records for which `decide` allows some field: for whoever looks for them."""
        say = self.say
        if say.refusal(None) is not None:
            return Horizon(is_open=False)
        scopes = {rule["scope"] for rule in say.rules}
        if say.in_all or ALL in scopes:
            return Horizon(is_open=True)
        both = (say.person, say.department)
        theirs = bool(scopes - {ASSIGNED})
        subjects = {grant.subject for grant in say.in_assigned}
        assigned = tuple(one for one in both if theirs or one in subjects or (scopes and one == say.person))
        hands = say.department.partition(":")[2] if PROJECT in scopes else None
        return Horizon(False, assigned, both, hands, self.projects)

    def decide_fields(self, record: str | None, fields: Sequence[str]) -> dict[str, Decision]:
        return {field: self.decide(record, field) for field in fields}

    def is_in_scope(self, scope: str, record: str | None) -> bool:
        """Whether the record is in the scope of a rule for the subject's department."""
        if scope == ALL or record is None:
            return True
        self._recall(record)
        if self._assigned is None:
            self._assigned = assignments(self._view, self._table, record)
        subjects = self._assigned
        if self.say.person in subjects or (scope != ASSIGNED and self.say.department in subjects):
            return True
        return scope == PROJECT and self._is_reached(record)

    def _is_reached(self, record: str) -> bool:
        if self._hands is None:
            self._hands = Hands(self._view, self.say.person, self.say.department.partition(":")[2])
        if self._reached is None:
            self._reached = self._hands.reach(self._table, record)
        return self._reached

    def _recall(self, record: str | None) -> None:
        """Keeps what is known of this record, and of no other."""
        if self._record != record:
            self._record = record
            self._assigned = self._reached = self._grants = None


def require_may(
    view: View,
    subject: Subject,
    action: str,
    table: str,
    record: str | None,
    fields: Sequence[str | None],
    time_ms: int,
) -> None:
    """For changes, which are refused as a whole; None among `fields` asks for any.

    Errors: permission.denied and the other codes of `may`.
    """
    case = Case(view, subject, action, table, None, time_ms)
    for field in fields:
        decision = case.decide(record, field)
        if not decision.allowed:
            spec = _REFUSALS[decision.code]
            raise KehuError(spec, subject=subject.text, action=action, table=table, record=record, field=field)


_REFUSALS: Final = {
    spec.code: spec
    for spec in (
        FIELD_UNKNOWN,
        KEYS_REVOKED,
        KEYS_WRONG_KIND,
        PEOPLE_REVOKED,
        PEOPLE_UNKNOWN,
        PERMISSION_DENIED,
        TABLE_UNKNOWN,
    )
}

"""Who may do what: the one decision.

`may` (and `Case`, the same for many fields and records) is the only place where access is decided. It denies
unless a rule of the policy or a live grant has the record in its scope and allows. Its other direction, who is entitled
to hold a value, is contracts.holders; what makes or misses a decision, contracts.explanations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from chain.errors import KehuError
from chain.state import View
from contracts.base import EVERY
from contracts.entitlements import assignments, covers, is_live
from contracts.errors import (
    FIELD_UNKNOWN,
    KEYS_REVOKED,
    KEYS_WRONG_KIND,
    PEOPLE_REVOKED,
    PEOPLE_UNKNOWN,
    PERMISSION_DENIED,
    TABLE_UNKNOWN,
)
from contracts.granted import Grant, Granted
from contracts.own import is_own
from contracts.policy import load_policy, rule_name, rules_about
from contracts.reach import Hands
from contracts.scopes import ALL, ASSIGNED, DEPARTMENT_SCOPE, PROJECT
from contracts.subjects import CUSTOMER, WORKING_ROLES, Subject, standing

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


@dataclass(frozen=True, slots=True)
class Decision:
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


@dataclass(slots=True)
class _About:
    """What a case has read about one record, each when it is first needed."""

    record: str
    assigned: dict[str, Any] | None = None
    is_reached: bool | None = None


class Case:
    """One subject's say over one table: what all records share is read once, then `decide` goes field by field."""

    def __init__(self, view: View, subject: Subject, action: str, table: str, purpose: str | None, time_ms: int):
        self._view, self._action, self._table = view, action, table
        self._purpose, self._time_ms = purpose, time_ms
        policy = load_policy(view)
        self._known_fields: list[str] = policy["tables"].get(table, [])
        person = view.look("people", subject.id) if subject.kind == "person" else None
        self._refusal = standing(subject, person) or (None if table in policy["tables"] else TABLE_UNKNOWN.code)
        self._person = f"person:{subject.id}"
        department = "" if person is None else person["department"]
        self._department = f"department:{department}"
        self._customer = subject.id if person is not None and person["role"] == CUSTOMER else None
        self._is_working = person is not None and person["role"] in WORKING_ROLES
        about_me = (rule for rule in rules_about(view, table) if rule["department"] == department)
        self.my_rules = [(rule, self._rule_misses(rule)) for rule in about_me]
        """The rules for the subject's department and this table, each with what it misses whatever record and field."""
        self._rules = [rule for rule, misses in self.my_rules if not misses]
        self.person, self.department = subject.id, department
        # Customers are served by the administration and no part of it.
        self.subjects = (self._person, self._department) if self._customer is None else (self._person,)
        """Whose grants count for the subject: "person:ID", "department:ID"."""
        self._granted = Granted(view, self.subjects, table, lambda terms: not self.grant_misses(terms))
        self._about: _About | None = None
        self._hands = Hands(view, self._person, department)

    def decide(self, record: str | None, field: str | None) -> Decision:
        refusal = self.refusal(field)
        if refusal is not None:
            return Decision(False, None, refusal)
        if self.is_foreign(record):
            return Decision(False, None, PERMISSION_DENIED.code)
        for rule in self._rules:
            if covers(rule["fields"], field) and self.is_in_scope(rule["scope"], record):
                return Decision(True, rule_name(rule), ALLOWED)
        for grant in self._granted.about(record):
            if covers(grant.terms["fields"], field):
                return Decision(True, grant.name, ALLOWED)
        return Decision(False, None, PERMISSION_DENIED.code)

    def refusal(self, field: str | None) -> str | None:
        """Why the subject has no say about the field, whatever the record; None if it may have one."""
        if self._refusal is None and field is not None and field not in self._known_fields:
            return FIELD_UNKNOWN.code
        return self._refusal

    def is_foreign(self, record: str | None) -> bool:
        """Whether the subject is a customer and this not their own to read, so that whatever they are granted does
        not count."""
        if self._customer is None:
            return False
        return self._action != "read" or not is_own(self._view, self._customer, self._table, record)

    def grants_about(self, record: str | None) -> list[Grant]:
        """The live grants for this action and purpose in whose scope the record is, in the order of `decide`."""
        return self._granted.about(record)

    @property
    def goes_by_ties(self) -> bool:
        """Whether nothing else about a record counts for this subject than its assignments, grants on it, and whether
        it belongs to one of `projects`."""
        return self._customer is None and all(rule["scope"] in _TIES for rule, _ in self.my_rules)

    @property
    def projects(self) -> tuple[str, ...]:
        """The projects of which the subject has grants, whatever the action."""
        return tuple(sorted(self._granted.projects))

    def horizon(self) -> Horizon:
        """A superset of the records for which `decide` allows some field: for whoever looks for them."""
        if self._refusal is not None:
            return Horizon(is_open=False)
        scopes = {rule["scope"] for rule in self._rules}
        if self._granted.in_all() or ALL in scopes:
            return Horizon(is_open=True)
        both = (self._person, self._department)
        theirs = bool(scopes - {ASSIGNED})
        subjects = {grant.subject for grant in self._granted.in_assigned()}
        assigned = tuple(one for one in both if theirs or one in subjects or (scopes and one == self._person))
        hands = self._department.partition(":")[2] if PROJECT in scopes else None
        return Horizon(False, assigned, both, hands, self.projects)

    def decide_fields(self, record: str | None, fields: Sequence[str]) -> dict[str, Decision]:
        return {field: self.decide(record, field) for field in fields}

    def is_in_scope(self, scope: str, record: str | None) -> bool:
        """Whether the record is in the scope of a rule for the subject's department."""
        if scope == ALL or record is None:
            return True
        about = self._recall(record)
        if about.assigned is None:
            about.assigned = assignments(self._view, self._table, record)
        subjects = about.assigned
        if self._person in subjects or (scope != ASSIGNED and self._department in subjects):
            return True
        if scope == PROJECT and about.is_reached is None:
            about.is_reached = self._hands.reach(self._table, record)
        return scope == PROJECT and bool(about.is_reached)

    def _recall(self, record: str) -> _About:
        """What is known of the record that is being decided on; the one before is forgotten."""
        if self._about is None or self._about.record != record:
            self._about = _About(record)
        return self._about

    def grant_misses(self, terms: dict[str, Any]) -> list[str]:
        """What about a grant does not fit, whatever record and field."""
        return [
            what
            for what, fits in (
                ("action", self._action in terms["actions"]),
                ("purpose", terms["purpose"] in (EVERY, self._purpose)),
                ("expired", is_live(terms, self._time_ms)),
            )
            if not fits
        ]

    def _rule_misses(self, rule: dict[str, Any]) -> list[str]:
        """What about a rule for the subject's department and this table does not fit, whatever record and field."""
        misses = [] if self._is_working else ["role"]
        return misses if self._action in rule["actions"] else [*misses, "action"]


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

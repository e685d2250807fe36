"""Who may do what: the one decision, and its other direction, who is entitled to hold a value.

`may` (and `Case`, the same for many fields and records) is the only place where access is decided. It denies
unless a rule of the policy, with the assignments its scope asks for, or a live grant allows. `holders` follows
from the same rules, so whoever may see a value has a department that may hold it. All of it is pure: a node's
vault asks over its own state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chain.errors import KehuError
from chain.state import View
from contracts.base import ACTIONS, EVERY
from contracts.entitlements import assignments, covers, granted_subjects, grants_of, is_live
from contracts.errors import (
    FIELD_UNKNOWN,
    KEYS_REVOKED,
    KEYS_WRONG_KIND,
    PEOPLE_REVOKED,
    PEOPLE_UNKNOWN,
    PERMISSION_DENIED,
    TABLE_UNKNOWN,
)
from contracts.own import is_own
from contracts.policy import ALL, ASSIGNED, DEPARTMENT_SCOPE, PROJECT, load_policy, rule_name, rules_about
from contracts.reach import Hands, is_in_hands, ties
from contracts.subjects import ACTIVE, CUSTOMER, WORKING_ROLES, Subject, is_department, standing

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
class Ground:
    """One rule or grant and what it misses: "own", "role", "action", "field", "scope", "purpose", "expired". Where it
    misses nothing, it allows. `terms` are the rule's or the grant's."""

    name: str
    terms: dict[str, Any]
    misses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Horizon:
    """What a subject can have a say over at all. `is_open`: any record; otherwise only records that are assigned to
    one of the subjects `assigned`, or on which one of `granted` has a grant, and if `hands` is a department, those
    that are reached through projects in its hands, or through projects or customers assigned to one of `assigned`."""

    is_open: bool
    assigned: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()
    hands: str | None = None


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
    grants: list[tuple[str, dict[str, Any]]] | None = None


class Case:
    """One subject's say over one table: what all records share is read once, then `decide` goes field by field."""

    def __init__(self, view: View, subject: Subject, action: str, table: str, purpose: str | None, time_ms: int):
        self._view, self._action, self._table = view, action, table
        self._purpose, self._time_ms = purpose, time_ms
        policy = load_policy(view)
        self._known_fields: list[str] = policy["tables"].get(table, [])
        person = view.get("people", subject.id) if subject.kind == "person" else None
        self._refusal = standing(subject, person) or (None if table in policy["tables"] else TABLE_UNKNOWN.code)
        self._person = f"person:{subject.id}"
        department = "" if person is None else person["department"]
        self._department = f"department:{department}"
        self._customer = subject.id if person is not None and person["role"] == CUSTOMER else None
        self._is_working = person is not None and person["role"] in WORKING_ROLES
        about_me = (rule for rule in rules_about(view, table) if rule["department"] == department)
        self._my_rules = [(rule, self._rule_misses(rule)) for rule in about_me]
        self._rules = [rule for rule, misses in self._my_rules if not misses]
        self._general_grants = [] if self._refusal else self._grants(EVERY)
        self._about: _About | None = None
        self._hands = Hands(view, self._person, department)

    def decide(self, record: str | None, field: str | None) -> Decision:
        if self._refusal is not None:
            return Decision(False, None, self._refusal)
        if field is not None and field not in self._known_fields:
            return Decision(False, None, FIELD_UNKNOWN.code)
        if self._customer is not None and not self._is_for_customer(self._customer, record):
            return Decision(False, None, PERMISSION_DENIED.code)
        for rule in self._rules:
            if covers(rule["fields"], field) and self._is_in_scope(rule["scope"], record):
                return Decision(True, rule_name(rule), ALLOWED)
        for grant_id, terms in [*self._general_grants, *self._grants_about(record)]:
            if covers(terms["fields"], field):
                return Decision(True, grant_name(grant_id), ALLOWED)
        return Decision(False, None, PERMISSION_DENIED.code)

    def grounds(self, record: str | None, field: str | None) -> Iterator[Ground]:
        """Every rule and grant that could speak for the subject, in the order in which `decide` goes through them,
        each with what it misses: `decide` allows by the first that misses nothing. Nothing for who has no say."""
        if self._refusal is not None or (field is not None and field not in self._known_fields):
            return
        foreign = self._customer is not None and not self._is_for_customer(self._customer, record)
        general = ["own"] if foreign else []
        for rule, misses in self._my_rules:
            found = [*general, *misses, *_field_misses(rule, field)]
            if not self._is_in_scope(rule["scope"], record):
                found.append("scope")
            yield Ground(rule_name(rule), rule, tuple(found))
        grants = self._all_grants(EVERY)
        if record not in (None, EVERY):
            grants += self._all_grants(str(record))
        for grant_id, terms in grants:
            found = [*general, *self._grant_misses(terms), *_field_misses(terms, field)]
            yield Ground(grant_name(grant_id), terms, tuple(found))

    @property
    def goes_by_ties(self) -> bool:
        """Whether nothing else about a record counts for this subject than assignments and grants on it."""
        return self._customer is None and all(rule["scope"] in _TIES for rule, _ in self._my_rules)

    def horizon(self) -> Horizon:
        """A superset of the records for which `decide` allows some field: for whoever looks for them."""
        if self._refusal is not None:
            return Horizon(is_open=False)
        scopes = {rule["scope"] for rule in self._rules}
        if self._general_grants or ALL in scopes:
            return Horizon(is_open=True)
        mine, both = (self._person,), (self._person, self._department)
        hands = self._department.partition(":")[2] if PROJECT in scopes else None
        return Horizon(False, (both if scopes - {ASSIGNED} else mine) if scopes else (), both, hands)

    def decide_fields(self, record: str | None, fields: Sequence[str]) -> dict[str, Decision]:
        return {field: self.decide(record, field) for field in fields}

    def _is_for_customer(self, customer: str, record: str | None) -> bool:
        """Customers read what is their own, whatever else they may be granted."""
        return self._action == "read" and is_own(self._view, customer, self._table, record)

    def _is_in_scope(self, scope: str, record: str | None) -> bool:
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

    def _grants_about(self, record: str | None) -> list[tuple[str, dict[str, Any]]]:
        if record is None:
            return []
        about = self._recall(record)
        if about.grants is None:
            about.grants = self._grants(record)
        return about.grants

    def _recall(self, record: str) -> _About:
        """What is known of the record that is being decided on; the one before is forgotten."""
        if self._about is None or self._about.record != record:
            self._about = _About(record)
        return self._about

    def _grants(self, record: str) -> list[tuple[str, dict[str, Any]]]:
        """Live grants for this action and purpose."""
        return [(grant_id, terms) for grant_id, terms in self._all_grants(record) if not self._grant_misses(terms)]

    def _all_grants(self, record: str) -> list[tuple[str, dict[str, Any]]]:
        """Grants of the person, then of the department. Customers are served by the administration and no part of
        it."""
        subjects = (self._person, self._department) if self._customer is None else (self._person,)
        return [
            (grant_id, terms)
            for subject in subjects
            for grant_id, terms in grants_of(self._view, subject, self._table, record).items()
        ]

    def _grant_misses(self, terms: dict[str, Any]) -> list[str]:
        """What about a grant does not fit, whatever the field."""
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


def grant_name(grant_id: str) -> str:
    """How a decision names the grant that allowed it."""
    return f"grant:{grant_id}"


def _field_misses(terms: dict[str, Any], field: str | None) -> list[str]:
    return [] if covers(terms["fields"], field) else ["field"]


@dataclass(frozen=True, slots=True)
class Entitled:
    """subject: "department:ID" or "person:ID"; department: whose vault serves it; because: as in Decision."""

    subject: str
    department: str
    because: str


def entitled(
    view: View,
    table: str,
    record: str,
    field: str | None,
    actions: Sequence[str] = ACTIONS,
    time_ms: int | None = None,
) -> Iterator[Entitled]:
    """Every subject that a rule or grant gives one of `actions` on this value, with duplicates.

    Purposes are left out of account. Without `time_ms` grants count until they are revoked; with it, until they
    expire. Revoked people count no longer.
    """
    known = load_policy(view)["tables"].get(table)
    if known is not None and (field is None or field in known):
        for covered, one in _entitlements(view, table, record, [field], actions, time_ms):
            if covers(covered, field):
                yield one


def _entitlements(
    view: View,
    table: str,
    record: str,
    fields: Sequence[str | None],
    actions: Sequence[str],
    time_ms: int | None,
    only: str | None = None,
) -> Iterator[tuple[list[str], Entitled]]:
    """Who is entitled to any of `fields`, with the fields that the rule or grant is for; `only`: one department."""
    for rule in rules_about(view, table):
        is_asked = only in (None, rule["department"]) and any(action in rule["actions"] for action in actions)
        if is_asked and any(covers(rule["fields"], field) for field in fields):
            for one in _entitled_by_rule(view, rule, table, record):
                yield rule["fields"], one
    for scope in (EVERY, record):
        for subject in granted_subjects(view, table, scope):
            department = _department_of(view, subject)
            if department is None or only not in (None, department):
                continue
            for grant_id, terms in grants_of(view, subject, table, scope).items():
                if any(action in terms["actions"] for action in actions) and is_live(terms, time_ms):
                    yield terms["fields"], Entitled(subject, department, grant_name(grant_id))


def _entitled_by_rule(view: View, rule: dict[str, Any], table: str, record: str) -> Iterator[Entitled]:
    department, because = rule["department"], rule_name(rule)
    if rule["scope"] == ALL:
        yield Entitled(f"department:{department}", department, because)
        return
    for subject, assignment in ties(view, table, record, is_far=rule["scope"] == PROJECT):
        is_meant = subject.startswith("person:") or rule["scope"] != ASSIGNED
        if assignment["department"] == department and is_meant and _works(view, subject):
            yield Entitled(subject, department, because)
    if rule["scope"] == PROJECT and is_in_hands(view, department, table, record):
        yield Entitled(f"department:{department}", department, because)


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

    Changing counts too: who writes a value keeps it before the transaction is proposed. For `time_ms` see `entitled`.
    """
    return holders_of(view, table, record, [field], time_ms)[field]


def holders_of(
    view: View, table: str, record: str, fields: Sequence[str], time_ms: int | None = None, only: str | None = None
) -> dict[str, tuple[str, ...]]:
    """`holders` of several fields of a record, for little more than one costs; `only`: whether this department is."""
    known = load_policy(view)["tables"].get(table, ())
    asked = [field for field in fields if field in known]
    found: dict[str, set[str]] = {field: set() for field in fields}
    for covered, one in _entitlements(view, table, record, asked, ACTIONS, time_ms, only):
        for field in asked:
            if covers(covered, field):
                found[field].add(one.department)
    return {field: tuple(sorted(departments)) for field, departments in found.items()}


def readers(view: View, table: str, record: str, field: str, time_ms: int | None = None) -> tuple[str, ...]:
    """The subjects that may read this value for some purpose, as "department:ID" and "person:ID", in order."""
    return tuple(sorted({item.subject for item in entitled(view, table, record, field, ("read",), time_ms)}))

"""What one subject has a say about in one table: the part of a decision that is the same for all its records.

It follows from the person, the policy and the subject's grants, which seldom change, and is asked for at every call: a
view finds it once and remembers it until one of the tables it was read from is written (`View.remembered`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Any, Final, TypeVar

import msgspec

from chain.state import View
from contracts.base import EVERY
from contracts.deciding.entitlements import Terms, granted_projects, grants_of, is_live
from contracts.deciding.policy import load_policy, rules_about
from contracts.deciding.scopes import ALL, ASSIGNED
from contracts.deciding.subjects import CUSTOMER, WORKING_ROLES, Subject, standing
from contracts.errors import FIELD_UNKNOWN, TABLE_UNKNOWN

Item = TypeVar("Item")

SOME_PURPOSE: Final = "some purpose"
"""Asked for in place of a purpose by whoever wants to know whether there is any for which the answer is yes. None of
the purposes that calls may name is like it."""


def grant_name(grant_id: str) -> str:
    """How a decision names the grant that allowed it."""
    return f"grant:{grant_id}"


class Grant(msgspec.Struct, frozen=True, gc=False):
    """`table` may be "*"; terms: {actions, fields, purpose, expires_ms}."""

    id: str
    subject: str
    table: str
    scope: str
    terms: Terms

    @property
    def name(self) -> str:
        return grant_name(self.id)


class Say:
    """Built from a view and shared, so it keeps nothing of the view."""

    def __init__(self, view: View, subject: Subject, action: str, table: str, purpose: str | None, time_ms: int):
        self._action, self._purpose, self._time_ms = action, purpose, time_ms
        tables = load_policy(view)["tables"]
        self.table = table
        self._known_fields: list[str] = tables.get(table, [])
        person = view.look("people", subject.id) if subject.kind == "person" else None
        self._refusal = standing(subject, person) or (None if table in tables else TABLE_UNKNOWN.code)
        department = "" if person is None else person["department"]
        self.person, self.department = f"person:{subject.id}", f"department:{department}"
        self.customer = subject.id if person is not None and person["role"] == CUSTOMER else None
        """The subject's id if they are a customer."""
        self._is_working = person is not None and person["role"] in WORKING_ROLES
        about_me = (rule for rule in rules_about(view, table) if rule["department"] == department)
        self.my_rules = [(rule, self._rule_misses(rule)) for rule in about_me]
        """The rules for the subject's department and this table, each with what it misses whatever record and field."""
        fitting = [rule for rule, misses in self.my_rules if not misses]
        self.rules = first_to_cover((rule["scope"], rule["fields"], rule) for rule in fitting)
        """Those that may allow something."""
        # Customers are served by the administration and no part of it.
        self.subjects = (self.person, self.department) if self.customer is None else (self.person,)
        """Whose grants count for the subject, the person's first."""
        self.in_all = list(self.grants_in(view, ALL))
        self.in_assigned = list(self.grants_in(view, ASSIGNED))
        both = [(subject, of) for subject in self.subjects for of in (table, EVERY)]
        self.projects = frozenset(project for one in both for project in granted_projects(view, *one))
        """The projects of which there are grants, live or not."""
        self.deciding = copy(self)
        """The same, with those grants alone that may be the first to allow: decisions go through them for each field of
        each record."""
        self.deciding.in_all = first_to_cover((None, one.terms["fields"], one) for one in self.in_all)
        self.deciding.in_assigned = first_to_cover((one.subject, one.terms["fields"], one) for one in self.in_assigned)

    def refusal(self, field: str | None) -> str | None:
        """Why the subject has no say about the field, whatever the record; None if it may have one."""
        if self._refusal is None and field is not None and field not in self._known_fields:
            return FIELD_UNKNOWN.code
        return self._refusal

    def grants_in(self, view: View, scope: str, tables: Sequence[str] = ()) -> Iterator[Grant]:
        """The grants of a scope that fit: the person's before the department's, the table's before those for all
        tables, by id. `tables`: those that may be granted, if not both."""
        for subject in self.subjects:
            for table in tables or (self.table, EVERY):
                for id_, terms in grants_of(view, subject, table, scope).items():
                    if not self.grant_misses(terms):
                        yield Grant(id_, subject, table, scope, terms)

    def grant_misses(self, terms: Terms) -> list[str]:
        """What about a grant does not fit, whatever record and field."""
        return [
            what
            for what, fits in (
                ("action", self._action in terms["actions"]),
                ("purpose", self._purpose == SOME_PURPOSE or terms["purpose"] in (EVERY, self._purpose)),
                ("expired", is_live(terms, self._time_ms)),
            )
            if not fits
        ]

    def _rule_misses(self, rule: dict[str, Any]) -> list[str]:
        """What about a rule for the subject's department and this table does not fit, whatever record and field."""
        misses = [] if self._is_working else ["role"]
        return misses if self._action in rule["actions"] else [*misses, "action"]


def first_to_cover(found: Iterable[tuple[str | None, list[str], Item]]) -> list[Item]:
    """Of rules or grants, each with its group and its fields, without those whose fields earlier ones of their group
    cover: of a group all count for a record or none."""
    covered: defaultdict[str | None, set[str]] = defaultdict(set)
    kept = []
    for group, fields, item in found:
        if EVERY not in covered[group] and not covered[group].issuperset(fields):
            covered[group].update(fields)
            kept.append(item)
    return kept


def say_of(view: View, subject: Subject, action: str, table: str, purpose: str | None, time_ms: int) -> Say:
    """The subject's say for an action and purpose at a time (the block's)."""
    asked = ("say", subject.kind, subject.id, action, table, purpose, time_ms)
    return view.remembered(asked, lambda now: Say(now, subject, action, table, purpose, time_ms))

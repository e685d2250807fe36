"""Grounds: everything that could speak for a subject in a decision, each with what it misses.

For people who ask why. What counts for the decision itself comes from the very case that decides; grants that ended or
are about other records, from the journal of what the subject was ever given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from chain.errors import InvariantError
from chain.state import View
from contracts.base import EVERY
from contracts.deciding.entitlements import covers
from contracts.deciding.granted import is_in_grants_scope
from contracts.deciding.permissions import Case
from contracts.deciding.policy import rule_name
from contracts.deciding.say import grant_name
from contracts.deciding.scopes import missing_ties
from contracts.deciding.subjects import ACTIVE
from contracts.reading.journals import entry_at, length_of

LOOKED_AT_MAX: Final = 256
"""Grants of one subject that are gone through for what ended or is about other records, newest first."""
_TERMS: Final = ("subject", "actions", "table", "scope", "fields", "purpose", "expires_ms")


@dataclass(frozen=True, slots=True)
class Ground:
    """One rule or grant and what it misses: "own", "role", "action", "purpose", "expired", "revoked", "field", "scope".
    Where it misses nothing, it allows. `terms` are the rule's or the grant's; `ties`, if it misses the scope, those of
    which any would bring the record in (contracts.deciding.scopes.missing_ties)."""

    name: str
    terms: dict[str, Any]
    misses: tuple[str, ...]
    ties: tuple[str, ...] = ()


def grounds(view: View, case: Case, table: str, record: str, field: str | None) -> Iterator[Ground]:
    """First those that `case` goes through, in its order: it allows by the first that misses nothing. Nothing for who
    has no say."""
    say = case.say
    if say.refusal(field) is not None:
        return
    general = ("own",) if case.is_foreign(record) else ()
    for rule, misses in say.my_rules:
        is_in = case.is_in_scope(rule["scope"], record)
        ties = () if is_in else tuple(missing_ties(rule["scope"], say.person, say.person, say.department))
        yield Ground(
            rule_name(rule), rule, (*general, *misses, *_field_misses(rule, field), *_scope_misses(is_in)), ties
        )
    told: dict[str, None] = {}
    for grant in case.grants_about(record):
        told[grant.id] = None
        terms = _terms(_grant(view, grant.id))
        yield Ground(grant.name, terms, (*general, *_field_misses(grant.terms, field)))
    for grant_id, row in _given(view, case, table):
        if grant_id not in told:
            is_in = is_in_grants_scope(view, row, table, record)
            ties = () if is_in else tuple(missing_ties(row["scope"], row["subject"], say.person, say.department))
            ended = () if row["status"] == ACTIVE else ("revoked",)
            own = (*say.grant_misses(row), *ended, *_field_misses(row, field), *_scope_misses(is_in))
            yield Ground(grant_name(grant_id), _terms(row), (*general, *own), ties)


def _given(view: View, case: Case, table: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the subject, then the department, was ever granted for this table, newest first."""
    for subject in case.say.subjects:
        journal = f"grants.{subject}"
        last = length_of(view, journal)
        for number in range(last, max(0, last - LOOKED_AT_MAX), -1):
            grant_id = entry_at(view, journal, number)
            row = _grant(view, grant_id)
            if row["table"] in (table, EVERY):
                yield grant_id, row


def _grant(view: View, grant_id: str) -> dict[str, Any]:
    row = view.get("grants", grant_id)
    if row is None:
        raise InvariantError(f"grant {grant_id} is indexed and not there")
    return row


def _terms(row: dict[str, Any]) -> dict[str, Any]:
    """A grant as it is told; revoked_ms is when it was revoked, if it was."""
    revoked = row["revoked"]
    return {name: row[name] for name in _TERMS} | {"revoked_ms": None if revoked is None else revoked["time_ms"]}


def _field_misses(terms: dict[str, Any], field: str | None) -> tuple[str, ...]:
    return () if covers(terms["fields"], field) else ("field",)


def _scope_misses(is_in: bool) -> tuple[str, ...]:
    return () if is_in else ("scope",)

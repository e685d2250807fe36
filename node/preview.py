"""What a change of permissions would do: its calls are run on a view that is thrown away, and the two states compared.

Nothing is signed, nothing goes on the chain, no value is looked at: who may see what follows from public facts. The
answer is this node's; what counts is what the departments decide when the change is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chain.crypto import ZERO_DIGEST
from chain.errors import KehuError, define
from chain.execution import context_of
from chain.ledger import Ledger
from chain.state import View
from chain.transaction import Call
from contracts.base import EVERY
from contracts.deciding.differences import Difference, differences
from contracts.deciding.permissions import Case
from contracts.deciding.reach import PROJECT_TABLES, REACHED_THROUGH
from contracts.deciding.scopes import RECORD, split_scope
from contracts.deciding.subjects import ACTIVE, CUSTOMER, Subject, subject_of_person
from contracts.reading.trails import LOGS
from node.search.desk import SEARCH_NOT_READY
from node.search.index import RecordIndex
from node.search.reached import reached

PEOPLE_MAX: Final = 200
PREVIEWED: Final = frozenset(
    {
        "permissions.grant",
        "permissions.revoke",
        "permissions.assign",
        "permissions.unassign",
        "permissions.set_policy",
    }
)

_ASSIGNING: Final = ("permissions.assign", "permissions.unassign")

PREVIEW_CALL = define(
    "preview.call",
    "only changes of permissions can be tried out",
    "name permissions.grant, revoke, assign, unassign or set_policy",
)


@dataclass(frozen=True, slots=True)
class Preview:
    """`left_out`: further people whom the change may concern and who were not looked at."""

    height: int
    people: int
    left_out: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    """What calls concern: people (None: everybody), tables, and records named by the calls themselves."""

    subjects: tuple[str, ...] | None
    tables: tuple[str, ...]
    records: tuple[str, ...]
    purpose: str | None


async def preview_calls(
    ledger: Ledger, index: RecordIndex, key: bytes, department: str, calls: Sequence[Call], now_ms: int
) -> Preview:
    """As `key` at `department`'s node would make these calls now. Errors: preview.call, search.not_ready, and what a
    call would be refused with."""
    if not index.is_ready:
        raise KehuError(SEARCH_NOT_READY)
    await index.catch_up()
    before, after = View(ledger.state.get), View(ledger.state.get)
    target = _target(before, index, calls)
    for number, call in enumerate(calls):
        context = context_of(ledger.facts(now_ms), ZERO_DIGEST, key, department, number)
        ledger.contracts.call(context, after, call)
    people = _people(before, index, target.subjects)
    found: list[Difference] = []
    for subject in people[:PEOPLE_MAX]:
        for table in target.tables:
            tied, others = await _records((before, after), index, subject, table, target, now_ms)
            found += await asyncio.to_thread(
                differences, before, after, subject, table, tied, others, target.purpose, now_ms
            )
    left_out = max(0, len(people) - PEOPLE_MAX)
    return Preview(ledger.height, len(people) - left_out, left_out, tuple(found))


def _target(view: View, index: RecordIndex, calls: Sequence[Call]) -> _Target:
    """Errors: preview.call."""
    every = (*index.tables, *LOGS)
    subjects: list[str] = []
    tables: list[str] = []
    records: list[str] = []
    purposes: list[str] = []
    for call in calls:
        if call.name not in PREVIEWED:
            raise KehuError(PREVIEW_CALL, expected=", ".join(sorted(PREVIEWED)))
        if call.name == "permissions.set_policy":
            continue
        row = call.args
        if call.name == "permissions.revoke":
            row = view.get("grants", str(row.get("grant"))) or {}
        subjects.append(str(row.get("subject", "")))
        tables.append(str(row.get("table", "")))
        if call.name in _ASSIGNING and tables[-1] in REACHED_THROUGH:
            tables += PROJECT_TABLES
        records += _named(row)
        purposes.append(str(row.get("purpose", EVERY)))
    if any(call.name == "permissions.set_policy" for call in calls):
        return _Target(None, every, tuple(dict.fromkeys(records)), None)
    purpose = None if EVERY in purposes or not purposes else purposes[0]
    meant = every if EVERY in tables else tuple(dict.fromkeys(tables))
    return _Target(tuple(dict.fromkeys(subjects)), meant, tuple(dict.fromkeys(records)), purpose)


def _named(row: Mapping[str, Any]) -> list[str]:
    """The record that an assignment or the scope of a grant names; what a project brings is found by the project."""
    kind, named = split_scope(str(row.get("scope", "")))
    return [str(row["record"])] if "record" in row else [named] if kind == RECORD else []


def _people(view: View, index: RecordIndex, subjects: tuple[str, ...] | None) -> list[Subject]:
    """The active people who work here and are meant, in order of id."""
    columns = index.tables["people"].columns
    if subjects is None:
        ids = set(columns["id", ""].records(b""))
    else:
        ids = set()
        for subject in subjects:
            kind, _, name = subject.partition(":")
            ids |= {name} if kind == "person" else set(columns["fact", "department"].records(f"{name}\0".encode()))
    known = ((id_, view.get("people", id_)) for id_ in sorted(ids))
    working = [id_ for id_, row in known if row and row["status"] == ACTIVE and row["role"] != CUSTOMER]
    return [subject_of_person(view, id_) for id_ in working]


async def _records(
    views: tuple[View, View], index: RecordIndex, subject: Subject, table: str, target: _Target, now_ms: int
) -> tuple[list[str], int]:
    """The records that are decided one by one for this person, and how many others there are."""
    known = index.tables.get(table)
    if known is None:
        return [], 1  # a log: one decision for all of it
    everything = known.columns["id", ""]
    cases = [Case(view, subject, "read", table, None, now_ms) for view in views]
    if not all(case.goes_by_ties for case in cases):
        return list(everything.records(b"")), 0
    mine = (f"person:{subject.id}", f"department:{subject.department}")
    tied = known.assigned.records_of(mine) | known.granted.records_of(mine) | set(target.records)
    projects = dict.fromkeys(("projects", project) for case in cases for project in case.projects)
    tied |= await reached(views[1], table, projects)
    tied = {record for record in tied if everything.entry_of(record) is not None}
    return sorted(tied), len(everything) - len(tied)

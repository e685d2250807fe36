"""How a record is reached through projects and customers, which is what scopes of projects go by.

A payment is reached through its project, a demand through its customer and project, a customer through the projects
it takes part in, an organisation through its projects. `reach` says through which, and `dependants` is its other
direction: what may become or cease to be reachable when a project changes hands or an assignment changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from chain.state import View
from contracts.deciding.entitlements import assignments
from contracts.projects.membership import MEMBERS, entries, ties_of
from contracts.records import RECORD_TABLES


@dataclass(frozen=True, slots=True)
class Reach:
    """Customers and projects by id: who has to do with one of them has to do with the record."""

    customers: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()


NOWHERE: Final = Reach()
PROJECT_TABLES: Final = tuple(table for table in RECORD_TABLES if table != "people")
"""The tables whose records may belong to projects."""
REACHED_THROUGH: Final = ("customers", "projects")
"""The tables through whose records others are reached: who is assigned one has to do with those, of any table of
`PROJECT_TABLES`."""


def reach(view: View, table: str, record_id: str) -> Reach:
    """Through what a record is reached, itself apart; nothing for what is not there."""
    if table == "customers":
        return Reach((), projects_of(view, "customers", record_id))
    if table == "organisations":
        return Reach((), projects_of(view, "organisations", record_id))
    if table == "projects":
        return Reach((), (record_id,))
    row = view.get(table, record_id)
    if row is None or table == "people":
        return NOWHERE
    if table == "client_departments":
        return Reach((), projects_of(view, "organisations", row["organisation"]))
    if table == "relations":
        return _through_customers(view, row["from"], row["to"])
    customer, project = row.get("customer"), row.get("project")
    if project is None:
        return NOWHERE if customer is None else _through_customers(view, customer)
    return Reach(() if customer is None else (customer,), (project,))


def _through_customers(view: View, *customers: str) -> Reach:
    found = dict.fromkeys(project for customer in customers for project in projects_of(view, "customers", customer))
    return Reach(customers, tuple(found))


def projects_of(view: View, table: str, record_id: str) -> tuple[str, ...]:
    """The projects that a customer takes part in, or an organisation's."""
    return tuple(ties_of(view, table, record_id)["projects"])


def stage_of(view: View, project: str) -> str | None:
    """The department in whose hands a project is."""
    row = view.get("projects", project)
    return None if row is None else str(row["stage"])


class Hands:
    """A person's and department's say over projects and customers. Many records are reached through the same few, so
    each of these is looked at once. `person` is a subject, "person:ID"; `department` an id."""

    def __init__(self, view: View, person: str, department: str) -> None:
        self._view, self._person, self._department = view, person, department
        self._ours: dict[tuple[str, str], bool] = {}

    def reach(self, table: str, record_id: str) -> bool:
        """Whether the record is reached through a project in the department's hands, or through a project or customer
        assigned to it or the person."""
        through = reach(self._view, table, record_id)
        return any(self._is_ours("projects", project) for project in through.projects) or any(
            self._is_ours("customers", customer) for customer in through.customers
        )

    def _is_ours(self, table: str, record_id: str) -> bool:
        key = (table, record_id)
        if key not in self._ours:
            subjects = assignments(self._view, table, record_id)
            is_assigned = self._person in subjects or f"department:{self._department}" in subjects
            is_theirs = table == "projects" and stage_of(self._view, record_id) == self._department
            self._ours[key] = is_assigned or is_theirs
        return self._ours[key]


def dependants(view: View, table: str, record_id: str) -> Iterator[tuple[str, str]]:
    """The records, as (table, id), that are reached through this one; some may come more than once."""
    if table == "customers":
        yield from _members(view, table, record_id)
    elif table == "projects":
        yield from _of_project(view, record_id)
    elif table == "participations":
        row = view.get(table, record_id)
        if row is not None:
            yield "customers", row["customer"]
            yield from _members(view, "customers", row["customer"])


def _of_project(view: View, project: str) -> Iterator[tuple[str, str]]:
    row = view.get("projects", project)
    if row is None:
        return
    yield from _members(view, "projects", project)
    for participation in entries(view, "projects", project, "participations"):
        yield from dependants(view, "participations", participation)
    yield "organisations", row["organisation"]
    for department in entries(view, "organisations", row["organisation"], "client_departments"):
        yield "client_departments", department


def _members(view: View, of: str, owner: str) -> Iterator[tuple[str, str]]:
    return ((table, record) for table in MEMBERS[of] for record in entries(view, of, owner, table))

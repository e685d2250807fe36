"""What belongs to what: the members of organisations, projects and customers, and what is in use.

entries/<of>.<owner>.<table>.<n>   {record}: everything that ever belonged to the owner, in order
entered/<of>.<owner>.<table>.<id>  {}: marks what may come back, so that it is entered once
ties/<table>.<record>              {projects, relations}: what ties a customer or an organisation now
uses/<table>.<record>              {counts: {table: n}}: what is open there and keeps it from being closed
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import count_of, next_number
from contracts.departments.features import BOUNDED_WALKS
from contracts.work_errors import RECORD_IN_USE, RECORD_LIMIT, TREE_TOO_DEEP

_OF_PROJECTS: Final = (
    "participations",
    "handovers",
    "progress",
    "progress_answers",
    "demands",
    "payments",
    "feedback",
)
MEMBERS: Final = {
    "organisations": ("client_departments", "customers", "relations", "projects"),
    "projects": _OF_PROJECTS,
    "customers": ("relations", "participations", "demands", "feedback"),
}
"""Table -> the tables of which its records have members."""
DEPARTMENTS_MAX: Final = 1_000
"""Client departments of one organisation."""
PROJECTS_MAX: Final = 256
"""Projects of one organisation."""
PARTICIPATIONS_MAX: Final = 64
"""Projects of one customer."""
PARTICIPANTS_MAX: Final = 500
"""Participations of one project, closed ones too."""
RELATIONS_MAX: Final = 256
"""Active relations of one customer."""
MEMBERS_MAX: Final = 1_000
"""What a customer has of a table, ended or not: all of it is erased with the customer, in one call."""
LEVELS_MAX: Final = 64
"""How deep a client department, or a line of superiors, may lie: it bounds every walk up."""


def add_entry(view: View, of: str, owner: str, table: str, record: str) -> None:
    number = next_number(view, f"entries.{of}.{owner}.{table}")
    view.put("entries", f"{of}.{owner}.{table}.{number}", {"record": record})


def add_entry_once(view: View, of: str, owner: str, table: str, record: str) -> None:
    """For what may leave the owner and come back."""
    mark = f"{of}.{owner}.{table}.{record}"
    if not view.has("entered", mark):
        view.put("entered", mark, {})
        add_entry(view, of, owner, table, record)


def count_entries(view: View, of: str, owner: str, table: str) -> int:
    return count_of(view, f"entries.{of}.{owner}.{table}")


def entry(view: View, of: str, owner: str, table: str, number: int) -> str | None:
    row = view.get("entries", f"{of}.{owner}.{table}.{number}")
    return None if row is None else str(row["record"])


def entries(view: View, of: str, owner: str, table: str) -> Iterator[str]:
    """Everything that ever belonged to the owner, in the order in which it was entered."""
    for number in range(1, count_entries(view, of, owner, table) + 1):
        record = entry(view, of, owner, table, number)
        if record is not None:
            yield record


def ties_of(view: View, table: str, record: str) -> dict[str, Any]:
    """{projects: {project: participation or ""}, relations: {relation: the other customer}}, for customers and
    organisations."""
    row = view.get("ties", f"{table}.{record}")
    return {"projects": {}, "relations": {}} if row is None else row


def tie(view: View, table: str, record: str, kind: str, to: str, by: str, limit: int) -> None:
    """`kind`: projects or relations. Errors: record.limit."""
    row = ties_of(view, table, record)
    row[kind][to] = by
    require_below(len(row[kind]), limit, table, record, kind)
    view.put("ties", f"{table}.{record}", row)


def untie(view: View, table: str, record: str, kind: str, to: str) -> None:
    row = ties_of(view, table, record)
    row[kind].pop(to, None)
    view.put("ties", f"{table}.{record}", row)


def require_below(count: int, limit: int, table: str, record: str, of: str) -> None:
    """Errors: record.limit."""
    if count > limit:
        raise KehuError(RECORD_LIMIT, table=table, record=record, of=of, limit=limit)


def require_room(context: CallContext, view: View, customer: str, table: str) -> None:
    """Errors: record.limit."""
    if context.protocol >= BOUNDED_WALKS:
        count = count_entries(view, "customers", customer, table)
        require_below(count + 1, MEMBERS_MAX, "customers", customer, table)


def require_level(context: CallContext, level: int, of: str) -> None:
    """`of`: what would lie below so many others. Errors: tree.too_deep."""
    if context.protocol >= BOUNDED_WALKS and level > LEVELS_MAX:
        raise KehuError(TREE_TOO_DEEP, record=of, limit=LEVELS_MAX)


def count_use(view: View, table: str, record: str, by: str, change: int) -> None:
    """Counts what is open of table `by` at a record up or down."""
    row = view.get("uses", f"{table}.{record}") or {"counts": {}}
    counts: dict[str, int] = row["counts"]
    counts[by] = counts.get(by, 0) + change
    if counts[by] == 0:
        del counts[by]
    view.put("uses", f"{table}.{record}", {"counts": counts})


def require_unused(view: View, table: str, record: str) -> None:
    """Errors: record.in_use."""
    counts = (view.get("uses", f"{table}.{record}") or {"counts": {}})["counts"]
    for by, count in counts.items():
        raise KehuError(RECORD_IN_USE, table=table, record=record, by=by, count=count)


def leave_place(view: View, customer: dict[str, Any]) -> None:
    """A customer's place in an organisation and its department is free: they may be closed."""
    for table, name in (("organisations", "organisation"), ("client_departments", "client_department")):
        if customer.get(name) is not None:
            count_use(view, table, customer[name], "customers", -1)

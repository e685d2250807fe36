"""What ends with a record that is erased: its place among others, so that nothing stays open, or in the way, for ever.

With a customer end the records that say something about the person: relations, participations, demands, feedback.
Their ids stay where others name them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chain.execution import CallContext
from chain.state import View
from contracts.deciding.subjects import ACTIVE
from contracts.departments.features import ENDED_WORK
from contracts.projects import demands, dues, organisations, relations
from contracts.projects.membership import MEMBERS, count_use, entries, leave_place, untie
from contracts.records import Record

ERASED: Final = "erased"
"""What a tombstone has, and the status of one."""


def erased_together(view: View, table: str, record_id: str) -> Iterator[tuple[str, str]]:
    """(table, record) of a record and of all that is erased with it, what is erased already left out."""
    yield table, record_id
    if table != "customers":
        return
    for member_table in MEMBERS[table]:
        for member in entries(view, table, record_id, member_table):
            row = view.get(member_table, member)
            if row is not None and ERASED not in row:
                yield member_table, member


def end_place(context: CallContext, view: View, table: str, record_id: str, record: Record) -> None:
    """Undoes what a record that is about to be erased counts for elsewhere."""
    if table == "customers":
        leave_place(view, record)
    elif table == "relations" and record["status"] == ACTIVE:
        relations.leave(view, record_id, record)
    elif table == "participations" and record["status"] == ACTIVE:
        untie(view, "customers", record["customer"], "projects", record["project"])
    elif table == "demands" and record["project"] is not None and record["state"] in demands.PENDING:
        count_use(view, "projects", record["project"], table, -1)
    elif context.protocol >= ENDED_WORK:
        _end_work(view, table, record_id, record)


def _end_work(view: View, table: str, record_id: str, record: Record) -> None:
    if table == "projects":
        _end_project(view, record_id, record)
    elif table == "payments" and record["state"] == dues.OPEN:
        count_use(view, "projects", record["project"], table, -1)
    elif table == "client_departments" and record["status"] == ACTIVE:
        organisations.count_department(view, record, -1)


def _end_project(view: View, project: str, record: Record) -> None:
    """Whoever had the project in hand reached its people through it, and nobody could hand it on any more."""
    untie(view, "organisations", record["organisation"], "projects", project)
    if record["status"] == ACTIVE:
        count_use(view, "organisations", record["organisation"], "projects", -1)
    for participation in entries(view, "projects", project, "participations"):
        row = view.get("participations", participation)
        if row is not None and row["status"] == ACTIVE:
            untie(view, "customers", row["customer"], "projects", project)

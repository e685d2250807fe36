"""Versions of records as they were: what makes it possible to look at an organisation or a project as of a height.

versions/<table>.<record>.<n> holds the facts and field digests of each version, n counting from 1. Values are not
kept: a vault destroys a value that is superseded, so of an old version one sees facts and digests, and values where
they are still the present ones.
"""

from __future__ import annotations

from typing import Any, Final

from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import count_of, next_number
from contracts.work_errors import ACCESS_FUTURE, ACCESS_NO_VERSIONS, RECORD_NOT_YET

VERSIONED: Final = ("organisations", "client_departments", "customers", "relations", "projects", "participations")
_PLACE: Final = ("organisation", "client_department")
_NOT_KEPT: Final = ("version", "fields", "sequence", "registered")


def keep_version(context: CallContext, view: View, table: str, record_id: str, record: dict[str, Any]) -> None:
    """Adds the row of a version that was just written; of customers only from the first placement on."""
    counter = f"versions.{table}.{record_id}"
    if table not in VERSIONED:
        return
    if table == "customers" and record.get("organisation") is None and count_of(view, counter) == 0:
        return
    names = _PLACE if table == "customers" else [name for name in record if name not in _NOT_KEPT]
    row = {
        "version": record["version"],
        "height": context.height,
        "time_ms": context.time_ms,
        "facts": {name: record.get(name) for name in names},
        "fields": record["fields"],
    }
    view.put("versions", f"{table}.{record_id}.{next_number(view, counter)}", row)


def version_at(view: View, table: str, record_id: str, height: int) -> dict[str, Any] | None:
    """The row of the last version written at or before `height`; rows stand in order of height."""
    low, high = 0, count_of(view, f"versions.{table}.{record_id}")
    found = None
    while low < high:
        middle = (low + high + 1) // 2
        row = view.get("versions", f"{table}.{record_id}.{middle}")
        if row is not None and row["height"] <= height:
            low, found = middle, row
        else:
            high = middle - 1
    return found


def record_at(view: View, table: str, record_id: str, height: int) -> dict[str, Any] | None:
    """The record as it was, {version, fields, ...facts}; None if it was not there."""
    row = version_at(view, table, record_id, height)
    return None if row is None else {"version": row["version"], "fields": row["fields"], **row["facts"]}


def require_past(context: CallContext, table: str, as_of: int) -> None:
    """That a table may be looked at as of this height. Errors: access.future, access.no_versions."""
    if as_of >= context.height:
        raise KehuError(ACCESS_FUTURE, as_of=as_of, limit=context.height - 1)
    if table not in VERSIONED:
        raise KehuError(ACCESS_NO_VERSIONS, table=table, expected=", ".join(VERSIONED))


def require_record_at(view: View, table: str, record_id: str, height: int) -> dict[str, Any]:
    """Errors: record.not_yet."""
    record = record_at(view, table, record_id, height)
    if record is None:
        raise KehuError(RECORD_NOT_YET, table=table, record=record_id, as_of=height)
    return record

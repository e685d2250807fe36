"""What a block's writes, or a grant's end, may change about who holds what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from chain.state import View, state_key
from contracts.base import EVERY
from contracts.deciding.reach import dependants
from contracts.deciding.scopes import PROJECT, RECORD, split_scope
from contracts.erasing.endings import ERASED
from contracts.records import RECORD_TABLES
from node.vault.seal import RecordId


@dataclass(frozen=True, slots=True)
class Affected:
    """What a block's writes may change about who holds what: single records, and tables as a whole."""

    records: tuple[RecordId, ...]
    tables: tuple[str, ...]


_CONCERNED: Final = frozenset(
    table.encode() for table in (*RECORD_TABLES, "changes", "assignments", "subject_grants", "policy")
)


def affected_by(writes: Mapping[bytes, bytes | None], view: View) -> Affected:
    """From the state keys that a block wrote. `view` is the state after it."""
    records: dict[RecordId, None] = {}
    tables: dict[str, None] = {}
    for raw in writes:
        if raw[: raw.find(b"/")] not in _CONCERNED:
            continue
        table, _, key = raw.decode().partition("/")
        if table in RECORD_TABLES:
            records[RecordId(table, key)] = None
            if table == "participations" or _is_erased_project(view, table, key):
                records.update(_reached_through(view, table, key))
            if table == "people" and _is_revoked(view, key):
                tables.update(dict.fromkeys(RECORD_TABLES))
        elif table == "changes" and _is_hand_over(view, key):
            records.update(_reached_through(view, "projects", key.split(".")[1]))
        elif table == "assignments":
            assigned = RecordId(*key.split("."))
            records[assigned] = None
            if _first_change(assigned) not in writes:
                records.update(_reached_through(view, assigned.table, assigned.record))
        elif table == "subject_grants":
            _, of_table, scope = key.split(".")
            concerned = in_scope(view, of_table, scope)
            records.update(dict.fromkeys(concerned.records))
            tables.update(dict.fromkeys(concerned.tables))
        elif table == "policy":
            tables.update(dict.fromkeys(RECORD_TABLES))
    return Affected(tuple(records), tuple(tables))


def in_scope(view: View, table: str, scope: str) -> Affected:
    """What a grant of this scope is, or was, about; `table` may be "*". Of a log, no vault has anything."""
    kind, named = split_scope(scope)
    if kind == RECORD:
        return Affected((RecordId(table, named),), ())
    if kind != PROJECT:
        return Affected((), tuple(name for name in RECORD_TABLES if table in (EVERY, name)))
    found = {RecordId("projects", named): None, **_reached_through(view, "projects", named)}
    return Affected(tuple(one for one in found if table in (EVERY, one.table)), ())


def _reached_through(view: View, table: str, record: str) -> dict[RecordId, None]:
    """What scopes of projects reach through a record: it may have changed hands with it, or come or gone."""
    return dict.fromkeys(RecordId(*found) for found in dependants(view, table, record))


def _first_change(record: RecordId) -> bytes:
    """What the block writes that creates the record, and whatever belongs to it by then is written there too."""
    return state_key("changes", f"{record.table}.{record.record}.1")


def _is_hand_over(view: View, change: str) -> bool:
    """Whether a row of changes put a project into a department's hands: it is new there, or was handed over."""
    row = view.get("changes", change) if change.startswith("projects.") else None
    return row is not None and "stage" in row.get("facts", {})


def _is_erased_project(view: View, table: str, record: str) -> bool:
    row = view.get(table, record) if table == "projects" else None
    return row is not None and ERASED in row


def _is_revoked(view: View, person: str) -> bool:
    row = view.get("people", person)
    return row is None or row["status"] != "active"

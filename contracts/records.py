"""Records with personal fields: {version, fields: {name: [digest, version]}, ...public facts}.

Every change makes the next version and a row in changes/<table>.<record>.<version>: which fields, by whom, when, and
the facts it set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import EVERY, stamp
from contracts.deciding.subjects import Subject
from contracts.errors import RECORD_ERASED, RECORD_UNKNOWN, TABLE_UNKNOWN, VERSION_CONFLICT
from contracts.reading.journals import add_entry
from contracts.reading.versions import keep_version

RECORD_ARGUMENTS: Final = {
    "customers": "customer",
    "people": "person",
    "organisations": "organisation",
    "client_departments": "client_department",
    "relations": "relation",
    "projects": "project",
    "participations": "participation",
    "handovers": "handover",
    "progress": "progress",
    "progress_answers": "progress_answer",
    "demands": "demand",
    "payments": "payment",
    "feedback": "feedback",
}
"""Table, which is also its contract's name -> the argument that names the record in the contract's calls. `fields` of
such a call are the digests of that record's values."""
RECORD_TABLES: Final = tuple(RECORD_ARGUMENTS)
SEQUENCES: Final = {table: f"{name}_sequence" for table, name in RECORD_ARGUMENTS.items() if table != "people"}
"""Tables that can be listed -> the table that numbers their records from 1."""
NEVER_EMPTY: Final = {
    "customers": ("name", "phone"),
    "people": ("name",),
    "organisations": ("name",),
    "client_departments": ("name",),
    "projects": ("name",),
    "handovers": ("note",),
    "progress": ("text",),
    "progress_answers": ("text",),
    "demands": ("text",),
    "payments": ("amount",),
    "feedback": ("text", "resolution"),
}
"""Table -> its fields that are texts wherever they are given; any other may be emptied. The chain has digests only, so
no contract can see to it: the command does, and the node that admits the values."""
_NOT_FACTS: Final = ("version", "fields", "gateways")

Record = dict[str, Any]


def load_record(view: View, table: str, record_id: str) -> Record:
    """Errors: record.table_unknown, record.unknown, record.erased."""
    record = load_with_tombstone(view, table, record_id)
    if "erased" in record:
        raise KehuError(RECORD_ERASED, table=table, record=record_id, height=record["erased"]["height"])
    return record


def load_with_tombstone(view: View, table: str, record_id: str) -> Record:
    """A record, or what an erasure left of it. Errors: record.table_unknown, record.unknown."""
    if table not in RECORD_TABLES:
        raise KehuError(TABLE_UNKNOWN, table=table)
    record = view.get(table, record_id)
    if record is None:
        raise KehuError(RECORD_UNKNOWN, table=table, record=record_id)
    return record


def require_version(table: str, record_id: str, record: Record, expected: int) -> None:
    """Errors: record.version_conflict."""
    if record["version"] != expected:
        raise KehuError(VERSION_CONFLICT, table=table, record=record_id, expected=expected, actual=record["version"])


def public_facts(record: Record) -> dict[str, Any]:
    """What everybody on the chain sees of a record anyway."""
    return {name: value for name, value in record.items() if name not in _NOT_FACTS}


def chosen_fields(record: Record, fields: list[str], known: list[str]) -> list[str]:
    """`fields`, with "*" as all known fields that the record has."""
    return [field for field in known if field in record["fields"]] if fields == [EVERY] else fields


def write_fields(
    context: CallContext,
    view: View,
    subject: Subject,
    table: str,
    record_id: str,
    record: Record,
    digests: Mapping[str, bytes],
    removed: Iterable[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Stores `record` as its next version with `digests` and `facts` set and `removed` gone, and the row of the
    change; of tables that are looked at as of a height, the version too."""
    before = record["version"]
    record["version"] = before + 1
    gone = [name for name in removed if record["fields"].pop(name, None) is not None]
    for name, digest in digests.items():
        record["fields"][name] = [digest, record["version"]]
    record.update(facts or {})
    view.put(table, record_id, record)
    change = {
        "fields": sorted({*digests, *gone}),
        "by": subject.text,
        "department": subject.department,
        "from": before,
        "to": record["version"],
        **({"facts": dict(facts)} if facts else {}),
        **stamp(context),
    }
    key = f"{table}.{record_id}.{record['version']}"
    view.put("changes", key, change)
    for journal in ("changes", f"changes.{subject.text}"):
        add_entry(view, journal, key)
    keep_version(context, view, table, record_id, record)

"""What became of each row of an import, as a file: JSON, or CSV for who works in a spreadsheet. No personal values."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from chain.errors import KehuError, define
from cli.output import json_ready
from node.storage.durable import storage_failures, write_file

COLUMNS: Final = ("row", "outcome", "customer", "status", "code", "column", "details", "transaction")

REPORT_PLACE = define(
    "usage.report",
    "the report would take the place of a file that the import works with",
    "name another file with --report",
)


def require_apart(report: Path, *others: Path | None) -> None:
    """A report is written over the one of an earlier run, and over nothing else that the import needs.
    Errors: usage.report."""
    if report.resolve() in {other.resolve() for other in others if other is not None}:
        raise KehuError(REPORT_PLACE, file=str(report))


def outcomes_of(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry for each row, in order; `data` is the --json object of an import.

    outcome: imported, already, planned (by a dry run), left_out (with code and column), unknown.
    """
    found = [{"outcome": "left_out", **fault, "details": _text(fault["details"])} for fault in data["faults"]]
    found += [{"outcome": "unknown", **item} for item in data["unknown"]]
    found += [{"outcome": "planned", "row": row} for row in data["planned"]]
    for item in data["customers"]:
        found.append({"outcome": "already" if item["status"] is None else "imported", **item})
    return sorted(json_ready(found), key=lambda entry: entry["row"])


def write_report(path: Path, data: Mapping[str, Any]) -> None:
    """CSV with a row for each row if the name ends in .csv, else the --json object."""
    with storage_failures(path, "write report"):
        write_file(path, _csv(data) if path.suffix.lower() == ".csv" else _json(data), replace=True)


def _json(data: Mapping[str, Any]) -> bytes:
    text = json.dumps(json_ready(dict(data)), ensure_ascii=False, indent=2) + "\n"
    return text.encode(errors="backslashreplace")  # of a file whose name is not UTF-8, as on stdout


def _csv(data: Mapping[str, Any]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(outcomes_of(data))
    return text.getvalue().encode("utf-8-sig")


def _text(details: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in details.items())

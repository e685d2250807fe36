"""The file that sales imports, as this demonstration expects it to be taken: rows, and what is wrong with which."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
FIELDS: Final = {
    "姓名": "name",
    "手机": "phone",
    "单位": "organisation",
    "部门": "department",
    "职务": "position",
    "备注": "note",
}
NOT_KNOWN: Final = "phone.no_identifier"


@dataclass(frozen=True, slots=True)
class Sheet:
    """`rows`: number as a spreadsheet shows it -> cells by field; `faults`: row -> the code it is left out with."""

    path: Path
    rows: dict[int, dict[str, str]]
    faults: dict[int, str]

    @property
    def good(self) -> list[int]:
        return [row for row in self.rows if row not in self.faults]

    @property
    def unknown_numbers(self) -> list[str]:
        """Numbers that nobody has, in the file's own form."""
        return [self.rows[row]["phone"] for row, code in self.faults.items() if code == NOT_KNOWN]


def read_sheet(path: Path) -> Sheet:
    """Reads the file, and its faults from the JSON beside it: row -> code."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *lines = csv.reader(file)
    names = [FIELDS[column] for column in header]
    rows = {number: dict(zip(names, cells, strict=False)) for number, cells in enumerate(lines, 2)}
    faults = json.loads(path.with_suffix(".faults.json").read_text(encoding="utf-8"))
    return Sheet(path, rows, {int(row): code for row, code in faults.items()})

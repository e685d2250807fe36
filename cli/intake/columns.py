"""Which column of a file means which field of a customer: by its name in English or Chinese, or as the caller says."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from chain.errors import KehuError, define

Mapping: TypeAlias = dict[str, str]
"""Field of a customer -> the name of the column that means it."""

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name", "full name", "customer", "contact", "姓名", "名字", "客户", "客户姓名", "客户名称", "联系人"),
    "phone": (
        "phone", "phone number", "mobile", "mobile number", "telephone", "tel",
        "电话", "电话号码", "手机", "手机号", "手机号码", "联系电话", "联系方式",
    ),
    "organisation": (
        "organisation", "organization", "company", "employer", "单位", "工作单位", "公司", "企业", "机构", "客户机构",
    ),
    "department": ("department", "dept", "部门", "客户部门", "科室"),
    "position": ("position", "title", "job title", "role", "职位", "职务", "岗位"),
    "email": ("email", "e-mail", "mail", "邮箱", "电子邮箱", "电子邮件"),
    "address": ("address", "地址", "联系地址", "通讯地址"),
    "note": ("note", "notes", "remark", "remarks", "comment", "备注", "说明", "附注"),
}  # fmt: skip
"""Field of a customer -> the column names that mean it."""
REQUIRED: Final = ("name", "phone")

IMPORT_HEADER = define(
    "import.header",
    "the first line does not name the columns: a name and a phone column are needed, each once",
    "call them name and phone, or 姓名 and 电话; docs/cli.md lists all names",
)
IMPORT_MAPPING = define(
    "import.mapping",
    "a mapping names the column of a field, each field and each column once",
    'write --map name=客户全称, or --mapping FILE with {"name": "客户全称"}; docs/cli.md lists the fields',
)


def read_mapping(given: Sequence[str], file: Path | None) -> Mapping:
    """FIELD=COLUMN from the command line over those of a JSON file. Errors: import.mapping."""
    found = {} if file is None else _read_file(file)
    named: Mapping = {}
    for position, text in enumerate(given):
        field, equals, column = text.partition("=")
        if not equals or field in named:
            raise KehuError(IMPORT_MAPPING, position=position)
        named[field] = column
    merged = {field: _plain(column) for field, column in {**found, **named}.items()}
    for field, column in merged.items():
        if field not in COLUMNS or not column or list(merged.values()).count(column) > 1:
            raise KehuError(IMPORT_MAPPING, field=field, known=",".join(COLUMNS))
    return merged


def _read_file(file: Path) -> Mapping:
    try:
        value = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise KehuError(IMPORT_MAPPING, file=str(file), problem=type(error).__name__) from None
    if not isinstance(value, dict) or not all(isinstance(column, str) for column in value.values()):
        raise KehuError(IMPORT_MAPPING, file=str(file), problem="not an object of texts")
    return value


def match_columns(header: list[str], mapping: Mapping) -> tuple[dict[str, int], dict[str, str], list[str]]:
    """Field -> place, field -> the column's own name, and the columns that mean nothing here.

    A field of `mapping` is in the column it names and in no other. Errors: import.header.
    """
    names = [_plain(cell) for cell in header]
    known = {alias: field for field, aliases in COLUMNS.items() if field not in mapping for alias in aliases}
    meant = {column: field for field, column in mapping.items()}
    places: dict[str, int] = {}
    columns: dict[str, str] = {}
    ignored: list[str] = []
    for place, name in enumerate(names):
        field = meant.get(name) or known.get(" ".join(name.replace("_", " ").lower().split()))
        if field is None:
            ignored.append(name)
        elif field in places:
            raise KehuError(IMPORT_HEADER, problem="two columns mean the same", field=field)
        else:
            places[field], columns[field] = place, name
    missing = [field for field in (*mapping, *REQUIRED) if field not in places]
    if missing:
        raise KehuError(IMPORT_HEADER, problem="missing", fields=",".join(dict.fromkeys(missing)))
    return places, columns, ignored


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().strip("*").strip()

"""Records on the screen and in --json."""

from __future__ import annotations

from typing import Any, Final

from cli.amounts import AMOUNTS, amount_text
from cli.exits import Exit
from cli.output import Screen
from cli.records import RecordShown
from cli.verify import Disclosed, known_error

_ABSENT: Final = "record.field_absent"
"""The code of a field that the record does not have."""


def record_json(record: RecordShown) -> dict[str, Any]:
    return {"version": record.version, "facts": record.facts, "fields": record.fields_json()}


def exit_of_record(record: RecordShown) -> Exit:
    if record.is_refused:
        return Exit.REFUSED
    return Exit.PARTIAL if record.has_missing else Exit.OK


def show_record(screen: Screen, record: RecordShown) -> None:
    screen.facts((("id", record.record), ("version", record.version), *_facts(record.facts)))
    screen.table(
        ("field", "value", "version"),
        [(name, field_text(record, name), item.version) for name, item in record.fields.items()],
    )


def show_refusal(screen: Screen, code: str) -> None:
    """What a refusal that stands in a result means, and what to do: errors say it, and this ends no command as one."""
    spec = known_error(code)
    screen.line(f"Refused: {code}")
    screen.line(f"cause  {spec.cause}")
    screen.line(f"cure   {spec.cure}")


def _facts(facts: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        (name, value)
        for name, value in facts.items()
        if not isinstance(value, (dict, list)) and value not in ("", None)
    ]


def field_text(record: RecordShown, name: str) -> str:
    """A field as a table shows it; a payment's amounts in its currency."""
    item, currency = record.fields[name], record.facts.get("currency")
    if item.state == "shown" and name in AMOUNTS and isinstance(currency, str):
        return amount_text(str(item.value), currency)
    return cell(item)


def cell(item: Disclosed) -> str:
    """A field as a table shows it."""
    if item.state == "shown":
        return str(item.value)
    if item.state == "superseded":
        return f"superseded (version {item.version})"
    if item.code == _ABSENT:
        return "—"
    return f"refused ({item.code})" if item.state == "refused" else "not held by this node"

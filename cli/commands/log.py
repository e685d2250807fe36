"""`kehu log logins|reads|changes`: who logged in, read or changed what, by record, person and time."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from cli.command import Needs, command
from cli.exits import SIGNED, Exit
from cli.layout import time_text
from cli.options import PURPOSE_DEFAULT, PersonOption, Purpose
from cli.output import Answer, Screen
from cli.root import group
from cli.run import Run
from cli.times import read_moment

app = group("log", "Who logged in, read or changed what. Looking is itself permitted and recorded.")

KEYS: Final = ("log", "allowed", "because", "code", "rows", "next", "transaction", "height")

RecordOption = Annotated[
    str | None, typer.Option("--record", metavar="RECORD", help="TABLE/RECORD, or a customer's id.")
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="From this date or time on; or 7d, 12h, 30m ago.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="WHEN", help="To this time, or the end of this day.")]
After = Annotated[int, typer.Option("--after", metavar="N", min=0, help="Go on after this entry.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100, help="How many at most.")]


@command(app, "logins", needs=Needs.KEY, example="kehu log logins --since 7d --as admin", json_keys=KEYS, exits=SIGNED)
async def logins(
    run: Run,
    person: PersonOption = None,
    since: Since = None,
    until: Until = None,
    after: After = 0,
    limit: Limit = 50,
    purpose: Purpose = PURPOSE_DEFAULT,
) -> Answer:
    """Show who logged in, at which department's node, when."""
    return await _look(run, "logins", None, person, (since, until), after, limit, purpose)


@command(
    app,
    "reads",
    needs=Needs.KEY,
    example="kehu log reads --record customers/c-1f… --since 2026-01-01 --as shen-ji",
    json_keys=KEYS,
    exits=SIGNED,
)
async def reads(
    run: Run,
    record: RecordOption = None,
    person: PersonOption = None,
    since: Since = None,
    until: Until = None,
    after: After = 0,
    limit: Limit = 50,
    purpose: Purpose = PURPOSE_DEFAULT,
) -> Answer:
    """Show who read which fields of which record, when, for what purpose, and what was refused."""
    return await _look(run, "accesses", record, person, (since, until), after, limit, purpose)


@command(
    app,
    "changes",
    needs=Needs.KEY,
    example="kehu log changes --person li-wei --as admin",
    json_keys=KEYS,
    exits=SIGNED,
)
async def changes(
    run: Run,
    record: RecordOption = None,
    person: PersonOption = None,
    since: Since = None,
    until: Until = None,
    after: After = 0,
    limit: Limit = 50,
    purpose: Purpose = PURPOSE_DEFAULT,
) -> Answer:
    """Show which fields of which record changed, by whom, when, from which version to which."""
    return await _look(run, "changes", record, person, (since, until), after, limit, purpose)


async def _look(
    run: Run,
    log: str,
    record: str | None,
    person: str | None,
    times: tuple[str | None, str | None],
    after: int,
    limit: int,
    purpose: str,
) -> Answer:
    from chain.transaction import Call

    table, name = split_resource(record)
    args: dict[str, Any] = {"log": log, "table": table, "record": name, "person": person}
    args |= {"since_ms": read_moment(times[0]), "until_ms": read_moment(times[1], is_end=True)}
    async with run.client() as client:
        committed = await client.execute(
            [Call("access.log", args | {"after": after, "limit": limit, "purpose": purpose})]
        )
    result = committed.result()
    data = {key: result[key] for key in KEYS[:6]}
    data |= {"transaction": committed.transaction_id, "height": committed.height}
    return Answer(data, lambda screen: _show(screen, data), Exit.OK if data["allowed"] else Exit.REFUSED)


def split_resource(text: str | None) -> tuple[str | None, str | None]:
    """Table and record of TABLE/RECORD, or of a customer's id."""
    if text is None:
        return None, None
    table, slash, record = text.partition("/")
    return (table, record) if slash else ("customers", text)


def _show(screen: Screen, data: dict[str, Any]) -> None:
    from cli.shown import show_refusal

    if not data["allowed"]:
        show_refusal(screen, data["code"])
    if data["allowed"]:
        _show_entries(screen, data["log"], data["rows"])
    if data["next"] is not None:
        screen.line(f"More: --after {data['next']}")


def _show_entries(screen: Screen, log: str, rows: list[dict[str, Any]]) -> None:
    """The entries of a log as a table; public facts only where any changed."""
    columns = [
        column
        for column in _COLUMNS[log]
        if column not in _SOMETIMES or any(row.get(column) is not None for row in rows)
    ]
    screen.table(columns, [[_values(log, row).get(column) for column in columns] for row in rows])


_COLUMNS: Final = {
    "logins": ("number", "when", "person", "node", "purpose"),
    "accesses": ("number", "when", "who", "department", "action", "record", "purpose", "allowed", "refused"),
    "changes": ("number", "when", "who", "department", "record", "fields", "facts", "from", "to"),
}
_SOMETIMES: Final = ("facts",)


def _values(log: str, row: dict[str, Any]) -> dict[str, Any]:
    values = row | {"when": time_text(row["time_ms"]), "who": row.get("by")}
    return values if log == "logins" else values | {"record": f"{row['table']}/{row['record']}"}

"""The commands `show` and `list`, the same for every table of organisations and projects; a group adds its own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.command import Needs, command
from cli.exits import SIGNED, Exit
from cli.options import PURPOSE_DEFAULT, Purpose
from cli.output import Answer, Screen, time_text
from cli.run import Run

Record = Annotated[str, typer.Argument(metavar="ID", help="The record's id.")]
Field = Annotated[list[str] | None, typer.Option("--field", metavar="FIELD", help="Only this field; repeat it.")]
AsOf = Annotated[
    int | None,
    typer.Option("--as-of", metavar="HEIGHT", min=0, help="As it was at this height; values only where still current."),
]
After = Annotated[int, typer.Option("--after", metavar="N", min=0, help="Go on after this sequence number.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100, help="How many at most.")]

SHOWN = ("table", "record", "version", "facts", "fields", "transaction", "height")
LISTED = ("table", "records", "next", "transaction", "height")


def add_show(app: typer.Typer, table: str, example: str, *, is_versioned: bool = False) -> None:
    """`show ID`; of tables that keep versions, with --as-of."""

    async def show_then(
        run: Run, record: Record, field: Field = None, as_of: AsOf = None, purpose: Purpose = PURPOSE_DEFAULT
    ) -> Answer:
        """Read a record, now or as of a height; the read goes on the ledger and each value is checked."""
        return await _show(run, table, record, field, purpose, as_of)

    async def show_now(run: Run, record: Record, field: Field = None, purpose: Purpose = PURPOSE_DEFAULT) -> Answer:
        """Read a record; the read goes on the ledger and each value is checked."""
        return await _show(run, table, record, field, purpose, None)

    body = show_then if is_versioned else show_now
    command(app, "show", needs=Needs.KEY, example=example, json_keys=SHOWN, exits=(*SIGNED, Exit.PARTIAL))(body)


async def _show(run: Run, table: str, record: str, field: list[str] | None, purpose: str, as_of: int | None) -> Answer:
    from cli.records import read_record
    from cli.shown import exit_of_record, record_json, show_record

    async with run.client() as client:
        committed, shown = await read_record(client, table, record, list(field or ["*"]), purpose, as_of)
    data = {"table": table, "record": record, **record_json(shown)}
    data |= {"transaction": committed.transaction_id, "height": committed.height}
    return Answer(data, lambda screen: show_record(screen, shown), exit_of_record(shown))


def add_list(app: typer.Typer, table: str, facts: tuple[str, ...], fields: tuple[str, ...], example: str) -> None:
    """`list`: what the reader may see of the whole table, page by page. `facts`: its columns beside the fields."""

    async def list_all(
        run: Run, after: After = 0, limit: Limit = 50, field: Field = None, purpose: Purpose = PURPOSE_DEFAULT
    ) -> Answer:
        """List the records that you may see, one page at a time; the reading goes on the ledger."""
        return await _list(run, table, facts, list(field or fields), (after, limit), purpose)

    command(app, "list", needs=Needs.KEY, example=example, json_keys=LISTED, exits=(*SIGNED, Exit.PARTIAL))(list_all)


async def _list(
    run: Run, table: str, facts: tuple[str, ...], fields: list[str], page: tuple[int, int], purpose: str
) -> Answer:
    from chain.transaction import Call
    from cli.records import disclose
    from cli.working import exit_of

    args = {"table": table, "after": page[0], "limit": page[1], "fields": fields, "purpose": purpose}
    async with run.client() as client:
        committed = await client.execute([Call("access.list", args)])
        result = committed.result()
        records = await disclose(client, committed, result["records"])
    data = {"table": table, "records": [list_json(record) for record in records], "next": result["next"]}
    data |= {"transaction": committed.transaction_id, "height": committed.height}
    return Answer(data, lambda screen: _show_list(screen, records, facts, result["next"]), exit_of(records, "ok"))


def _show_list(screen: Screen, records: list[Any], facts: tuple[str, ...], following: int | None) -> None:
    show_rows(screen, records, facts)
    if following is not None:
        screen.line(f"More: --after {following}")


def list_json(record: Any) -> dict[str, Any]:
    from cli.shown import record_json

    return {"record": record.record, **record_json(record)}


def show_rows(screen: Screen, records: list[Any], facts: tuple[str, ...], title: str | None = None) -> None:
    """Records as a table: id, facts, and the fields that any of them has."""
    from cli.shown import field_text

    names = list(dict.fromkeys(name for record in records for name in record.fields))
    screen.table(
        ("id", *facts, *names),
        [
            (
                record.record,
                *(_fact(name, record.facts.get(name)) for name in facts),
                *(field_text(record, name) if name in record.fields else None for name in names),
            )
            for record in records
        ],
        title=title,
    )


def _fact(name: str, value: Any) -> object:
    return time_text(value) if name.endswith("_ms") and isinstance(value, int) else value

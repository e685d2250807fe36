"""The commands `show`, `list` and `search`, the same for every table of organisations and projects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.command import Needs, command
from cli.exits import SIGNED, Exit
from cli.layout import time_text
from cli.options import PURPOSE_DEFAULT, After, Descending, Filters, FiltersFile, Limit, Purpose, Region, Sort
from cli.output import Answer, Screen
from cli.run import Run

Record = Annotated[str, typer.Argument(metavar="ID", help="The record's id.")]
Field = Annotated[list[str] | None, typer.Option("--field", metavar="FIELD", help="Only this field; repeat it.")]
SearchText = Annotated[
    str | None, typer.Argument(metavar="TEXT", help="How its name or text begins.", show_default=False)
]
AsOf = Annotated[
    int | None,
    typer.Option("--as-of", metavar="HEIGHT", min=0, help="As it was at this height; values only where still current."),
]
SHOWN = ("table", "record", "version", "facts", "fields", "transaction", "height")
LISTED = ("table", "records", "next", "transaction", "height")


def add_show(app: typer.Typer, table: str, example: str, *, is_versioned: bool = False) -> None:
    """`show ID`; of tables that keep versions, with --as-of."""

    async def show_then(
        run: Run, record: Record, field: Field = None, as_of: AsOf = None, purpose: Purpose = PURPOSE_DEFAULT
    ) -> Answer:
        """Read a record, now or as of a height; the read goes on the ledger and each value is checked."""
        named = {"table": table, "record": record}
        return await read_one(run, named, table, record, field, purpose, as_of)

    async def show_now(run: Run, record: Record, field: Field = None, purpose: Purpose = PURPOSE_DEFAULT) -> Answer:
        """Read a record; the read goes on the ledger and each value is checked."""
        return await read_one(run, {"table": table, "record": record}, table, record, field, purpose)

    body = show_then if is_versioned else show_now
    command(app, "show", needs=Needs.KEY, example=example, json_keys=SHOWN, exits=(*SIGNED, Exit.PARTIAL))(body)


async def read_one(
    run: Run,
    named: Mapping[str, str],
    table: str,
    record: str,
    fields: Sequence[str] | None,
    purpose: str,
    as_of: int | None = None,
) -> Answer:
    """Reads a record, on the record. `named`: what the answer calls it."""
    from cli.records import read_record
    from cli.shown import exit_of_record, record_json, show_record

    async with run.client() as client:
        committed, shown = await read_record(client, table, record, list(fields or ["*"]), purpose, as_of)
    data = {**named, **record_json(shown)}
    data |= {"transaction": committed.transaction_id, "height": committed.height}
    return Answer(data, lambda screen: show_record(screen, shown), exit_of_record(shown))


def add_list(app: typer.Typer, table: str, facts: tuple[str, ...], fields: tuple[str, ...], example: str) -> None:
    """`list`: what the reader may see of the whole table, page by page. `facts`: its columns beside the fields."""

    async def list_all(
        run: Run,
        filter_: Filters = None,
        filters: FiltersFile = None,
        sort: Sort = None,
        is_descending: Descending = False,
        after: After = None,
        limit: Limit = 50,
        field: Field = None,
        purpose: Purpose = PURPOSE_DEFAULT,
    ) -> Answer:
        """List the records that you may see, one page at a time; the reading goes on the ledger.

        All filters must fit. What you look for stays off the ledger, what came is on it.
        """
        asked = _asked(None, filter_, filters, sort, is_descending, after, None)
        return await _list(run, (table, "name"), facts, asked, list(field or fields), limit, purpose)

    command(app, "list", needs=Needs.KEY, example=example, json_keys=LISTED, exits=(*SIGNED, Exit.PARTIAL))(list_all)


def add_search(
    app: typer.Typer, table: str, first: str, facts: tuple[str, ...], fields: tuple[str, ...], example: str
) -> None:
    """`search TEXT`: the same by the beginning of the field `first`."""

    async def search(
        run: Run,
        text: SearchText = None,
        filter_: Filters = None,
        filters: FiltersFile = None,
        sort: Sort = None,
        is_descending: Descending = False,
        after: After = None,
        limit: Limit = 50,
        field: Field = None,
        region: Region = None,
        purpose: Purpose = PURPOSE_DEFAULT,
    ) -> Answer:
        """Find records that you may see; all filters must fit. What you look for stays off the ledger, what came is on
        it.

        Texts are compared without regard to case and width.
        """
        asked = _asked(text, filter_, filters, sort, is_descending, after, region)
        return await _list(run, (table, first), facts, asked, list(field or fields), limit, purpose)

    command(app, "search", needs=Needs.KEY, example=example, json_keys=LISTED, exits=(*SIGNED, Exit.PARTIAL))(search)


def _asked(
    text: str | None,
    filter_: list[str] | None,
    filters: Path | None,
    sort: str | None,
    is_descending: bool,
    after: str | None,
    region: str | None,
) -> Any:
    from cli.searching import Asked

    return Asked(text, filter_ or (), filters, sort, is_descending, after, region)


async def _list(
    run: Run, of: tuple[str, str], facts: tuple[str, ...], asked: Any, fields: list[str], limit: int, purpose: str
) -> Answer:
    """`of`: the table, and its field that a search by text goes by."""
    from cli.searching import find_page
    from cli.working import exit_of

    async with run.client() as client:
        page = await find_page(client, of, asked, fields, limit, purpose)
    data: dict[str, Any] = {
        "table": of[0],
        "records": [list_json(record) for record in page.records],
        "next": page.next,
    }
    data |= {"transaction": page.committed.transaction_id, "height": page.committed.height}
    return Answer(data, lambda screen: _show_list(screen, page, facts), exit_of(page.records, "ok"))


def _show_list(screen: Screen, page: Any, facts: tuple[str, ...]) -> None:
    show_rows(screen, page.records, facts)
    if page.next is not None:
        screen.line(f"More: --after {page.next}")


def list_json(record: Any) -> dict[str, Any]:
    from cli.shown import record_json

    return {"record": record.record, **record_json(record)}


def show_rows(screen: Screen, records: list[Any], facts: tuple[str, ...], *, has_origin: bool = False) -> None:
    """Records as a table: id, facts, and the fields that any of them has. `has_origin`: with when and by whom each was
    recorded."""
    from cli.shown import field_text

    names = list(dict.fromkeys(name for record in records for name in record.fields))
    screen.table(
        ("id", *(_ORIGIN if has_origin else ()), *facts, *names),
        [
            (
                record.record,
                *(_origin(record) if has_origin else ()),
                *map(record.facts.get, facts),
                *(field_text(record, name) if name in record.fields else None for name in names),
            )
            for record in records
        ],
    )


_ORIGIN = ("when", "by")


def _origin(record: Any) -> tuple[object, ...]:
    registered = record.facts.get("registered") or {}
    return time_text(registered.get("time_ms")), str(registered.get("by") or "—").removeprefix("person:")

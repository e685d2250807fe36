"""`kehu customer export`: customers taken away in a file, which is an action of its own and on the record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.commands.customer import app
from cli.commands.export import EXPORT_EXISTS
from cli.exits import SIGNED, Exit
from cli.options import Purpose
from cli.output import Answer, print_note, progress
from cli.run import Run

HEADERS_UNKNOWN = define("usage.headers", "column names are in en or zh", "write --headers zh for Chinese ones")


@command(
    app,
    "export",
    needs=Needs.KEY,
    example="kehu customer export 客户.csv --headers zh --bom --purpose report --as admin",
    json_keys=("file", "rows", "fields", "refused", "missing", "pages", "bytes", "is_resumed"),
    exits=(*SIGNED, Exit.PARTIAL),
)
async def export(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="A new file.")],
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="FIELD", help="Only this field; repeat it.")
    ] = None,
    purpose: Purpose = "export",
    headers: Annotated[str, typer.Option("--headers", metavar="LANGUAGE", help="en or zh.")] = "en",
    is_marked: Annotated[bool, typer.Option("--bom", help="With a byte order mark, which Excel needs.")] = False,
) -> Answer:
    """Write the customers that you may export to a CSV file, in the clear; the export goes on the ledger page by page.

    Fields that you may not export stay empty. Cells that a spreadsheet would run as formulas are marked as text. Run it
    again after an interruption: it goes on where it stopped. Exit code 1 if there was nothing for you, 9 if your node's
    vault lacks values.
    """
    from cli.taking_away import FIELDS, Exporter, Layout

    if headers not in ("en", "zh"):
        raise KehuError(HEADERS_UNKNOWN)
    if file.exists():
        raise KehuError(EXPORT_EXISTS, file=str(file))
    layout = Layout(tuple(field or FIELDS), purpose, headers == "zh", is_marked)
    async with run.client() as client:
        last = await _customers(client)
        with progress("export", last, is_wanted=not run.is_json) as advance:
            done = await _export(run, Exporter(client, file, layout, advance))
    data = {
        "file": str(file) if done.rows else None,
        "rows": done.rows,
        "fields": list(layout.fields),
        "refused": done.refused,
        "missing": done.missing,
        "pages": done.pages,
        "bytes": done.bytes if done.rows else 0,
        "is_resumed": done.is_resumed,
    }
    facts = {**data, "fields": ", ".join(layout.fields)}
    exit_ = Exit.REFUSED if not done.rows else Exit.PARTIAL if done.missing else Exit.OK
    return Answer(data, lambda screen: screen.facts(facts.items()), exit_)


async def _export(run: Run, exporter: Any) -> Any:
    try:
        return await exporter.run()
    except KehuError:
        if not run.is_json:
            print_note(f"Stopped after {exporter.progress.rows} rows. Run the same command again to go on.")
        raise


async def _customers(client: Any) -> int | None:
    """How many numbers there are to go through."""
    counter, _ = await client.state("counters", "customers")
    return None if counter is None else int(counter["value"])
